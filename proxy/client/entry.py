"""One thing that an app logged, frozen; and the document that the desk gets of it, which is only written when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from proxy.client import extract, sound
from proxy.client.assemble import Whole, assemble
from proxy.client.snapshot import freeze, plain, readable, thaw

LABELS = ("session_id", "user_id", "project_id", "name", "kind")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COMPLETED = "completed"
RAISED = "upstream_error"  # what was called raised, before or instead of an answer
BROKE = "upstream_broke"  # a stream raised after it had begun
LEFT = "caller_left"  # a stream that the app did not read to its end


class Entry(NamedTuple):
    """A task as the app passed it; `None` is what it did not give. Times are nanoseconds, or what the app gave."""

    task_id: str
    created_at: Any
    ended_at: Any = None
    session_id: Any = None
    user_id: Any = None
    project_id: Any = None
    parent_task_id: Any = None
    name: Any = None
    kind: Any = None
    flag: Any = None
    input: Any = None
    output: Any = None
    raw_input: Any = None
    raw_output: Any = None
    input_text: str | None = None  # what the app's own extractor said
    output_text: str | None = None
    system_prompt: Any = None
    usage: Any = None
    metadata: Any = None
    more: Any = None  # keywords of no meaning to us: metadata too
    ending: str | None = None
    problems: Any = None
    streamed: bool = False  # `output` is the list of a stream's items
    seconds_to_first_token: float | None = None
    called: bool = False  # `input` are the arguments of a function, by name
    sealed: bool = False  # `input` holds, frozen, what the app may change before the task ends
    events: Any = None  # names, or objects with a name

    def seal(self) -> Entry:
        """The same, safe from what the app does to its objects from now on."""
        kept = freeze((self.input, self.raw_input, self.metadata, self.more))
        return self._replace(input=kept, raw_input=None, metadata=None, more=None, sealed=True)

    def unsealed(self) -> Entry:
        if not self.sealed:
            return self
        input, raw_input, metadata, more = thaw(self.input)
        if self.more:  # what was added since
            more = {**(more or {}), **self.more}
        return self._replace(input=input, raw_input=raw_input, metadata=metadata, more=more, sealed=False)


class Frozen(NamedTuple):
    """An entry that cannot change any more, and about how many bytes of memory it holds.

    `items` are those of a stream, where they are an SDK's objects: each is new, so that nobody changes them, and they are made
    plain later, on the sender's thread.
    """

    data: bytes
    size: int
    items: tuple[Any, ...] | None = None

    def entry(self) -> Entry:
        """The entry again. May take a while for a long stream."""
        entry = Entry(*thaw(self.data)).unsealed()
        return entry if self.items is None else entry._replace(output=[thawed(item) for item in self.items])


class Piece(bytes):
    """An item of a stream that was frozen as it went by."""

    __slots__ = ()


def thawed(item: Any) -> Any:
    """An item of a stream, plain."""
    return thaw(item)[0] if type(item) is Piece else plain(item)


def frozen(entry: Entry, items: tuple[Any, ...] | None = None, size: int = 0) -> Frozen:
    """Freeze an entry, and the items of its stream if it has some of together about `size` bytes."""
    data = freeze(tuple(entry))
    return Frozen(data, len(data) + size, items)


def document(entry: Entry) -> dict[str, Any]:
    """What the desk gets: the fields of `POST /api/tasks`, those without a value left out."""
    try:
        return _document(entry)
    except RecursionError:  # it holds itself, or is deeper than JSON goes
        return _document(Entry(*(plain(value) for value in entry)))


def _document(entry: Entry) -> dict[str, Any]:
    asked, raw_input, given, raw_output = map(_json, (entry.input, entry.raw_input, entry.output, entry.raw_output))
    whole = assemble(given) if entry.streamed and isinstance(given, list) else Whole(given, None, True)
    problems = [str(problem) for problem in entry.problems or ()]
    if entry.ending == LEFT and whole.finished:
        problems = []  # the provider had said that it was the end
    found: dict[str, Any] = {
        "task_id": sound.task_id(entry.task_id),
        "created_at": moment(entry.created_at),
        "input": _question(entry, asked),
        "output": _answer(entry, given, whole),
    }
    if found["task_id"] != entry.task_id:
        problems.append(f"task_id was not used as it was: {entry.task_id[:100]!r}")
    for name in LABELS:
        if (value := getattr(entry, name)) is not None:
            found[name] = sound.label(name, _label(value), problems)
    metadata = _metadata(entry)
    if entry.flag is not None:
        if entry.flag in {"success", "failure"}:
            found["flag"] = entry.flag
        else:
            metadata = {"flag": _json(entry.flag), **(metadata or {})}
    found |= {
        "ended_at": None if entry.ended_at is None else moment(entry.ended_at),
        "parent_task_id": None if entry.parent_task_id is None else sound.task_id(entry.parent_task_id),
        "raw_input": raw_input if raw_input is not None or isinstance(asked, str) else asked,
        "raw_output": raw_output if raw_output is not None or isinstance(whole.raw, str) else whole.raw,
        "metadata": metadata,
        "events": sound.events(_json(entry.events), problems),
        "stream": entry.streamed or None,
        "seconds_to_first_token": entry.seconds_to_first_token,
        "ending": entry.ending if entry.ending != LEFT or not whole.finished else COMPLETED,
        "problems": problems or None,
        **_read(
            entry, asked if not isinstance(asked, str) else raw_input, whole.raw if isinstance(whole.raw, dict) else raw_output
        ),
    }
    return {name: value for name, value in found.items() if value is not None or name == "output"}


def _question(entry: Entry, asked: Any) -> str:
    if entry.input_text is not None:
        return entry.input_text
    if isinstance(asked, str):
        return asked
    return extract.arguments_text(asked) if entry.called else extract.input_text("" if asked is None else asked)


def _answer(entry: Entry, given: Any, whole: Whole) -> str | None:
    if entry.output_text is not None:
        return entry.output_text
    return whole.text if entry.streamed else extract.output_text(given)


def _read(entry: Entry, query: Any, answer: Any) -> dict[str, Any]:
    """What query and answer say beside their texts."""
    usage = extract.usage({"usage": entry.usage}) if entry.usage is not None else None
    return {
        "system_prompt": _label(entry.system_prompt) or (extract.system_prompt(query) if query is not None else None),
        "usage": usage or extract.usage(answer),
        "model": extract.model(query, answer),
    }


def _json(value: Any) -> Any:
    return value if value is None or type(value) is str else readable(value)


def _metadata(entry: Entry) -> dict[str, Any] | None:
    if entry.more is None and entry.metadata is None:
        return None
    more, metadata = readable(entry.more) or {}, readable(entry.metadata)
    if metadata is not None and not isinstance(metadata, dict):
        metadata = {"metadata": metadata}
    return {**more, **(metadata or {})} or None


def _label(value: Any) -> str | None:
    return value if value is None or type(value) is str else extract.as_text(readable(value))


def moment(value: Any) -> Any:
    """Nanoseconds as `2026-11-22T15:04:05.123456Z`; what the app gave as it is."""
    if isinstance(value, int) and value > 10**16:  # seconds, milliseconds and microseconds of this century are smaller
        return (EPOCH + timedelta(microseconds=value // 1000)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return readable(value)


class Logged(Mapping[str, Any]):
    """What was logged, as a mapping: `task_id`, `input`, `output`, ... It is worked out when it is first looked at.

    `stream` is what to iterate over where the output was a plain generator, which cannot be watched itself.
    """

    __slots__ = ("_frozen", "_seen", "stream", "task_id")

    def __init__(self, task_id: str, frozen: Frozen | None, stream: Any = None) -> None:
        self.task_id = task_id
        self.stream = stream
        self._frozen = frozen
        self._seen: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._seen is None:
            nothing = dict.fromkeys(("session_id", "user_id", "system_prompt", "raw_input", "raw_output"))
            self._seen = {**nothing, "task_id": self.task_id, **(document(self._frozen.entry()) if self._frozen else {})}
        return self._seen

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"Logged({self._all()!r})"
