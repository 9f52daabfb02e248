"""Ground that can be made bad: small file systems of the test's own, and what is done to them. Most of it needs root."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

IMAGE_BYTES = 160 << 20


class Refused(Exception):
    """This machine does not let us: no root, no loop device, no compiler. The text says what was tried."""


def run(*command: str) -> None:
    """Run a command of the system. Raises Refused."""
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=150)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        raise Refused(f"`{' '.join(command)}` is refused here: {said.decode(errors='replace').strip() or error}") from error


@contextlib.contextmanager
def mounted(at: Path, *how: str) -> Iterator[Path]:
    """`mount HOW at`, and no more of it afterwards. Raises Refused."""
    at.mkdir(parents=True, exist_ok=True)
    run("mount", *how, str(at))
    try:
        yield at
    finally:
        try:
            run("umount", str(at))
        except Refused:  # somebody still holds a file in it: it goes with them
            run("umount", "-l", str(at))


@contextlib.contextmanager
def small(folder: Path, megabytes: int = 48) -> Iterator[Path]:
    """A file system in memory of so many MiB."""
    with mounted(folder / "small", "-t", "tmpfs", "-o", f"size={megabytes}m", "tasktap-fire") as place:
        yield place


@contextlib.contextmanager
def device(folder: Path, image: Path | None = None) -> Iterator[Path]:
    """An ext4 on a file: `image`, or a new one at `folder/image`. It writes through what it is asked to, and little else."""
    path = image or folder / "image"
    if image is None:
        with path.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(path))
    with mounted(folder / f"mount-of-{path.name}", "-o", "loop,commit=600", str(path)) as place:
        yield place


def fill(place: Path) -> Path:
    """Take all the room that is left; returns the file that has it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
            except OSError:
                size //= 2
    return filler


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Nothing in `directory` can be made, written or deleted; what is open already can be written."""
    if os.geteuid():
        directory.chmod(0o500)
        try:
            yield
        finally:
            directory.chmod(0o700)
        return
    with mounted(directory, "--bind", str(directory)):
        run("mount", "-o", "remount,bind,ro", str(directory))
        yield


@contextlib.contextmanager
def frozen(place: Path) -> Iterator[None]:
    """Whoever writes to this file system waits."""
    run("fsfreeze", "-f", str(place))
    try:
        yield
    finally:
        run("fsfreeze", "-u", str(place))


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static long *shift(void) {
    static long none, *found;
    if (!found) {
        const char *path = getenv("FIRE_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *mapped = fd < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
        found = mapped == MAP_FAILED ? &none : mapped;
    }
    return found;
}
int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, at);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += *shift();
    return failed;
}
time_t time(time_t *into) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (into) *into = at.tv_sec;
    return at.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""
"""A library to load before others: the wall clock, shifted by the seconds in a file that can change meanwhile."""


def clock(folder: Path) -> tuple[dict[str, str], Path]:
    """The environment in which the wall clock is shifted, and the file with its shift. Raises Refused."""
    source, library, shift = folder / "clock.c", folder / "clock.so", folder / "shift"
    source.write_text(CLOCK)
    run("cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl")
    set_clock(shift, 0)
    return {"LD_PRELOAD": str(library), "FIRE_CLOCK": str(shift)}, shift


def set_clock(shift: Path, seconds: int) -> None:
    """Shift it by so many seconds from now on."""
    flags = os.O_RDWR | os.O_CREAT
    with open(os.open(shift, flags, 0o644), "r+b", buffering=0) as file:
        file.write(seconds.to_bytes(8, "little", signed=True))
        file.truncate(4096)
