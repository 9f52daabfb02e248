"""The other door, put together for the desk: its journal, what takes it into the store, and the routes that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy.query.api import Act, Mounted
from proxy.record import phospho_door, stored_door
from proxy.record.absorber import Absorber
from proxy.record.intake import Intake
from proxy.record.intake_acts import Acts
from proxy.record.phospho_door import PhosphoDoor
from proxy.record.stored_door import StoredDoor
from proxy.server import data_dir
from proxy.server.told import Told
from proxy.store import Store

FLUSH_SECONDS: Final = 1.0  # for the journal to be written at the end
_ACTS = ("log_tasks", "amend_task", "give_feedback")


class IntakeDoor:
    """Made before the desk answers; `work` once there is a store."""

    def __init__(self, told: Told, store: Store) -> None:
        path = Path(told.data_dir)
        self._intake = Intake(path / data_dir.INTAKE, told.run, **told.settings["journal"])
        self.absorber = Absorber(path / data_dir.INTAKE, path / data_dir.ASIDE, store, self._intake.absorbed, self._intake.wake)
        acts = Acts(self._intake, store)
        self.acts: Mapping[str, Act] = {name: getattr(acts, name) for name in _ACTS}
        doors = ((PhosphoDoor(self._intake, store), phospho_door.ROUTES), (StoredDoor(self._intake, store), stored_door.ROUTES))
        self.mounted = [
            Mounted(each.method, each.path, getattr(door, each.act), each.most, each.feedback, each.open)
            for door, routes in doors
            for each in routes
        ]

    async def work(self) -> None:
        """Take what is said into the store, until cancelled."""
        await self.absorber.run()

    async def seal(self) -> None:
        """Nothing more is said: write what is left."""
        await self._intake.close(FLUSH_SECONDS)

    async def drain(self) -> None:
        """Take in the rest. Raises StoreUnavailable."""
        await self.absorber.drain()

    async def close(self) -> None:
        """Let go of files and threads."""
        await self.absorber.close()
