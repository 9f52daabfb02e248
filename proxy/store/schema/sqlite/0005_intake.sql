-- What was said of tasks that are not there yet: feedback and amendments, applied when the task comes (proxy/store/entries.py).
CREATE TABLE parked (
  key INTEGER PRIMARY KEY,      -- in the order in which they came
  task_id TEXT,
  response_id TEXT,
  entry BLOB NOT NULL
);
CREATE INDEX parked_task ON parked (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX parked_response ON parked (response_id) WHERE response_id IS NOT NULL;

-- Tasks by the provider's own id of the answer, and by the task that they are part of. Both ids are in `facts`; `instr` is
-- asked first because it costs less than to read the JSON of a task that has none.
CREATE INDEX task_response ON task (json_extract(facts, '$.response_id'))
  WHERE instr(facts, '"response_id":') AND json_valid(facts);
CREATE INDEX task_parent ON task (json_extract(facts, '$.parent_task_id'))
  WHERE instr(facts, '"parent_task_id":') AND json_valid(facts);
