"""Watching a stream while the app reads it: generators by a wrapper, other iterators in place: the app keeps its object."""

from __future__ import annotations

import types
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

from proxy.client.entry import COMPLETED
from proxy.client.labels import here
from proxy.client.recording import Recording

NAME = "_tasktap_recording"


def watch(stream: Any, recording: Recording) -> Any:
    """What the app must iterate over so that `recording` sees it: `stream` itself, where that can be."""
    if isinstance(stream, (MutableGenerator, MutableAsyncGenerator)):
        stream.recording = recording
    elif isinstance(stream, types.GeneratorType):
        stream = WatchedGenerator(stream, recording)
    elif isinstance(stream, types.AsyncGeneratorType):
        stream = WatchedAsyncGenerator(stream, recording)
    elif not _in_place(stream, recording):
        stream = WatchedAsyncGenerator(stream, recording) if hasattr(stream, "__aiter__") else WatchedGenerator(stream, recording)
    weakref.finalize(stream, recording.left).atexit = False
    return stream


def is_stream(value: Any, asked: bool) -> bool:
    """Is this read item by item? Generators are; other iterators where the app asked for a stream."""
    if isinstance(value, (types.GeneratorType, types.AsyncGeneratorType, MutableGenerator, MutableAsyncGenerator)):
        return True
    if isinstance(value, (str, bytes, dict, list, tuple, set, frozenset)):
        return False
    return asked and any(hasattr(value, name) for name in ("__next__", "__anext__", "__iter__", "__aiter__"))


class _Step:
    """The stream's own code runs: its labels hold, and what it raises is how it ended."""

    __slots__ = ("_outside", "_recording", "_token")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __enter__(self) -> None:
        recording = self._recording
        self._token = here.set(recording.here) if recording.here is not None else None
        self._outside, recording.inside = recording.inside, True

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, _: object) -> None:
        self._recording.inside = self._outside
        if self._token is not None:
            here.reset(self._token)
        if isinstance(why, (StopIteration, StopAsyncIteration)):
            self._recording.end(COMPLETED)
        elif why is not None:
            self._recording.broke(why)


class WatchedGenerator(Generator[Any, Any, Any]):
    """A generator or iterator, and a recording that sees its items."""

    def __init__(self, inner: Any, recording: Recording) -> None:
        self._inner = inner if hasattr(inner, "__next__") else iter(inner)
        self._recording = recording

    def send(self, value: Any) -> Any:
        with _Step(self._recording):
            item = next(self._inner) if value is None else self._inner.send(value)
        self._recording.item(item)
        return item

    def throw(self, *what: Any) -> Any:
        with _Step(self._recording):
            item = self._inner.throw(*what) if hasattr(self._inner, "throw") else super().throw(*what)
        self._recording.item(item)
        return item

    def close(self) -> None:
        try:
            if hasattr(self._inner, "close"):
                self._inner.close()
        finally:
            self._recording.left()


class WatchedAsyncGenerator(AsyncGenerator[Any, Any]):
    """An async generator or iterator, and a recording that sees its items."""

    def __init__(self, inner: Any, recording: Recording) -> None:
        self._inner = inner if hasattr(inner, "__anext__") else aiter(inner)
        self._recording = recording

    async def asend(self, value: Any) -> Any:
        with _Step(self._recording):
            item = await (anext(self._inner) if value is None else self._inner.asend(value))
        self._recording.item(item)
        return item

    async def athrow(self, *what: Any) -> Any:
        with _Step(self._recording):
            item = await (self._inner.athrow(*what) if hasattr(self._inner, "athrow") else super().athrow(*what))
        self._recording.item(item)
        return item

    async def aclose(self) -> None:
        try:
            if hasattr(self._inner, "aclose"):
                await self._inner.aclose()
        finally:
            self._recording.left()


class MutableGenerator:
    """A generator that `log(stream=True)` can watch, and that ends after the item for which `stop` is true (or at its own end).

    That last item is given and recorded too: it often holds the counts.
    """

    recording: Recording | None = None

    def __init__(self, generator: Any, stop: Callable[[Any], Any] | None = None) -> None:
        self._inner = iter(generator)
        self._stop = stop
        self._over = False

    def __iter__(self) -> MutableGenerator:
        return self

    def __next__(self) -> Any:
        if self._over:
            raise StopIteration
        if self.recording is None:
            item = next(self._inner)
        else:
            with _Step(self.recording):
                item = next(self._inner)
            self.recording.item(item)
        if _says(self._stop, item):
            self._over = True
            if self.recording is not None:
                self.recording.end(COMPLETED)
        return item

    def close(self) -> None:
        self._over = True
        try:
            if hasattr(self._inner, "close"):
                self._inner.close()
        finally:
            if self.recording is not None:
                self.recording.left()


