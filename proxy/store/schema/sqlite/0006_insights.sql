-- What insights read: sums that each save adds to in its own commit (proxy/store/sqlite_rollups.py), never the tasks themselves.
-- `at`, `day` are microseconds since the epoch, UTC. The rollups are made anew from the tasks that are there (`backfill`).

-- What tasks are counted under: project, kind, model, ending and version; or project, a metadata key (`label`) and its `value`.
CREATE TABLE slice (
  key INTEGER PRIMARY KEY,
  project_id TEXT NOT NULL,
  kind TEXT,
  model TEXT,
  model_requested TEXT,
  ending TEXT,
  version_id TEXT,
  label TEXT,
  value TEXT
);
CREATE INDEX slice_place ON slice (project_id, label, value, kind, model, model_requested, ending, version_id);

-- How many values of a metadata key have ever been counted apart; past a number of them, new ones are counted together.
CREATE TABLE label (project_id TEXT NOT NULL, name TEXT NOT NULL, known INTEGER NOT NULL, PRIMARY KEY (project_id, name)) WITHOUT ROWID;

-- `span`: 0 an hour, 1 a day. Histograms: proxy/store/histogram.py.
CREATE TABLE cell (
  span INTEGER NOT NULL,
  at INTEGER NOT NULL,
  slice INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  success INTEGER NOT NULL,
  failure INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  priced INTEGER NOT NULL,
  cost INTEGER NOT NULL,        -- picodollars
  micros INTEGER NOT NULL,
  output_square REAL NOT NULL,
  cost_square REAL NOT NULL,    -- dollars
  seconds BLOB NOT NULL,
  first_token BLOB NOT NULL,
  PRIMARY KEY (span, at, slice)
) WITHOUT ROWID;

CREATE TABLE facet (
  day INTEGER NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  tasks INTEGER NOT NULL,
  lasts INTEGER NOT NULL,       -- of them, those that are the last of their session
  errors INTEGER NOT NULL,
  success INTEGER NOT NULL,
  failure INTEGER NOT NULL,
  PRIMARY KEY (day, project_id, name, value)
) WITHOUT ROWID;

-- Which tasks have which metadata: numbers and short texts, to find them by.
CREATE TABLE metadatum (name TEXT NOT NULL, value NOT NULL, task INTEGER NOT NULL, PRIMARY KEY (name, value, task)) WITHOUT ROWID;

DELETE FROM session;
ALTER TABLE session DROP COLUMN user_at;
ALTER TABLE session DROP COLUMN model_at;
ALTER TABLE session DROP COLUMN first_at;
ALTER TABLE session ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN success INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN failure INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN moderated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN rephrased INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN frustrated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN loops INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN silence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN longest_silence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN models TEXT NOT NULL DEFAULT '[]';
ALTER TABLE session ADD COLUMN last_id TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN last_flag TEXT;
ALTER TABLE session ADD COLUMN last_refusal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN last_facets TEXT NOT NULL DEFAULT '[]';

-- `owned`: sessions in which this user was the last one seen, and so the next two. `minute` is the last one with a task.
DELETE FROM user;
ALTER TABLE user ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN success INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN failure INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN moderated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN rephrased INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN frustrated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN loops INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN active_days INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN owned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN owned_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN ended_badly INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN minute_tasks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN busiest_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN busiest_minute INTEGER NOT NULL DEFAULT 0;

CREATE TABLE user_day (
  user INTEGER NOT NULL,        -- user.key
  day INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  priced INTEGER NOT NULL,
  success INTEGER NOT NULL,
  failure INTEGER NOT NULL,
  refusals INTEGER NOT NULL,
  moderated INTEGER NOT NULL,
  limited INTEGER NOT NULL,
  repeated INTEGER NOT NULL,
  rephrased INTEGER NOT NULL,
  frustrated INTEGER NOT NULL,
  loops INTEGER NOT NULL,
  PRIMARY KEY (day, user)
) WITHOUT ROWID;

DELETE FROM attendance;

-- Where adding up the tasks that were there before has come to; empty once it is done.
CREATE TABLE backfill (after INTEGER NOT NULL);
INSERT INTO backfill SELECT min(key) - 1 FROM task HAVING count(*) > 0;
