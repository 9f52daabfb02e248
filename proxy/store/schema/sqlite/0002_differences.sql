-- A record may be kept as its difference from another one (proxy/store/difference.py): `base` is that one's key.
ALTER TABLE record ADD COLUMN base INTEGER;
CREATE INDEX record_base ON record (base) WHERE base IS NOT NULL;

-- What a difference is from must stay as it is. proxy/store/shelf.py changes and drops records; whatever does not go through it
-- is refused here, before a record that others need is gone. (What is only packed anew, the shelf gives another base.)
CREATE TRIGGER record_needed_when_changed BEFORE UPDATE OF data ON record
WHEN NEW.base IS OLD.base AND EXISTS (SELECT 1 FROM record WHERE base = OLD.key)
BEGIN SELECT RAISE(ABORT, 'other records are kept as differences from this one'); END;
CREATE TRIGGER record_needed_when_dropped BEFORE DELETE ON record
WHEN EXISTS (SELECT 1 FROM record WHERE base = OLD.key)
BEGIN SELECT RAISE(ABORT, 'other records are kept as differences from this one'); END;

-- Nearly all tasks are completed, and a list of those walks the keys: only the others are worth an index.
DROP INDEX task_ending;
CREATE INDEX task_ending ON task (ending) WHERE ending <> 'completed';

-- A save merges parts of the full-text index less often; a search looks through a few more of them.
INSERT INTO search (search, rank) VALUES ('automerge', 8);