class MutableAsyncGenerator:
    """Likewise for an async generator."""

    recording: Recording | None = None

    def __init__(self, generator: Any, stop: Callable[[Any], Any] | None = None) -> None:
        self._inner = aiter(generator)
        self._stop = stop
        self._over = False

    def __aiter__(self) -> MutableAsyncGenerator:
        return self

    async def __anext__(self) -> Any:
        if self._over:
            raise StopAsyncIteration
        if self.recording is None:
            item = await anext(self._inner)
        else:
            with _Step(self.recording):
                item = await anext(self._inner)
            self.recording.item(item)
        if _says(self._stop, item):
            self._over = True
            if self.recording is not None:
                self.recording.end(COMPLETED)
        return item

    async def aclose(self) -> None:
        self._over = True
        try:
            if hasattr(self._inner, "aclose"):
                await self._inner.aclose()
        finally:
            if self.recording is not None:
                self.recording.left()


def _says(stop: Callable[[Any], Any] | None, item: Any) -> bool:
    """The app's own function; one that cannot read an item (an empty line) does not stop at it."""
    try:
        return stop is not None and bool(stop(item))
    except Exception:  # see above
        return False


def _in_place(stream: Any, recording: Recording) -> bool:
    """Watch an iterator that is an object of a Python class, by giving it a subclass of its class; False where that cannot be.

    The app has the object already and will read that one; a wrapper would see nothing. Only this object changes, not its class.
    """
    cls = type(stream)
    try:
        stream.__dict__[NAME] = recording
        stream.__class__ = _watched(cls)
    except Exception:  # no __dict__, a class written in C, a metaclass that minds
        getattr(stream, "__dict__", {}).pop(NAME, None)
        return False
    return True


_classes: weakref.WeakKeyDictionary[type, type] = weakref.WeakKeyDictionary()


def _watched(cls: type) -> type:
    """A subclass of `cls` that shows its items to the recording of each object."""
    if cls in _classes:
        return _classes[cls]

    def of(self: Any) -> Recording:
        found: Recording = self.__dict__[NAME]
        return found

    def next_(self: Any) -> Any:
        recording = of(self)
        if recording.inside:
            return cls.__next__(self)  # type: ignore[attr-defined]  # only where it has one
        with _Step(recording):
            item = cls.__next__(self)  # type: ignore[attr-defined]
        recording.item(item)
        return item

    async def anext_(self: Any) -> Any:
        recording = of(self)
        if recording.inside:
            return await cls.__anext__(self)  # type: ignore[attr-defined]
        with _Step(recording):
            item = await cls.__anext__(self)  # type: ignore[attr-defined]
        recording.item(item)
        return item

    def iter_(self: Any) -> Any:
        inner = cls.__iter__(self)  # type: ignore[attr-defined]
        return self if inner is self else _items(self, inner, of(self))

    def aiter_(self: Any) -> AsyncIterator[Any]:
        inner = cls.__aiter__(self)  # type: ignore[attr-defined]
        return self if inner is self else _async_items(self, inner, of(self))

    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        of(self).left()
        return cls.close(self, *args, **kwargs)  # type: ignore[attr-defined]

    def aclose(self: Any, *args: Any, **kwargs: Any) -> Any:
        of(self).left()
        return cls.aclose(self, *args, **kwargs)  # type: ignore[attr-defined]

    ours = {"__next__": next_, "__anext__": anext_, "__iter__": iter_, "__aiter__": aiter_, "close": close, "aclose": aclose}
    body: dict[str, Any] = {name: function for name, function in ours.items() if hasattr(cls, name)}
    body |= {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    _classes[cls] = type(cls)(cls.__name__, (cls,), body)
    return _classes[cls]


def _items(stream: Any, inner: Any, recording: Recording) -> Iterator[Any]:
    """What `for` reads; holds `stream`, so that it is not taken for left meanwhile."""
    while True:
        try:
            with _Step(recording):
                item = next(inner)
        except StopIteration:
            return
        recording.item(item)
        yield item


async def _async_items(stream: Any, inner: Any, recording: Recording) -> AsyncIterator[Any]:
    while True:
        try:
            with _Step(recording):
                item = await anext(inner)
        except StopAsyncIteration:
            return
        recording.item(item)
        yield item
