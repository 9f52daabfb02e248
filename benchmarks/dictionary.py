"""What task rows are compressed with: `python -m benchmarks.dictionary FILE` trains one from the tapes and our own prose.

The one in use is never made anew, since rows that are kept need it: a better one gets a name and a kind of its own in
proxy/store/told.py.
"""

from __future__ import annotations

import random
import re
import sys
from dataclasses import replace
from pathlib import Path

from proxy.demo.script import STORIES
from proxy.record.reading import read
from proxy.store import told
from proxy.store.rows import facts
from proxy.task import Task
from tests.tapes.tape import tapes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SIZE = 8192
_ROOT = Path(__file__).parent.parent
_TIMES = ("seconds_total", "seconds_to_first_byte", "seconds_to_first_token", "longest_stall")


def samples() -> list[bytes]:
    """Rows as they are before they are compressed: every tape's, and prose as if it had been asked and answered."""
    rng = random.Random(1)
    tasks = [read(tape.call()) for tape in tapes()]
    prose = [
        paragraph
        for path in (_ROOT / "README.md", _ROOT / "CHANGELOG.md")
        for paragraph in re.split(r"\n\n+", path.read_text())
        if not paragraph.startswith(("|", "```"))
    ]
    said = [line for story in STORIES for line in story.lines] * 4 + list(zip(prose[::2], prose[1::2], strict=False))
    return [_row(task) for task in tasks] + [_row(_as_if(rng, rng.choice(tasks), *line)) for line in said]


def _as_if(rng: random.Random, task: Task, asked: str, answered: str) -> Task:
    times = {name: round(rng.random() * 20, 6) for name in _TIMES}
    sizes = {name: rng.randrange(9000) for name in ("request_size", "response_size")}
    return replace(task, input=asked, output=answered, **times, **sizes)  # type: ignore[arg-type]  # floats and ints, each by its name


def _row(task: Task) -> bytes:
    return told.written(facts(task, prompt_apart=task.system_prompt is not None))


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(zstd.train_dict(samples(), SIZE).dict_content)
