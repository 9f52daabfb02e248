"""multipart/form-data (RFC 7578) as JSON: fields as their text, files as their name, type, size and digest."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import unquote

from proxy.task import JSON

_BOUNDARY = re.compile(r'(?i);\s*boundary=(?:"([^"\r\n]{1,200})"|([^;\s]{1,200}))')
_NAME = re.compile(r'(?i)[;\s]name=(?:"((?:[^"\\\r\n]|\\.)*)"|([^;\s]+))')
_FILENAME = re.compile(r'(?i)[;\s]filename=(?:"((?:[^"\\\r\n]|\\.)*)"|([^;\s]+))')
_FILENAME_CODED = re.compile(r"(?i)[;\s]filename\*=utf-8'[^']*'([^;\s]+)")
_TYPE = re.compile(r"(?im)^content-type:[ \t]*([^;\r\n]*)")
_MOST_HEAD = 8192  # bytes: what is longer is no head of a part


def is_form(content_type: str) -> bool:
    """Whether a Content-Type is that of a form of several parts."""
    return content_type.lower().startswith("multipart/form-data") and _BOUNDARY.search(content_type) is not None


def form_of(body: bytes, content_type: str) -> tuple[JSON, bool]:
    """The form, and whether it is whole. A name that comes again, or ends in `[]`, has a list. Never raises."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return {}, False
    delimiter = b"--" + (found[1] or found[2]).encode("utf-8", "replace")
    form: JSON = {}
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        return {}, False
    at += len(delimiter)
    delimiter = b"\r\n" + delimiter
    while body[at : at + 2] != b"--":
        head = body.find(b"\r\n\r\n", at, at + _MOST_HEAD)
        if head < 0:
            return form, False
        end = body.find(delimiter, head + 2)
        whole = end >= 0
        _put(form, body[at : head + 2].decode("utf-8", "replace"), body[head + 4 : end if whole else len(body)], whole)
        if not whole:
            return form, False
        at = end + len(delimiter)
    return form, True


def _put(form: JSON, head: str, data: bytes, whole: bool) -> None:
    name = _quoted(_NAME.search(head))
    if name is None:
        return
    filename = _quoted(_FILENAME.search(head))
    coded = _FILENAME_CODED.search(head)
    kind = _TYPE.search(head)
    value: Any
    if filename is None and coded is None:
        value = data.decode("utf-8", "replace")
    else:
        value = {"filename": unquote(coded[1]) if coded else filename, "bytes": len(data)}
        if kind is not None:
            value["content_type"] = kind[1].strip()
        if whole:
            value["sha256"] = hashlib.sha256(data).hexdigest()
    if name not in form:
        form[name] = [value] if name.endswith("[]") else value
    elif isinstance(form[name], list):
        form[name].append(value)
    else:
        form[name] = [form[name], value]


def _quoted(found: re.Match[str] | None) -> str | None:
    if found is None:
        return None
    return re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
