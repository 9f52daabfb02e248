"""Pure: a call as something to run again: a curl command, or Python with the OpenAI SDK. The key is never in it."""

from __future__ import annotations

import json
import pprint
import shlex

from proxy.query.encoding import encode
from proxy.task import Task

KEYS = {"anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}


def curl(task: Task, base: str) -> str:
    """The call through the calls door at `base`; a body that is not JSON is named by where its bytes are."""
    prefix = "" if task.upstream in (None, "openai") else f"/{task.upstream}"
    lines = [f"curl {shlex.quote(base + prefix + (task.path or '/'))}"]
    if task.method not in (None, "POST"):
        lines.append(f"-X {shlex.quote(task.method or 'GET')}")
    field, before, key = _credential(task)
    lines.append(f'-H "{field}: {before}${key}"')
    if task.upstream == "anthropic":
        lines.append("-H 'anthropic-version: 2023-06-01'")
    if task.raw_input is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(encode(task.raw_input, indent=True).decode('utf-8', 'replace'))}")
    elif task.request_body:
        lines.append("--data-binary @request.bin  # the desk gives it: /api/tasks/.../request")
    return " \\\n  ".join(lines) + "\n"


def _credential(task: Task) -> tuple[str, str, str]:
    """The field that says who pays for the call, what stands before the key in it, and the variable that holds the key."""
    key = KEYS.get(task.upstream or "", "OPENAI_API_KEY")
    return ("x-api-key", "", key) if task.upstream == "anthropic" else ("Authorization", "Bearer ", key)


_METHODS = {"chat": "chat.completions", "completion": "completions", "response": "responses", "embedding": "embeddings",
            "moderation": "moderations"}  # fmt: skip


def python(task: Task, base: str) -> str:
    """The call by the OpenAI SDK where it is one of OpenAI's kinds, else by the standard library."""
    body = task.raw_input if isinstance(task.raw_input, dict) else None
    prefix = "" if task.upstream in (None, "openai") else f"/{task.upstream}"
    if body is not None and task.kind in _METHODS and all(isinstance(name, str) and name.isidentifier() for name in body):
        given = "".join(f"    {name}={_literal(value)},\n" for name, value in body.items())
        after = "for event in answer:\n    print(event)\n" if body.get("stream") else "print(answer)\n"
        call = f"client.{_METHODS[task.kind]}.create(\n{given})\n"
        own = KEYS.get(task.upstream or "")  # the SDK looks for OpenAI's by itself
        first, key = ("import os\n\n", f', api_key=os.environ["{own}"]') if own else ("", "")
        client = f"client = OpenAI(base_url={base + prefix + '/v1'!r}{key})\n"
        return f"{first}from openai import OpenAI\n\n{client}answer = {call}{after}"
    data = "None" if task.raw_input is None else f"json.dumps({_literal(task.raw_input)}).encode()"
    field, before, key = _credential(task)
    credential = f'"{field}": ' + (f'"{before}" + ' if before else "") + f'os.environ["{key}"]'
    version = '"anthropic-version": "2023-06-01", ' if task.upstream == "anthropic" else ""
    return (
        "import json\nimport os\nimport urllib.request\n\n"
        f"request = urllib.request.Request(\n    {base + prefix + (task.path or '/')!r},\n    data={data},\n"
        f'    headers={{"Content-Type": "application/json", {version}{credential}}},\n'
        f"    method={task.method or 'POST'!r},\n)\nprint(urllib.request.urlopen(request).read().decode())\n"
    )


def _literal(value: object) -> str:
    text = pprint.pformat(value, width=100, sort_dicts=False)
    return (
        text.replace("\n", "\n    ")
        if "\n" in text
        else json.dumps(value, ensure_ascii=False)
        if isinstance(value, str)
        else text
    )
