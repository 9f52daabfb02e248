"""What a setting's text means: addresses, URLs, sizes, secrets. Each function raises ValueError with the whole reason."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from proxy.price.providers import PROVIDERS

HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
UPSTREAM_NAME = re.compile(r"[a-z][a-z0-9-]*")
NAMED = frozenset({"upstreams", "prices"})
"""Tables of the settings whose keys are names that the person chooses."""

TAKEN_NAMES = frozenset({"v1", "api", "tasktap"})
FIELD_VALUE = re.compile(r"[\x21-\x7e]+")  # what can stand in a header field, blanks left out
SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")
UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
STORE_SCHEMES = ("sqlite", "memory")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door listens. `port` 0 lets the system pick one; `host` has no brackets."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """`127.0.0.1:8900`, `[::1]:8900` or `localhost:8900`."""
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = ("", text) if text.isdigit() else (text, "")
    if not host:
        number = port if port.isdigit() else "8900"
        raise ValueError(
            f'names no host. Write "127.0.0.1:{number}" (this machine alone) or "0.0.0.0:{number}" (whoever can reach it)'
        )
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise ValueError('an IPv6 address goes in brackets, as in "[::1]:8900"')
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f'needs a port from 0 to 65535 after the host, as in "{host}:8900"')
    host = host[1:-1] if bracketed else host
    if bracketed:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f'"{host}" is not an IPv6 address') from None
    elif not HOST_NAME.fullmatch(host):
        raise ValueError(f'"{host}" is neither a host name nor an address')
    return Address(host, int(port))


def _split(text: str) -> SplitResult:
    """A URL's parts, once it is sure that they are plain. Never shows a text that may hold a password."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("holds a blank or a character that is not plain ASCII")
    if "@" in text:
        raise ValueError("holds a user name or password. Leave it out: `key` is the place for a credential")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    if not parts.hostname:
        raise ValueError('is not a URL with a host. Write it as "https://api.example.com"')
    if port == 0:
        raise ValueError("port 0 cannot be called")
    if "?" in text or "#" in text:
        raise ValueError("must not have a query or a fragment")
    return parts


def upstream_url(text: str) -> str:
    """The origin of an upstream and any prefix, without `/v1` and without a slash at the end."""
    text = text.strip()
    if "://" not in text and "@" not in text and text:
        raise ValueError(f'must begin with http:// or https://. Did you mean "https://{text}"?')
    parts = _split(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f'must begin with http:// or https://, not "{parts.scheme}://"')
    prefix = parts.path.rstrip("/").removesuffix("/chat/completions")
    if prefix.endswith("/v1"):
        fixed = f"{parts.scheme}://{parts.netloc}{prefix.removesuffix('/v1').rstrip('/')}"
        raise ValueError(f'must not end in /v1, because the path of each call brings it. Write "{fixed}"')
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def proxy_url(text: str) -> str:
    """`none`, or the `http://host:port` of a proxy that understands CONNECT."""
    text = text.strip()
    if text == "none":
        return text
    parts = _split(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or parts.path.strip("/"):
        raise ValueError('must be "none" or like "http://proxy.example.com:3128"')
    return f"http://{parts.netloc}"


def upstream_name(text: str) -> str:
    """A name that can be the first segment of a path and stands for an upstream."""
    if text in TAKEN_NAMES:
        raise ValueError(f'"{text}" is taken: calls to /{text}/... mean something else')
    if not UPSTREAM_NAME.fullmatch(text):
        raise ValueError(f'"{text}" cannot be a name: use a-z, 0-9 and "-", beginning with a letter')
    return text


def model_pattern(text: str) -> str:
    """A model's name, or `upstream/model`, with `*` and `?` as in file names; upper and lower case are the same."""
    if not text.strip():
        raise ValueError('is empty. Write a model\'s name, such as "gpt-4o*"')
    return text.strip().lower()


def provider(text: str) -> str:
    """A provider of the price list."""
    if text not in PROVIDERS:
        raise UnknownWordError("provider", text, PROVIDERS)
    return text


def size(given: object) -> object:
    """A number of bytes, or a text such as `64MiB` or `1 GB`. What is neither goes on to pydantic, which says so."""
    if not isinstance(given, str):
        return not_a_bool(given)
    match = SIZE.fullmatch(given.strip())
    if not match or match[2].lower() not in UNITS:
        raise ValueError('must be a number of bytes, or a text such as "64MiB" or "1GiB"')
    return int(match[1]) * UNITS[match[2].lower()]


def size_text(size: int) -> str:
    """The shortest exact way to write `size` bytes."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % UNITS[unit.lower()] == 0:
            return f"{size // UNITS[unit.lower()]}{unit}"
    return str(size)


def not_a_bool(given: object) -> object:
    """`true` is no number, though Python takes it for 1."""
    if isinstance(given, bool):
        raise ValueError("must be a number")
    return given


def secret(given: object) -> object:
    """A secret as it is, or read from where `env:NAME` or `file:PATH` says. No message ever shows the secret itself."""
    if not isinstance(given, str):
        return given
    value, where = given, ""
    if given.startswith("env:"):
        where = given.removeprefix("env:")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", where):
            raise ValueError('"env:" needs the name of a variable after it, as in "env:OPENAI_API_KEY"')
        value = os.environ.get(where, "")
        if not value.strip():
            raise ValueError(f"the environment variable {where} is not set")
    elif given.startswith("file:"):
        where = given.removeprefix("file:")
        try:
            value = Path(where).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise ValueError(f"the file {where} cannot be read: {reason}") from None
    value = value.strip()
    if not value:
        raise ValueError("is empty. Leave the setting out for none")
    if not FIELD_VALUE.fullmatch(value):
        what = "a blank, a line break or a character that no header field can carry"
        raise ValueError(f"what {where} gives holds {what}" if where else f"holds {what}")
    return value


def ages(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each `NAME=DAYS` or `NAME=forever`."""
    for text in given:
        age_of(text)
    if len({text.partition("=")[0] for text in given}) < len(given):
        raise ValueError("names a project twice")
    return given


def age_of(text: str) -> tuple[str, float | None]:
    """The project and its days in `NAME=DAYS`; None for `NAME=forever`."""
    name, _, age = text.rpartition("=")
    days = None if age == "forever" else float(age) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", age) else 0.0
    if not name or days == 0:
        raise ValueError('must be like "NAME=30", in days, or "NAME=forever"')
    return name, days


def store_url(text: str) -> str:
    """`sqlite:` in the data directory, `sqlite:PATH`, or `memory:`."""
    scheme, colon, rest = text.partition(":")
    if scheme not in STORE_SCHEMES:
        raise UnknownWordError("scheme", scheme, STORE_SCHEMES)
    if not colon:
        raise ValueError(f'needs a colon after the scheme: "{scheme}:"')
    if scheme == "memory" and rest:
        raise ValueError('"memory:" has nothing after the colon')
    return text


class UnknownWordError(ValueError):
    """This is none of the words that are known here."""

    def __init__(self, what: str, given: str, known: tuple[str, ...]) -> None:
        self.what, self.given, self.known = what, given, known
        super().__init__(f'unknown {what} "{given}"')
