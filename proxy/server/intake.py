"""The other door, put together for the desk: its journal, what takes it into the store, and the routes that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxy.query.api import Act, Mounted
from proxy.record import phospho_routes, stored_door
from proxy.record.absorber import Absorber
from proxy.record.intake import Intake
from proxy.record.intake_acts import Acts
from proxy.record.phospho_door import PhosphoDoor
from proxy.record.redact_rules import redaction_of
from proxy.record.stored_door import StoredDoor
from proxy.server import data_dir
from proxy.server.told import Told
from proxy.store import Store
from proxy.task import Status

FLUSH_SECONDS: Final = 1.0  # for the journal to be written at the end
_ACTS = ("log_tasks", "amend_task", "give_feedback")


class IntakeDoor:
    """Made before the desk answers; `work` once there is a store."""

    def __init__(self, told: Told, store: Store) -> None:
        path = Path(told.data_dir)
        redaction = redaction_of(told.settings["redact"])
        self._intake = Intake(path / data_dir.INTAKE, told.run, **told.settings["journal"], redaction=redaction)
        self.absorber = Absorber(path / data_dir.INTAKE, path / data_dir.ASIDE, store, self._intake.absorbed, self._intake.wake)
        acts = Acts(self._intake, store)
        self.acts: Mapping[str, Act] = {name: getattr(acts, name) for name in _ACTS}
        phospho, stored = PhosphoDoor(self._intake, store), StoredDoor(self._intake, store)
        served = [(each, phospho.act(each.act)) for each in phospho_routes.ROUTES]
        served += [(each, getattr(stored, each.act)) for each in stored_door.ROUTES]
        self.mounted = [Mounted(each.method, each.path, act, each.most, each.feedback, each.open) for each, act in served]

    def told(self, state: Status) -> Status:
        """`state`, with how this door is."""
        absorber = self.absorber
        reasons = list(state.reasons)
        if self._intake.stalled:
            reasons.append("the intake's journal cannot be written: is the disk full, or hanging?")
        if absorber.error is not None and absorber.error != state.store_error:
            reasons.append(f"what apps log cannot be stored: {absorber.error}")
        return replace(
            state,
            intake_waiting=absorber.waiting,
            intake_set_aside=absorber.set_aside,
            intake_stalled=self._intake.stalled,
            intake_error=absorber.error,
            reasons=tuple(reasons),
        )

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
