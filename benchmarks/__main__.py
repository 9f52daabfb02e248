"""All that the README says of speed and size, in one command: relay, gateways, desk, readers beside callers, installation.

    python -m benchmarks [--quick]

Each part is a module of its own and can be run alone. They want two cores with nothing else to do, nginx, npm and a C compiler,
and take a quarter of an hour one after the other. `--quick` takes a third of that, and leaves the gateways out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Run them all; exit 1 where one failed or a floor is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="shorter, and without the gateways")
    quick = parser.parse_args().quick
    failed = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tasktap-all-") as store:
        parts = [
            ["relay", *(["--quick"] if quick else [])],
            *([] if quick else [["peers"]]),
            ["desk", "--compiled", *(["--calls", "5000", "--rounds", "1"] if quick else [])],
            ["small", *(["--rounds", "2"] if quick else [])],
            ["scale", "--tasks", "20000" if quick else "200000", "--times", "5", "--in", store, "--keep"],
            ["asked", store, "--calls", "4000" if quick else "20000"],
        ]
        for module, *words in parts:
            print(f"\n## python -m benchmarks.{' '.join([module, *words])}\n", flush=True)
            if subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *words], cwd=ROOT, check=False).returncode:
                failed.append(module)
    print(f"\nAll of it took {(time.monotonic() - began) / 60:.0f} min." + "".join(f"\nNOT WELL: {module}" for module in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
