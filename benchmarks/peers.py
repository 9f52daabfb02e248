"""Two gateways beside us: CPU time per small call of LiteLLM's proxy and Portkey's gateway, with nginx in the same run.

    python -m benchmarks.peers [--rounds N]

Installs them into `build/peers` the first time (pip and npm; minutes). Each has one worker, all its processes on one core, and
keeps no bodies: LiteLLM without a database, Portkey without a log; tasktap records. What is counted is all CPU time of all
processes, for tasktap its desk and supervisor too. Loopback only; ends what it started.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import compiled, machine
from benchmarks.report import number, table
from benchmarks.rivals import ROOT, Helper, Rival, answers, drained, free_port, nginx, run, stop, tasktap

PLACE = ROOT / "build" / "peers"
START_SECONDS = 90
LITELLM = {
    "model_list": [{"model_name": "bench-1", "litellm_params": {"model": "openai/bench-1", "api_key": "sk-x"}}],
    "litellm_settings": {"telemetry": False, "num_retries": 0},
}
Started = tuple[Rival, subprocess.Popen[Any]]


def installed_litellm() -> Path:
    """Its Python, in an environment of its own."""
    place = PLACE / "litellm"
    if not (place / "ready").exists():
        print("installing litellm[proxy]", file=sys.stderr, flush=True)
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([place / "bin/pip", "install", "-q", "litellm[proxy]"], check=True, capture_output=True)
        (place / "ready").touch()
    return place / "bin"


def installed_portkey() -> Path:
    """Its server's script."""
    script = PLACE / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    if not script.exists():
        print("installing @portkey-ai/gateway", file=sys.stderr, flush=True)
        script.parents[4].mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(PLACE / "portkey"),
            "@portkey-ai/gateway",
        ]
        subprocess.run(command, check=True, capture_output=True)
    return script


def litellm(upstream: int, folder: Path, core: int) -> Started:
    """LiteLLM's proxy with one worker."""
    python = installed_litellm()
    folder.mkdir()
    said = json.loads(json.dumps(LITELLM))
    said["model_list"][0]["litellm_params"]["api_base"] = f"http://127.0.0.1:{upstream}/v1"
    (folder / "config.yaml").write_text(json.dumps(said))  # JSON is YAML
    port = free_port()
    command = [str(python / "litellm"), "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    return _started("LiteLLM", [*command, "--num_workers", "1"], port, folder, core)


def portkey(upstream: int, folder: Path, core: int) -> Started:
    """Portkey's gateway on Node."""
    script = installed_portkey()
    folder.mkdir()
    port = free_port()
    return _started("Portkey", ["node", str(script), f"--port={port}", "--headless"], port, folder, core)


def _started(name: str, command: list[str], port: int, folder: Path, core: int) -> Started:
    local = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "NODE_ENV": "production",
        "TRUSTED_CUSTOM_HOSTS": "127.0.0.1",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            cwd=folder,
            env=os.environ | local,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"{name} did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.2)
    return Rival(name, port, process.pid), process


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for child in machine.children(pid):
        found += family(child)
    return found


def cost(load: Helper, rival: Rival, seconds: float, fields: str) -> float:
    """CPU microseconds per small call, of all processes; raises `RuntimeError` where calls fail."""
    said: dict[str, Any] = {}
    used = 0.0
    for length in (min(1.0, seconds / 2), seconds):  # the first one warms up
        pids = rival.processes or tuple(family(rival.relay or 0))
        before = sum(map(machine.cpu_seconds, pids))
        said = load.order(do="calls", port=rival.port, play="small", connections=32, seconds=length, fields=fields, exact=False)
        if rival.desk is not None:
            drained(rival, 60)
        used = sum(map(machine.cpu_seconds, pids)) - before
    if said["failed"] or not said["calls"]:
        raise RuntimeError(f"{rival.name}: {said['failed']} of {said['calls']} calls failed")
    return used / int(said["calls"]) * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or shutil.which("npm") is None:
        print("Two cores and npm are needed.", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {cores[1]})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tasktap-peers-")))
        upstream, load = Helper("benchmarks.upstream"), Helper("benchmarks.load")
        stack.callback(upstream.close)
        stack.callback(load.close)
        port = int(upstream.read())
        python = compiled.python()
        starts: list[Callable[[], Started]] = [
            lambda: nginx(port, folder / "nginx", cores[0]),
            lambda: tasktap(port, folder / "tasktap", cores[0], python=python),
            lambda: portkey(port, folder / "portkey", cores[0]),
            lambda: litellm(port, folder / "litellm", cores[0]),
        ]
        rivals = [run(stack, start()) for start in starts]
        fields = f"x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:{port}/v1\r\n"
        print(machine.describe())
        figures: dict[str, list[float]] = {rival.name: [] for rival in rivals}
        for _ in range(said.rounds):
            for rival in rivals:
                figures[rival.name].append(cost(load, rival, 2.0, fields if rival.name == "Portkey" else ""))
        relay = next(rival for rival in rivals if rival.name == "tasktap")
        alone = cost(load, Rival("tasktap", relay.port, relay.relay, (relay.relay or 0,)), 2.0, "")
        rows = []
        for name, values in figures.items():
            us = median(values)
            rows.append([name, number(us, 1), number(us / median(figures["nginx"]), 1), number(us / alone, 1)])
        rows.insert(2, ["tasktap, its relay alone", number(alone, 1), number(alone / median(figures["nginx"]), 1), "1.0"])
        table("small call|CPU µs/call, all processes|times nginx|times tasktap's relay", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
