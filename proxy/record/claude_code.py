"""Claude Code's `metadata.user_id`: who it is for and which session, in one string. Pure.

Until 2.1.77 it was `user_<device>_account_<account>_session_<uuid>`; since then it is a JSON object in a string, with
`device_id`, `account_uuid` (empty where nobody is signed in) and `session_id`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from proxy.wire.lenient import loads

_OLD = re.compile(r"user_([0-9A-Za-z]+)_account_([0-9A-Za-z-]*)_session_([0-9A-Za-z-]+)")


class Parted(NamedTuple):
    """The two labels in it."""

    user_id: str | None  # the account; where there is none, the device
    session_id: str


def parted(value: object) -> Parted | None:
    """The labels in a `metadata.user_id`; `None` where it is a user's id like any other."""
    if not isinstance(value, str):
        return None
    if (match := _OLD.fullmatch(value)) is not None:
        device, account, session = match.groups()
        return Parted(account or device, session)
    if not value.startswith("{"):
        return None
    try:
        said, _ = loads(value.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(session := said.get("session_id"), str) or not session:
        return None
    user = next((each for each in (said.get("account_uuid"), said.get("device_id")) if isinstance(each, str) and each), None)
    return Parted(user, session)
