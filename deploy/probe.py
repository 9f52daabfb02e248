"""Asks the desk of a running tasktap whether it is well: `probe.py healthz` or `probe.py readyz`. Exit 0 for yes, 1 for no.

For container health checks, where the desk is on loopback and the kubelet cannot reach it. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 2.0


def ask(data_dir: Path, question: str) -> tuple[bool, str]:
    """Whether the desk that `data_dir` says is running answers 200, and what it said."""
    try:
        desk = urlsplit(str(json.loads((data_dir / "run.json").read_text())["desk"]))
        connection = HTTPConnection(desk.hostname or "", desk.port, timeout=SECONDS)
        # the desk answers to names it knows, and an address to listen on, such as 0.0.0.0, may be none of them
        connection.request("GET", f"/{question}", headers={"Host": "localhost"})
        answer = connection.getresponse()
        return answer.status == 200, f"{answer.status} {answer.read(4096).decode(errors='replace')}"
    except (OSError, HTTPException, KeyError, TypeError, ValueError) as error:
        return False, f"not running: {error!r}"


def main() -> int:
    """The command."""
    question = sys.argv[1] if len(sys.argv) > 1 else "healthz"
    well, said = ask(Path(os.environ.get("TASKTAP_DATA_DIR", "tasktap-data")), question)
    sys.stdout.write(said.rstrip() + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
