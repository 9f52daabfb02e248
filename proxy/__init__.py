"""tasktap: an OpenAI-compatible logging reverse proxy. This page is the map of the house.

task        values everyone speaks of: Call, Task, Session, User, Filter, Page
client/     what apps log with; imports nothing of ours
wire/       formats, pure: bytes in, meaning out
price/      what calls cost
record/     the writing wing: carries bytes, keeps what was said as tasks
store/      memory: the port and its bodies
query/      the reading wing: questions, the JSON API
config      TOML, environment and flags -> settings
server      puts the house together; starts and stops its processes in order
cli         the `tasktap` command

Who may import whom is written in pyproject.toml (import-linter) and checked in CI.
"""
