"""What apps log themselves, as far as the desk works on it by itself: its journal, and what takes it into the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from proxy.record.absorber import Absorber
from proxy.record.intake import Intake
from proxy.record.redact_rules import redaction_of
from proxy.server import data_dir
from proxy.server.told import Told
from proxy.store import Store
from proxy.task import Status

FLUSH_SECONDS: Final = 1.0  # for the journal to be written at the end


class IntakeDoor:
    """Made before the desk answers; `work` once there is a store. The routes that lead to it are in `front`."""

    def __init__(self, told: Told, store: Store) -> None:
        path = Path(told.data_dir)
        redaction = redaction_of(told.settings["redact"])
        self.intake = Intake(path / data_dir.INTAKE, told.run, **told.settings["journal"], redaction=redaction)
        self.absorber = Absorber(path / data_dir.INTAKE, path / data_dir.ASIDE, store, self.intake.absorbed, self.intake.wake)

    def told(self, state: Status) -> Status:
        """`state`, with how this door is."""
        absorber = self.absorber
        reasons = list(state.reasons)
        if self.intake.stalled:
            reasons.append("the intake's journal cannot be written: is the disk full, or hanging?")
        if absorber.error is not None and absorber.error != state.store_error:
            reasons.append(f"what apps log cannot be stored: {absorber.error}")
        return replace(
            state,
            intake_waiting=absorber.waiting,
            intake_set_aside=absorber.set_aside,
            intake_stalled=self.intake.stalled,
            intake_error=absorber.error,
            reasons=tuple(reasons),
        )

    async def work(self) -> None:
        """Take what is said into the store, until cancelled."""
        await self.absorber.run()

    async def seal(self) -> None:
        """Nothing more is said: write what is left."""
        await self.intake.close(FLUSH_SECONDS)

    async def drain(self) -> None:
        """Take in the rest. Raises StoreUnavailable."""
        await self.absorber.drain()

    async def close(self) -> None:
        """Let go of files and threads."""
        await self.absorber.close()
