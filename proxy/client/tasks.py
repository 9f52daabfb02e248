"""`log`, `user_feedback`, and what they share with `wrap`: from what an app passes to an entry in the outbox."""

from __future__ import annotations

import time
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from proxy.client import sound
from proxy.client.entry import Entry, Logged, frozen
from proxy.client.feedback import flag_of, said
from proxy.client.labels import Here, here, latest_session, latest_task, new_id
from proxy.client.life import the
from proxy.client.recording import Recording
from proxy.client.snapshot import plain, readable
from proxy.client.streams import watch

Extractor = Callable[[Any], Any]

UNREAD = ": a plain generator cannot be watched; wrap it in MutableGenerator, or read `log(...).stream`"


class Extractors(NamedTuple):
    """The app's own functions from its objects to text."""

    input: Extractor | None = None
    output: Extractor | None = None

    def input_text(self, *shapes: Any) -> str | None:
        return None if self.input is None else _text(self.input, shapes)

    def output_text(self, value: Any) -> str | None:
        return None if self.output is None else _text(self.output, (value,))


def _text(extractor: Extractor, shapes: tuple[Any, ...]) -> str | None:
    """What the app's function says of the object itself, else of its plain form, which is what phospho gives it.

    `None` where it cannot read either: then the text is found as without it.
    """
    fault: Exception | None = None
    for as_it_is in (True, False):
        for shape in shapes:
            try:
                found = extractor(shape if as_it_is else readable(plain(shape)))
            except Exception as wrong:  # the app's own function
                fault = wrong
            else:
                return None if found is None else str(found)
    if fault is not None:
        the.fault(fault)
    return None


def task_entry(
    task_id: str,
    *,
    session_id: Any = None,
    user_id: Any = None,
    project_id: Any = None,
    parent_task_id: Any = None,
    metadata: Any = None,
    version_id: Any = None,
    created_at: Any = None,
    name: Any = None,
    kind: Any = None,
    flag: Any = None,
    ended_at: Any = None,
    raw_input: Any = None,
    raw_output: Any = None,
    system_prompt: Any = None,
    usage: Any = None,
    input: Any = None,
    output: Any = None,
    input_text: str | None = None,
    output_text: str | None = None,
    called: bool = False,
    events: Any = None,
    **more: Any,
) -> Entry:
    """A task from the keywords of `log`, and from what holds here where they say nothing."""
    now = here.get()
    version_id = version_id if version_id is not None else the.settings.version_id
    if version_id is not None:
        more["version_id"] = version_id
    if now.metadata:
        more = {**now.metadata, **more}
    if user_id is None and isinstance(metadata, dict):
        user_id = metadata.get("user_id")
    if created_at is not None:
        created_at = sound.moment(created_at)
    if ended_at is not None:
        ended_at = sound.moment(ended_at)
    return Entry(  # by place, which is faster
        task_id,
        created_at if created_at is not None else time.time_ns(),
        ended_at,
        session_id if session_id is not None else now.session_id,
        user_id if user_id is not None else now.user_id,
        project_id or now.project_id or the.settings.project_id,
        parent_task_id or now.parent_task_id,
        name,
        kind,
        flag,
        input,
        output,
        raw_input,
        raw_output,
        input_text,
        output_text,
        system_prompt,
        usage,
        metadata,
        more or None,
        None,
        None,
        False,
        None,
        called,
        False,
        events,
    )


def start_stream(
    entry: Entry,
    stop: Extractor | None,
    to_text: Extractor | None,
    inside: Here | None = None,
    hint: str = "",
) -> Recording:
    """The record of a stream that the app is going to read."""
    return Recording(entry, the.put, stop=stop, to_text=to_text, here=inside, hint=hint)


def send(entry: Entry) -> None:
    """Put a whole task into the outbox."""
    the.put(frozen(entry))


def log(
    input: Any,
    output: Any = None,
    session_id: str | None = None,
    user_id: str | None = None,
    task_id: str | None = None,
    *,
    stream: bool = False,
    stop: Extractor | None = None,
    input_to_str_function: Extractor | None = None,
    output_to_str_function: Extractor | None = None,
    input_output_to_usage_function: Callable[[Any, Any], dict[str, Any]] | None = None,
    **labels: Any,
) -> Logged:
    """Log a task: what went in, and what came out of it. Returns at once, and never raises for what it is given.

    `input` and `output` are text, an OpenAI, Anthropic or Ollama query and answer, a list of messages, or anything: the text is
    found in it (or by `input_to_str_function` and `output_to_str_function`), and the whole is kept as `raw_input` and
    `raw_output`. `stream=True`: `output` is recorded while the app reads it, until its end or until `stop(item)` is true.

    Other keywords: `raw_input`, `raw_output`, `metadata`, `system_prompt`, `name`, `kind`, `flag`, `usage`, `project_id`,
    `parent_task_id`, `created_at`, `ended_at`, `events` (names of labels). Any further one is metadata.
    """
    task_id = str(task_id) if task_id is not None else new_id()
    try:
        if "output_to_str_fucntion" in labels:  # so spelled in phospho's documentation
            output_to_str_function = labels.pop("output_to_str_fucntion")
        if input_to_str_function is not None:
            labels["input_text"] = Extractors(input=input_to_str_function).input_text(input)
        if output_to_str_function is not None and not stream:
            labels["output_text"] = Extractors(output=output_to_str_function).output_text(output)
        if input_output_to_usage_function is not None:
            labels["usage"] = input_output_to_usage_function(input, output)
        item = frozen(
            task_entry(task_id, input=input, output=None if stream else output, session_id=session_id, user_id=user_id, **labels)
        )
        latest_task.set(task_id)
        if session_id is not None:
            latest_session.set(session_id)
        if not stream:
            the.put(item)
            return Logged(task_id, item)
        hint = UNREAD if isinstance(output, types.GeneratorType | types.AsyncGeneratorType) else ""
        recording = start_stream(item.entry(), stop, output_to_str_function, hint=hint)
        return Logged(task_id, item, watch(output, recording))
    except Exception as bug:  # the promise: a record that cannot be made is counted, and the app goes on
        the.fault(bug)
        return Logged(task_id, None)


def user_feedback(
    task_id: str,
    flag: str | None = None,
    notes: str | None = None,
    source: str | None = "user",
    raw_flag: Any = None,
    raw_flag_to_flag: Callable[[Any], str] | None = None,
    *,
    score: float | None = None,
    comment: str | None = None,
    user_id: str | None = None,
) -> None:
    """Say what a user thought of a task, before or after the task is there: `flag` "success" or "failure", `score`, `comment`.

    `raw_flag` is the app's own mark: 👍 🙂 😀 and "success" mean success, anything else failure, or as `raw_flag_to_flag` says.
    `notes` is `comment`. It waits with the tasks, in order; nothing is lost while the desk is away.
    """
    try:
        the.put(
            said(
                task_id,
                flag=flag_of(flag, raw_flag, raw_flag_to_flag),
                score=score,
                comment=comment if comment is not None else notes,
                source=source,
                user_id=user_id if user_id is not None else here.get().user_id,
            )
        )
    except Exception as wrong:  # as in `log`
        the.fault(wrong)
