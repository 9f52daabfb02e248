-- Cells of a `span` of 2, a minute, are kept of the last day (proxy/store/sqlite_minutes.py): of the minutes from `since` on, all of them.
-- No task that is there already is in one. A later step that makes the cells anew has to begin here anew, too.
CREATE TABLE minutes (since INTEGER NOT NULL);
INSERT INTO minutes SELECT max(
  (CAST(strftime('%s', 'now') AS INTEGER) / 3600 - 25) * 3600000000,
  coalesce((SELECT (created_at / 60000000 + 1) * 60000000 FROM task ORDER BY key DESC LIMIT 1), 0)
);
