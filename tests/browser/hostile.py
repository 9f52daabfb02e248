"""Tasks that mean harm to whoever looks at them."""

from __future__ import annotations

import time

from proxy.task import Ending, Source, Task

MARK = "harm done"
SCRIPTS = (
    f"<script>alert('{MARK}')</script>"
    f"<img src=x onerror=\"alert('{MARK}')\"><svg onload=\"alert('{MARK}')\"></svg>"
    f"<iframe srcdoc=\"<script>alert('{MARK}')</script>\"></iframe>"
    f"<a href=\"javascript:alert('{MARK}')\">click</a>"
)
MARKDOWN = f"""# Title

![pixel](http://tracker.invalid/pixel.png) ![local](/api/status)
[link](javascript:alert('{MARK}')) [data](data:text/html,<script>alert('{MARK}')</script>)

<details open ontoggle="alert('{MARK}')">x</details>

```html
{SCRIPTS}
```

| a | b |
| --- | --- |
| {SCRIPTS} | `code` |
"""
DIRECTIONS = "abc \u202eevil\u202c \u2066x\u2069 \x1b[31mred\x1b[0m \x00\x07 \u200bzero\ufeff שלום עולם مرحبا"


def hostile() -> list[Task]:
    """Each kind of harm in every field that a page shows."""
    now = time.time_ns() // 1000 - 40_000_000
    texts = {
        "scripts": SCRIPTS,
        "markdown": MARKDOWN,
        "directions": DIRECTIONS,
        "long-word": "x" * 5_000,
        "long": "A line of the answer, with **strong** words and `code`.\n" * 90_000,
    }
    made = []
    for number, (name, text) in enumerate(texts.items()):
        short = text[:400]
        body = {
            "model": short,
            "messages": [
                {"role": "system", "content": text},
                {"role": short, "content": text},
                {"role": "user", "content": text},
            ],
            "tools": [{"type": "function", "function": {"name": short}}],
        }
        call = {"id": short, "type": "function", "function": {"name": short, "arguments": text[:2_000]}}
        answer = {"choices": [{"message": {"role": "assistant", "content": text, "tool_calls": [call]}, "finish_reason": short}]}
        made.append(
            Task(
                id=f"hostile-{name}",
                origin=f"hostile.{number}",
                project_id="default",
                created_at=now + number,
                ended_at=now + number + 1_500_000,
                kind="chat",
                name=short,
                session_id=short,
                session_source=Source.HEADER,
                user_id=short,
                user_source=Source.HEADER,
                input=text,
                output=text,
                system_prompt=text,
                metadata={short: text[:1_000]},
                model=short,
                model_requested=short,
                upstream="openai",
                method="POST",
                path=f"/v1/chat/completions?{short[:200]}",
                http_status=200,
                ending=Ending.COMPLETED,
                seconds_total=1.5,
                finish_reasons=(short,),
                problems=(short,),
                request_headers=(("X-Odd", short),),
                raw_input=body,
                raw_output=answer,
                pieces=((0.5, 10), (1.5, 20)),
            )
        )
    return made
