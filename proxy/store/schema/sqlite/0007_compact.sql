-- The full-text index finds blocks of tasks, not tasks: those that began in the same 65 ms are one row of it, `key >> 27`, and which
-- words stand where in them is not kept (proxy/store/sqlite_words.py). What it finds is looked at again in the tasks' own text.
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0, detail = 'none', tokenize = 'unicode61');
INSERT INTO search (search, rank) VALUES ('automerge', 8);
INSERT INTO search (rowid, text)
  SELECT block, (
    SELECT group_concat(coalesce(input, '') || char(10) || coalesce(output, ''), char(10))
    FROM task WHERE key BETWEEN block << 27 AND (block << 27) + 134217727
  )
  FROM (SELECT DISTINCT key >> 27 AS block FROM task WHERE input <> '' OR output <> '') ORDER BY block;

-- Facts, input and output in one compressed piece (proxy/store/told.py); in SQL, `told(facts)` is the JSON of it.
CREATE TABLE compact (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  origin TEXT NOT NULL UNIQUE,
  project_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  session_id TEXT,
  user_id TEXT,
  model_requested TEXT,
  model TEXT,
  ending TEXT NOT NULL,
  flag TEXT,
  prompt INTEGER,               -- prompt.key
  answer INTEGER,               -- by what it is found by the provider's own id: a few bits of that (proxy/store/rows.py)
  parent_task_id TEXT,
  facts BLOB NOT NULL
);
INSERT INTO compact SELECT
  key, id, origin, project_id, created_at, ended_at, kind, session_id, user_id, model_requested, model, ending, flag, prompt,
  answer_of(facts), json_extract(facts, '$.parent_task_id'), told_of(facts, input, output)
  FROM task ORDER BY key;
DROP TABLE task;
ALTER TABLE compact RENAME TO task;
CREATE INDEX task_session ON task (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX task_user ON task (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX task_project ON task (project_id);
CREATE INDEX task_kind ON task (kind);
CREATE INDEX task_ending ON task (ending) WHERE ending <> 'completed';
CREATE INDEX task_flag ON task (flag) WHERE flag IS NOT NULL;
CREATE INDEX task_model ON task (model) WHERE model IS NOT NULL;
CREATE INDEX task_model_requested ON task (model_requested) WHERE model_requested IS NOT model;
CREATE INDEX task_answer ON task (answer) WHERE answer IS NOT NULL;
CREATE INDEX task_parent ON task (parent_task_id) WHERE parent_task_id IS NOT NULL;
CREATE TRIGGER trace_forgotten AFTER DELETE ON task BEGIN DELETE FROM trace WHERE task = old.key; END;
