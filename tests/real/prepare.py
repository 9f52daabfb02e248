"""Fetches the real pieces that `tests/real` speaks with, into the folder that TAP_REAL names (outside the repository).

    TAP_REAL=/var/cache/tasktap-real python tests/real/prepare.py

Each piece is complete when its `ready` file is there, so running this again fetches only what is missing. A piece that cannot be
had is reported and skipped: its tests then say how to get it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ENVIRONMENTS = {
    "server": ("xllamacpp==2026.10.11549", "gguf==0.19.0"),  # llama.cpp's own HTTP server, and what writes its model
    "openai3": ("openai>=3,<4",),
    "openai2": ("openai>=2.54,<3",),  # OPENAI_CUSTOM_HEADERS came with 2.54
    "anthropic": ("anthropic>=0.75",),
    "ollama": ("ollama>=0.6",),
    "langchain": ("langchain-openai>=1",),
    "litellm": ("litellm>=1.80",),
    "bedrock": ("boto3>=1.44",),  # Amazon's own
}
ENVIRONMENTS["phospho"] = ("phospho==0.3.45", "openai>=1.109,<2", "pandas<3", "langchain-core>=1,<2")  # as its users have it
NODE_PACKAGES = {
    "node": ("openai@6.49.0",),  # the last line that runs on Node 18 and 20
    "phosphojs": ("phospho@0.0.2",),  # the only version that the registry has left
    "axe": ("axe-core@4.14.1",),  # what looks for barriers in pages
}
SECONDS = 600  # for one piece, on a slow line


def python_piece(folder: Path, packages: tuple[str, ...]) -> None:
    """Make a virtual environment of its own in `folder` with `packages` in it: by the pip that is here, if one is."""
    here = importlib.util.find_spec("pip") is not None
    venv.create(folder, with_pip=not here, clear=True)
    python = str(folder / "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python] if here else [python, "-m", "pip"]
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-compile"]  # of a hundred modules one is looked at
    subprocess.run([*pip, *install, *packages], check=True, timeout=SECONDS)


def node_piece(folder: Path, packages: tuple[str, ...]) -> None:
    """Install Node packages in `folder`."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed (Debian: apt-get install nodejs npm)")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", *packages], cwd=folder, check=True, timeout=SECONDS)


def main() -> int:
    """Fetch what is missing; the number of pieces that could not be had is the exit code."""
    target = os.environ.get("TAP_REAL")
    if not target:
        print("Set TAP_REAL to a folder outside the repository.", file=sys.stderr)
        return 64
    root = Path(target)
    failed = 0
    for name in (*ENVIRONMENTS, *NODE_PACKAGES):
        folder = root / name
        if (folder / "ready").exists():
            print(f"{name}: is there")
            continue
        try:
            if name in NODE_PACKAGES:
                node_piece(folder, NODE_PACKAGES[name])
            else:
                python_piece(folder, ENVIRONMENTS[name])
            (folder / "ready").touch()
            print(f"{name}: ready")
        except (OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"{name}: not to be had: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
