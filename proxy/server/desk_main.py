"""The process of the desk, begun: its libraries are loaded without what they read then and the desk never uses.

aiohttp's client reads the machine's certificate authorities when it is imported, some 50 ms and a MiB; the desk calls nobody.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from proxy.server.told import Told, hear

AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for them instead of its own places."""


def without_authorities() -> None:
    """OpenSSL finds none in this process; `os.environ`, which others are started with, says what it said before.

    For the beginning, when there is one thread: others may be reading the environment that is changed here.
    """
    for name in AUTHORITIES:
        os.putenv(name, os.devnull)


def run(told: Told) -> None:
    """Until told to stop."""
    without_authorities()
    from proxy.server.desk import work  # what only the desk needs, only the desk loads

    work(told)


if __name__ == "__main__":
    run(hear(int(sys.argv[1])))
