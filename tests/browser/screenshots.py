"""Takes the pictures of docs/screenshots: every page of the demo, light and dark, wide and on a phone.

    python -m tests.browser.screenshots [FOLDER]

The README shows three of them. Needs Chromium and `pip install playwright`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from tests.browser.conftest import CHROMIUM, FLAGS, filled
from tests.proc import Tasktap, serving, soon

FOLDER = Path(__file__).parents[2] / "docs/screenshots"
WIDE, PHONE = (1280, 800), (390, 844)
COLOURS = 128


def paths(house: Tasktap) -> dict[str, str]:
    """What to take pictures of."""
    items = [one for one in house.get("/api/tasks?limit=500&kind=message")["items"] if not one["id"].startswith("hostile")]
    task = max(items, key=lambda one: len(one["output"] or "") if (one["input"] or "").startswith("[tool]") else 0)["id"]
    sessions = [one for one in house.get("/api/sessions?limit=300")["items"] if one["id"].startswith("support-")]
    session = max(sessions, key=lambda one: (one["task_count"], one["error_count"]))["id"]
    user = max(house.get("/api/users?limit=300")["items"], key=lambda one: one["task_count"])["id"]
    return {
        "overview": "/",
        "tasks": "/tasks",
        "task": f"/tasks/{task}",
        "sessions": "/sessions",
        "session": f"/sessions/{quote(session, safe='')}",
        "users": "/users",
        "user": f"/users/{quote(user, safe='')}",
        "insights": "/insights",
        "insights-sessions": "/insights/sessions",
        "insights-users": "/insights/users",
        "compare": "/insights/compare?version_id=2.4&against_version_id=2.3",
        "health": "/status",
    }


def smaller(png: bytes) -> bytes:
    """The same picture with few colours, where Pillow is there to make it."""
    try:
        from io import BytesIO

        from PIL import Image
    except ImportError:
        return png
    made = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        made, "PNG", optimize=True
    )
    return made.getvalue()


def main() -> None:
    """Fill, serve, look."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        filled(Path(place), sessions=900, harm=False)
        with serving(Path(place)) as house, sync_playwright() as engine:
            soon(lambda: house.fetch("/api/tasks?limit=1")[0] == 200, "an open store")
            browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            for scheme in ("light", "dark"):
                for kind, (width, height) in (("", WIDE), ("-phone", PHONE)):
                    context = browser.new_context(
                        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
                    )
                    page = context.new_page()
                    for name, path in paths(house).items():
                        page.goto(house.run["desk"] + path)
                        page.wait_for_load_state("networkidle")
                        picture = smaller(page.screenshot())
                        (folder / f"{name}{kind}-{scheme}.png").write_bytes(picture)
                        print(f"{name}{kind}-{scheme}.png {len(picture) / 1000:.0f} KB")
                    context.close()
            browser.close()


if __name__ == "__main__":
    main()
