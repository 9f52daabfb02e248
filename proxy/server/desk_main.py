"""The process of the desk, begun: its libraries are loaded without what they read then and the desk never uses.

aiohttp's client reads the machine's certificate authorities when it is imported, some 50 ms and a MiB; the desk calls nobody.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.server.told import Told, hear

AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for them instead of its own places."""


@contextmanager
def without_authorities() -> Iterator[None]:
    """OpenSSL finds none meanwhile."""
    before = {name: os.environ.get(name) for name in AUTHORITIES}
    os.environ.update(dict.fromkeys(AUTHORITIES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run(told: Told) -> None:
    """Until told to stop."""
    with without_authorities():
        from proxy.server.desk import work  # what only the desk needs, only the desk loads
    work(told)


if __name__ == "__main__":
    run(hear(int(sys.argv[1])))
