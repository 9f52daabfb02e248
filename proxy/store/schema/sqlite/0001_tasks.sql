-- What a task is kept as. `key` is `created_at * 2048` and a number that tells equals apart (proxy/store/keys.py), so every
-- index ends in the order of lists, newest first, and a span of time is a span of keys.
CREATE TABLE task (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  origin TEXT NOT NULL UNIQUE,
  project_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,  -- microseconds since the epoch, as every time here
  ended_at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  session_id TEXT,
  user_id TEXT,
  model_requested TEXT,
  model TEXT,
  ending TEXT NOT NULL,
  flag TEXT,
  prompt INTEGER,               -- prompt.key
  facts TEXT NOT NULL,          -- JSON object: all other fields that are known (proxy/store/rows.py)
  input TEXT,
  output TEXT
);
CREATE INDEX task_session ON task (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX task_user ON task (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX task_project ON task (project_id);
CREATE INDEX task_kind ON task (kind);
CREATE INDEX task_ending ON task (ending);
CREATE INDEX task_flag ON task (flag) WHERE flag IS NOT NULL;
CREATE INDEX task_model ON task (model) WHERE model IS NOT NULL;
CREATE INDEX task_model_requested ON task (model_requested) WHERE model_requested IS NOT model;

-- Bodies, headers, pieces and the provider's JSON, in one compressed piece a task (proxy/store/record.py).
CREATE TABLE record (key INTEGER PRIMARY KEY, data BLOB NOT NULL);

-- System prompts, each once however many tasks have it; `uses` is how many do.
CREATE TABLE prompt (key INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, uses INTEGER NOT NULL, text TEXT NOT NULL);

CREATE VIRTUAL TABLE search USING fts5 (input, output, content = 'task', content_rowid = 'key', columnsize = 0, tokenize = 'unicode61');

CREATE TABLE feedback (
  key INTEGER PRIMARY KEY,
  task INTEGER NOT NULL,        -- task.key
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  flag TEXT,
  score REAL,
  comment TEXT,
  source TEXT,
  user_id TEXT
);
CREATE INDEX feedback_task ON feedback (task);

-- How many tasks each epoch of a relay has brought.
CREATE TABLE epoch (epoch TEXT PRIMARY KEY, tasks INTEGER NOT NULL) WITHOUT ROWID;

-- Rollups, brought up to date in the commit that keeps the tasks. Costs are in whole picodollars. `*_at` is the `created_at` of
-- the task that the value is of.
CREATE TABLE session (
  key INTEGER PRIMARY KEY,
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost INTEGER,
  final INTEGER NOT NULL,
  user_at INTEGER,
  user_id TEXT,
  model_at INTEGER,
  model TEXT,
  first_at INTEGER,
  first_input TEXT,
  last_at INTEGER NOT NULL,
  last_ending TEXT NOT NULL,
  last_input TEXT,
  last_output TEXT,
  UNIQUE (id, project_id)
);
CREATE INDEX session_ended ON session (ended_at);
CREATE INDEX session_project ON session (project_id, ended_at);

CREATE TABLE user (
  key INTEGER PRIMARY KEY,
  project_id TEXT NOT NULL,
  id TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  sessions INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost INTEGER,
  UNIQUE (id, project_id)
);
CREATE INDEX user_seen ON user (last_seen);
CREATE INDEX user_project ON user (project_id, last_seen);

-- Who took part in which session; `ended_at` follows the session's, so that a user's sessions are listed in its order.
CREATE TABLE attendance (
  user_id TEXT NOT NULL,
  session INTEGER NOT NULL,     -- session.key; it has the project too
  project_id TEXT NOT NULL,
  ended_at INTEGER NOT NULL,
  PRIMARY KEY (session, user_id)
) WITHOUT ROWID;
CREATE INDEX attendance_user ON attendance (user_id, ended_at, session);
