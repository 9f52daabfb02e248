-- Sessions of one call that named none, to list them alone; the others are found among all, where those are few between them.
CREATE INDEX session_implicit ON session (ended_at) WHERE tasks = 1 AND NOT explicit;
