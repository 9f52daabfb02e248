"""`TASKTAP_...` variables as settings: a double underscore nests, and a name that is no setting is a problem."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.config.complaints import Path
from proxy.config.values import NAMED

PREFIX = "TASKTAP_"
ELSEWHERE = frozenset({"TASKTAP_CONFIG", "TASKTAP_URL", "TASKTAP_KEY", "TASKTAP_PROJECT"})
"""Variables that are ours and are no settings: the name of the file, and what apps tell `proxy.client`."""

SERVICE_LINK = re.compile(r"TASKTAP(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)")
"""What Kubernetes sets in every pod for a Service named `tasktap` or `tasktap-...` ("service links")."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says: settings as a tree of texts, the variable of each, and complaints about the rest."""

    tree: dict[str, Any]
    variables: dict[Path, str]
    unknown: tuple[str, ...]


def name_of(path: Path) -> str:
    """The variable that sets `path`. A hyphen in an upstream's name becomes an underscore."""
    return PREFIX + "__".join(part.upper().replace("-", "_") for part in path)


def read(environ: Mapping[str, str], leaves: Iterable[Path]) -> Environment:
    """The settings in `environ`; an empty variable counts as not set, as compose files write `${NAME:-}`.

    `leaves` are the paths of all settings, with `*` for an upstream's name.
    """
    leaves = list(leaves)
    tree: dict[str, Any] = {}
    variables: dict[Path, str] = {}
    unknown = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or not environ[variable] or variable in ELSEWHERE:
            continue
        if SERVICE_LINK.fullmatch(variable) and "__" not in variable:
            continue
        path = _path(variable)
        if _pattern(path) not in leaves:
            unknown.append(_complaint(variable, path, leaves))
            continue
        variables[path] = variable
        table = tree
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = environ[variable]
    return Environment(tree, variables, tuple(unknown))


def _path(variable: str) -> Path:
    parts = variable.removeprefix(PREFIX).lower().split("__")
    if len(parts) > 1 and parts[0] in NAMED:
        parts[1] = parts[1].replace("_", "-")  # no shell can set a name with a hyphen, and hardly any has an underscore
    return tuple(parts)


def _pattern(path: Path) -> Path:
    return (path[0], "*", *path[2:]) if len(path) > 1 and path[0] in NAMED else path


def _complaint(variable: str, path: Path, leaves: list[Path]) -> str:
    named = path[1] if len(path) > 1 and path[0] in NAMED else "NAME"
    known = [name_of(tuple(named if part == "*" else part for part in leaf)) for leaf in leaves]
    inside = [name for name in known if name.startswith(f"{variable}__")]
    if inside:
        return f"{variable}: is a table. Set what is in it, as in {inside[0]}"
    flat = [name for name in known if name.replace("__", "_") == variable.replace("__", "_")]
    near = flat or difflib.get_close_matches(variable, [*known, *ELSEWHERE], n=1, cutoff=0.7)
    return f"{variable}: unknown setting" + (f". Did you mean {near[0]}?" if near else "")
