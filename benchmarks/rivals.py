"""What is compared: nginx `proxy_pass`, tasktap, and the helper processes; started on loopback, pinned, and ended again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine

START_SECONDS = 15
ROOT = Path(__file__).parent.parent

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {folder}/pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off;
    }}
  }}
}}
"""

TASKTAP = """
default_upstream = "bench"
[upstreams.bench]
url = "http://127.0.0.1:{upstream}"
"""


@dataclass(frozen=True, slots=True)
class Rival:
    """One way to the upstream: where it listens, and which processes it is. `relay` carries the bytes."""

    name: str
    port: int
    relay: int | None = None
    processes: tuple[int, ...] = ()
    desk: int | None = None
    desk_url: str = ""


class Helper:
    """A process of ours that speaks lines: the upstream, or the callers."""

    def __init__(self, module: str) -> None:
        self.module = module
        command = [sys.executable, "-m", module]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> str:
        """The next line it prints; raises `RuntimeError` where it has ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} has ended")
        return line

    def order(self, **what: Any) -> dict[str, Any]:
        """Say one line of JSON and wait for the one that answers it."""
        assert self.process.stdin is not None
        print(json.dumps(what), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.read())
        return answer

    def close(self) -> None:
        """End it by closing its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        stop(self.process, seconds=3)
        self.process.stdout.close()


def stop(process: subprocess.Popen[Any], seconds: float = 12) -> None:
    """SIGTERM, and SIGKILL where that is not enough."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def nginx(upstream: int, folder: Path, core: int) -> tuple[Rival, subprocess.Popen[Any]]:
    """nginx with one worker on `core`: keep-alive to the upstream, no buffering, no access log."""
    folder.mkdir()
    port = free_port()
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "conf").write_text(NGINX.format(folder=folder, user=user, upstream=upstream, port=port))
    process = subprocess.Popen(["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "conf")])
    deadline = time.monotonic() + START_SECONDS
    while not (workers := machine.children(process.pid)) or not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()}")
        time.sleep(0.05)
    machine.pin(workers[0], core)
    return Rival("nginx", port, workers[0], (process.pid, workers[0])), process


def answers(port: int) -> bool:
    """Does something listen there?"""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def tasktap(
    upstream: int, folder: Path, core: int, options: str = "", python: Path | None = None
) -> tuple[Rival, subprocess.Popen[Any]]:
    """`tasktap serve` as it is by default, its relay on `core`, its desk and supervisor left where we run.

    `python` is one that has tasktap installed; without it this source tree is run. `options` are lines
    of TOML before the upstream's, e.g. `journal.durability = "none"`. `folder` may hold its data already.
    """
    folder.mkdir(exist_ok=True)
    (folder / "conf.toml").write_text(options + TASKTAP.format(upstream=upstream))
    data = folder / "data"
    command = [
        str(python or sys.executable),
        "-m",
        "proxy",
        "serve",
        "--config",
        str(folder / "conf.toml"),
        "--data-dir",
        str(data),
    ]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--calls", "127.0.0.1:0", "--desk", "127.0.0.1:0"],
        cwd=folder if python else ROOT,
        env={name: value for name, value in os.environ.items() if not (python and name == "PYTHONPATH")},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    log.close()
    deadline = time.monotonic() + START_SECONDS
    while not (data / "run.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"tasktap did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.05)
    run = json.loads((data / "run.json").read_text())
    pids = {entry["role"]: entry["pid"] for entry in run["processes"]}
    machine.pin(pids["relay"], core)
    port = int(run["calls"].rpartition(":")[2])
    return Rival(
        "tasktap", port, pids["relay"], tuple(entry["pid"] for entry in run["processes"]), pids["desk"], run["desk"]
    ), process


def run(stack: ExitStack, started: tuple[Rival, subprocess.Popen[Any]]) -> Rival:
    """Have a rival's process ended with the stack."""
    stack.callback(stop, started[1])
    return started[0]


def status(rival: Rival) -> dict[str, Any]:
    """`GET /api/status` of the desk."""
    with urllib.request.urlopen(f"{rival.desk_url}/api/status", timeout=10) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def drained(rival: Rival, seconds: float = 15) -> tuple[float, dict[str, Any]]:
    """Wait until every call is stored; the seconds that took, and the last status."""
    start = time.monotonic()
    while True:
        said = status(rival)
        took = time.monotonic() - start
        if not said["calls"]["waiting"] or took > seconds:
            return took, said
        time.sleep(0.1)
