"""What a run of tasktap needs of its settings, as plain values: the supervisor lives long, and without configuration's machinery.

`python -m proxy.server.plan` reads the settings anew and prints them so, for a supervisor that is asked to change (SIGHUP).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config import Settings


class Given(NamedTuple):
    """What the command line said of the settings."""

    config: str | None
    data_dir: str | None
    calls: str | None
    desk: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the supervisor itself needs, and what it passes on to each kind of child."""

    data_dir: str
    calls: str
    desk: str
    workers: int
    stop_deadline: float
    upstream: str  # the default one, for a person
    log: dict[str, str]
    relay_part: dict[str, Any]
    desk_part: dict[str, Any]

    def pack(self) -> bytes:
        """For a descriptor that only we read: there are keys in it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Plan:
        """What was packed."""
        return cls(**json.loads(data))


def plan(settings: Settings) -> Plan:
    """The plan that these settings make."""
    from proxy.server import parts

    return Plan(
        data_dir=str(settings.data_dir),
        calls=settings.listen.calls,
        desk=settings.listen.desk,
        workers=settings.listen.workers,
        log=parts.log_part(settings),
        stop_deadline=settings.stop_deadline,
        upstream=f"{settings.default_upstream} ({settings.upstreams[settings.default_upstream].url})",
        relay_part=parts.relay_part(settings),
        desk_part=parts.desk_part(settings),
    )


def given(config: Path | None, data_dir: Path | None, calls: str | None, desk: str | None) -> Given:
    """As it will be read again: by a process that may run elsewhere."""
    return Given(_absolute(config), _absolute(data_dir), calls, desk)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else os.path.abspath(path)


def main() -> int:
    """Print the plan that the settings make by now; exit 2 with what is wrong with them."""
    from pathlib import Path

    from proxy.config import ConfigError, load

    said = Given(*json.loads(sys.argv[1]))
    try:
        config, data_dir = (Path(path) if path else None for path in (said.config, said.data_dir))
        settings = load(config, data_dir, said.calls, said.desk)
    except ConfigError as error:
        sys.stderr.write(str(error))
        return 2
    sys.stdout.buffer.write(plan(settings).pack())
    return 0


if __name__ == "__main__":
    sys.exit(main())
