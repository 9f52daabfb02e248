"""TOML file, environment and flags -> Settings. Flags beat the environment, the environment beats the file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import InitSettingsSource

from proxy.config import environment
from proxy.config.complaints import ConfigError, Origins, problems_of
from proxy.config.contradictions import contradictions
from proxy.config.settings import BUILT_IN, Auth, Durability, KeyMode, OnCallerLeft, Price, Settings, Timeouts, Upstream
from proxy.config.values import Address, address, size_text

__all__ = [
    "Address",
    "Auth",
    "ConfigError",
    "Durability",
    "KeyMode",
    "OnCallerLeft",
    "Settings",
    "Timeouts",
    "Upstream",
    "address",
    "describe",
    "leaves",
    "load",
]

UNDER_NAMES: dict[tuple[str, ...], type[BaseModel]] = {("upstreams",): Upstream, ("prices",): Price}
"""What stands under each name in the tables whose keys are names."""

DEFAULT_FILE = Path("tasktap.toml")
FLAGS = {("data_dir",): "--data-dir", ("listen", "calls"): "--calls", ("listen", "desk"): "--desk"}


@dataclass(frozen=True, slots=True)
class File:
    """The configuration file, read: its name as it was given, its text and its tree. Without a file all are empty."""

    name: str | None
    text: str
    tree: dict[str, Any]


def load(config: Path | None = None, data_dir: Path | None = None, calls: str | None = None, desk: str | None = None) -> Settings:
    """The settings of this start.

    The file is `config`, else what TASKTAP_CONFIG names, else `./tasktap.toml` where there is one. Secrets that are given as
    `env:NAME` or `file:PATH` are read now.

    Raises ConfigError with all that is wrong.
    """
    known = leaves()
    file = _read_file(config)
    environ = environment.read(os.environ, known)
    flags: dict[tuple[str, ...], object] = {
        path: value for path, value in zip(FLAGS, (data_dir, calls, desk), strict=True) if value is not None
    }
    origins = Origins(file.name, file.text, environ.variables, {path: FLAGS[path] for path in flags})
    # the first layer wins; pydantic-settings merges them key by key
    layers = [InitSettingsSource(Settings, tree) for tree in (_nested(flags), environ.tree, file.tree)]
    problems = []
    settings = None
    try:
        settings = Settings(_build_sources=(tuple(layers), {}))  # type: ignore[call-arg]  # mypy sees only fields as arguments
        problems = contradictions(settings)
    except ValidationError as error:
        problems = problems_of(error, known, BUILT_IN)
    lines = [*environ.unknown, *origins.sentences(problems)]
    if settings is None or lines:
        # not "from error": what pydantic holds has the values in it, secrets too
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None
    return settings


def leaves(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], FieldInfo]:
    """Every setting by its path, in the order of the file: `("upstreams", "*", "url")` stands for each upstream's."""
    found: dict[tuple[str, ...], FieldInfo] = {}
    for name, field in model.model_fields.items():
        path = (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= leaves(field.annotation, path)
        elif path in UNDER_NAMES:
            found |= leaves(UNDER_NAMES[path], (*path, "*"))
        else:
            found[path] = field
    return found


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Every setting as (dotted key, value for a person); a secret only as whether it is set."""
    return [(".".join(path), _shown(path, value)) for path, value in _values(settings)]


def _values(model: BaseModel, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name in type(model).model_fields:
        value, path = getattr(model, name), (*above, name)
        if isinstance(value, BaseModel):
            yield from _values(value, path)
        elif path in UNDER_NAMES:
            for chosen in sorted(value):
                yield from _values(value[chosen], (*path, chosen))
        else:
            yield path, value


def _shown(path: tuple[str, ...], value: object) -> str:
    if isinstance(value, SecretStr):
        return "set (hidden)"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) and (path[-1].endswith("_bytes") or path[-1] == "max_body"):
        return size_text(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _nested(flags: dict[tuple[str, ...], object]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flags.items():
        table = tree
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = value
    return tree


def _read_file(given: Path | None) -> File:
    """Raises ConfigError where a file that was named is not there, or where one that is there cannot be read."""
    variable = os.environ.get("TASKTAP_CONFIG")
    said_by = "--config" if given is not None else "TASKTAP_CONFIG"
    path = given if given is not None else Path(variable) if variable else None
    if path is None:
        if not DEFAULT_FILE.exists():
            return File(None, "", {})
        path, said_by = DEFAULT_FILE, "the working directory"
    try:
        text = path.expanduser().read_bytes().decode()
        return File(str(path), text, tomllib.loads(text))
    except FileNotFoundError:
        raise ConfigError(f"{said_by}: there is no file {path}") from None
    except OSError as error:
        raise ConfigError(f"{path} (named by {said_by}) cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8, so it is not TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
