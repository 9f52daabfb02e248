"""What Linux knows of a process and of this machine: CPU time, memory, cores, versions."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib.metadata import version
from pathlib import Path


def threads(pid: int) -> list[int]:
    """The thread ids of a process."""
    return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that live."""
    return [int(child) for thread in threads(pid) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]


def pin(pid: int, core: int) -> None:
    """Keep every thread of a process on one core; threads that they start later inherit it."""
    for thread in threads(pid):
        os.sched_setaffinity(thread, {core})


def two_cores() -> tuple[int, int]:
    """One core for the proxy under test, and one where we and what we start from now on stay, with more files open than is usual.

    Raises `SystemExit` where there is but one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("Two cores are needed: one for the proxy, one for the rest.")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16384)), hard))
    os.sched_setaffinity(0, {cores[1]})
    return cores[0], cores[1]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with all its threads, from the scheduler's own nanoseconds."""
    return sum(int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) for thread in threads(pid)) / 1e9


def wakes(pid: int) -> int:
    """How often the threads of a process went to sleep, and so were woken, since they began."""
    states = [Path(f"/proc/{pid}/task/{thread}/status").read_text() for thread in threads(pid)]
    return sum(int(state.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for state in states)


def memory(pid: int) -> tuple[float, float]:
    """MiB of a process: resident (RSS), and its share of it where pages are shared (PSS)."""
    found = _rollup(pid)
    return found["Rss"], found["Pss"]


def own_memory(pid: int) -> float:
    """MiB of a process that are in no other (USS)."""
    found = _rollup(pid)
    return found["Private_Clean"] + found["Private_Dirty"]


def _rollup(pid: int) -> dict[str, float]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {name: int(value.split()[0]) / 1024 for name, value in lines}


def describe() -> str:
    """One line that says what these figures were measured on."""
    models = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.strip().rpartition("/")[2]
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "aiohttp", "orjson"))
    system = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, {packages}, nginx {nginx}"
    return f"{models[0] if models else platform.machine()}, {system}"
