"""An environment with tasktap installed as a release is, its path of bytes compiled; made once for each state of the source.

    python -m benchmarks.compiled        # makes it, and prints its Python

Needs a C compiler and Python's headers; takes three minutes. With `TASKTAP_COMPILE=quick` it is not optimised, which is enough to
try what it does, and takes one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOW = os.environ.get("TASKTAP_COMPILE", "1")
BUILDS = ("hatchling", "mypyc", "pip", "setuptools")
"""What makes a wheel; a quick one is made by an environment that has them, and they are not installed once more for it."""


def state() -> str:
    """What is compiled, as one short name."""
    files = sorted(
        [*(ROOT / "proxy").rglob("*.py"), *(ROOT / "proxy").rglob("*.sql"), ROOT / "hatch_build.py", ROOT / "pyproject.toml"]
    )
    digest = hashlib.sha256(f"{sys.version} {HOW}".encode())
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def python(place: Path | None = None) -> Path:
    """The Python of that environment, in `place` or in `build/compiled`; raises `RuntimeError` with what pip said."""
    place = place or ROOT / "build" / "compiled"
    found, mark = place / "bin" / "python", place / "state"
    if mark.exists() and mark.read_text() == state():
        return found
    print("compiling tasktap into an environment of its own; this takes some minutes", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    if HOW == "quick" and all(importlib.util.find_spec(name) for name in BUILDS):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        with tempfile.TemporaryDirectory() as folder:
            _pip(sys.executable, "wheel", "--no-build-isolation", "--no-deps", "-w", folder, str(ROOT))
            (wheel,) = Path(folder).iterdir()
            _pip(sys.executable, "--python", str(found), "install", f"{wheel}[redact]")
    else:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        _pip(str(found), "install", f"{ROOT}[redact]")
    mark.write_text(state())
    return found


def _pip(python: str, *words: str) -> None:
    command = [python, "-m", "pip", "-q", "--disable-pip-version-check", *words]
    made = subprocess.run(command, env=os.environ | {"TASKTAP_COMPILE": HOW}, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"tasktap could not be compiled: {made.stderr[-2000:]}")


if __name__ == "__main__":
    print(python())
