"""Functions whose every call is a task: plain, async, generators of both kinds, and those that return any of these."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar, overload

from proxy.client.entry import RAISED, Entry
from proxy.client.extract import LABELS
from proxy.client.labels import Here, here, new_id
from proxy.client.life import the
from proxy.client.streams import WatchedAsyncGenerator, WatchedGenerator, is_stream, watch
from proxy.client.tasks import Extractors, send, start_stream, task_entry

F = TypeVar("F", bound=Callable[..., Any])


@overload
def wrap(function: F, /, **options: Any) -> F: ...
@overload
def wrap(function: None = None, /, **options: Any) -> Callable[[F], F]: ...
def wrap(
    function: Callable[..., Any] | None = None,
    /,
    *,
    stream: bool = False,
    stop: Callable[[Any], Any] | None = None,
    input_to_str_function: Callable[[Any], Any] | None = None,
    output_to_str_function: Callable[[Any], Any] | None = None,
    **labels: Any,
) -> Any:
    """Log every call of `function` as a task: its arguments as input, what it returns (or raises, or yields) as output.

    `@wrap`, `@wrap(name="search", metadata={...})`, `wrap(f)(...)` and `client.create = wrap(client.create)` all work, for
    async functions and generators too. What is logged inside becomes a part of this task, as do calls through `openai_headers`
    and `labelled`. `stream=True` reads what is returned item by item (generators always are); `stop(item)` says which item is
    the last. Other keywords are those of `log`; extra ones are metadata.
    """
    if function is None:
        return functools.partial(
            wrap, stream=stream, stop=stop, input_to_str_function=input_to_str_function,
            output_to_str_function=output_to_str_function, **labels,
        )  # fmt: skip
    extractors = Extractors(input_to_str_function, output_to_str_function)
    return _Wrapper(function, stream, stop, extractors, labels).wrapped()


class _Wrapper:
    """One wrapped function."""

    def __init__(
        self,
        function: Callable[..., Any],
        stream: bool,
        stop: Callable[[Any], Any] | None,
        extractors: Extractors,
        labels: dict[str, Any],
    ) -> None:
        self.function = function
        self.stream = stream
        self.stop = stop
        self.extractors = extractors
        self.labels = {"name": getattr(function, "__name__", None), **labels}
        self.names, self.takes_self = _names(function)

    def wrapped(self) -> Callable[..., Any]:
        """The function to call instead. It is of the same kind: what asks `inspect` gets the same answer."""
        if inspect.isasyncgenfunction(self.function):
            calls = _async_items
        elif inspect.isgeneratorfunction(self.function):
            calls = _items
        elif inspect.iscoroutinefunction(self.function):
            calls = _later
        else:
            calls = _now
        return functools.update_wrapper(calls(self), self.function)

    def recording(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The record of a generator function's call."""
        entry, inside = self.entry(args, kwargs)
        return start_stream(entry, self.stop, self.extractors.output, inside)

    def entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Entry, Here]:
        """A call's task, without its output yet; and the labels that hold inside it. Never raises."""
        given = {name: kwargs[name] for name in LABELS if isinstance(kwargs.get(name), str)}
        labels = {**self.labels, **given}
        task_id = str(labels.pop("task_id", None) or new_id())
        try:
            arguments = self.arguments(args, kwargs)
            text = self.extractors.input_text(arguments, {str(n): arg for n, arg in enumerate(args)} | kwargs)
            entry = task_entry(task_id, input=arguments, input_text=text, called=True, **labels).seal()
        except Exception as bug:
            the.fault(bug)
            entry = Entry(task_id, time.time_ns(), input="")
        now = here.get()
        inside = now._replace(
            session_id=entry.session_id, user_id=entry.user_id, project_id=entry.project_id, parent_task_id=task_id
        )
        return entry, inside

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by their names; those of `*args` by their place. `self` and `cls` are left out."""
        names = self.names if len(self.names) >= len(args) else (*self.names, *map(str, range(len(self.names), len(args))))
        found = dict(zip(names, args, strict=False))
        if self.takes_self and args:
            del found[self.names[0]]
        return found | kwargs


def _now(wrapper: _Wrapper) -> Callable[..., Any]:
    def calls(*args: Any, **kwargs: Any) -> Any:
        call = _Call(wrapper, args, kwargs)
        with call:
            result = wrapper.function(*args, **kwargs)
        return call.awaiting(result) if inspect.isawaitable(result) else call.returned(result)

    return calls


def _later(wrapper: _Wrapper) -> Callable[..., Any]:
    async def calls(*args: Any, **kwargs: Any) -> Any:
        call = _Call(wrapper, args, kwargs)
        with call:
            result = await wrapper.function(*args, **kwargs)
        return call.returned(result)

    return calls


def _items(wrapper: _Wrapper) -> Callable[..., Any]:
    def calls(*args: Any, **kwargs: Any) -> Any:
        return (yield from WatchedGenerator(wrapper.function(*args, **kwargs), wrapper.recording(args, kwargs)))

    return calls


def _async_items(wrapper: _Wrapper) -> Callable[..., Any]:
    async def calls(*args: Any, **kwargs: Any) -> Any:
        inner = WatchedAsyncGenerator(wrapper.function(*args, **kwargs), wrapper.recording(args, kwargs))
        try:
            item = await anext(inner)
            while True:
                try:
                    given = yield item
                except GeneratorExit:
                    raise
                except BaseException as why:  # what the app throws into it
                    item = await inner.athrow(why)
                else:
                    item = await inner.asend(given)
        except StopAsyncIteration:
            return
        finally:
            await inner.aclose()

    return calls


class _Call:
    """One call of a wrapped function that returns once."""

    def __init__(self, wrapper: _Wrapper, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.wrapper = wrapper
        self.streams = wrapper.stream or kwargs.get("stream") is True
        self.entry, self.inside = wrapper.entry(args, kwargs)
        self.began = time.perf_counter_ns()

    def __enter__(self) -> None:
        self.token = here.set(self.inside)

    def __exit__(self, kind: object, why: BaseException | None, _: object) -> None:
        here.reset(self.token)
        if why is not None:
            self.raised(why)

    def ended_at(self) -> int:
        return int(self.entry.created_at) + time.perf_counter_ns() - self.began

    async def awaiting(self, result: Any) -> Any:
        """What the app awaits instead of `result`."""
        with self:
            value = await result
        return self.returned(value)

    def raised(self, why: BaseException) -> None:
        """Record that it raised; the app gets the exception itself. (A generator is left by raising: that is no error.)"""
        try:
            error = {"type": type(why).__name__, "message": str(why)}
            problem = f"{self.wrapper.labels['name'] or 'the function'} raised {error['type']}: {error['message']}"
            send(self.entry._replace(ended_at=self.ended_at(), ending=RAISED, problems=[problem], more={"error": error}))
        except Exception as bug:
            the.fault(bug)

    def returned(self, result: Any) -> Any:
        """Record what was returned; a stream is recorded while the app reads it. Gives what the app gets. Never raises."""
        try:
            if is_stream(result, self.streams):
                wrapper = self.wrapper
                return watch(result, start_stream(self.entry, wrapper.stop, wrapper.extractors.output, self.inside))
            text = self.wrapper.extractors.output_text(result)
            send(self.entry._replace(output=result, output_text=text, ended_at=self.ended_at()))
        except Exception as bug:
            the.fault(bug)
        return result


def _names(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """The names of the positional arguments, and whether the first is the object of a method."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return (), False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple(parameter.name for parameter in parameters if parameter.kind in kinds)
    return names, bool(names) and names[0] in {"self", "cls"}
