-- By what a call that goes on from a task finds it: keyed hashes of what was said (proxy/record/keys.py). The first 16 bits of a
-- key are its caller's, so that those of one conversation lie together.
CREATE TABLE trace (key INTEGER NOT NULL, task INTEGER NOT NULL, mark INTEGER NOT NULL, PRIMARY KEY (key, task)) WITHOUT ROWID;
CREATE INDEX trace_task ON trace (task);
CREATE TRIGGER trace_forgotten AFTER DELETE ON task BEGIN DELETE FROM trace WHERE task = old.key; END;

-- Whether a call named the session: every one did until now.
ALTER TABLE session ADD COLUMN explicit INTEGER NOT NULL DEFAULT 1;
