"""Compiles the path of bytes, and what the desk works with, where it is asked for: `TASKTAP_COMPILE=1 pip install .`

mypyc does it while a wheel is built. The source is the same, and works as it is. It is compiled in a directory of its own: a
stale object file beside its module would be run in its place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILED = [
    "asking",
    "assembly",
    "caller",
    "carry",
    "connection",
    "ears",
    "exchange",
    "fields",
    "frames",
    "headers",
    "house",
    "http1",
    "ids",
    "journal",
    "kept_body",
    "kept_head",
    "outlet",
    "prepare",
    "privacy",
    "redact",
    "redact_echo",
    "redact_events",
    "redact_fields",
    "redact_keys",
    "redact_layers",
    "redact_multipart",
    "redact_names",
    "redact_paths",
    "redact_said",
    "redact_text",
    "refusal",
    "relay",
    "routes",
    "spares",
    "spoken",
    "straight",
    "tap",
    "tunnel",
    "upstream",
    "usage_asked",
]
OF_THE_DESK = [
    "price/charge",
    "price/pricer",
    "price/terms",
    "record/conversation",
    "record/keys",
    "record/labels",
    "record/pace",
    "record/parts",
    "record/reading",
    "record/segments",
    "record/summaries",
    "record/threads",
    "store/additions",
    "store/chain",
    "store/counting",
    "store/difference",
    "store/heads",
    "store/histogram",
    "store/keys",
    "store/language",
    "store/marks",
    "store/measures",
    "store/naming",
    "store/phrases",
    "store/pieces",
    "store/record",
    "store/rollup",
    "store/rows",
    "store/shelf",
    "store/sqlite_cells",
    "store/sqlite_join",
    "store/sqlite_many",
    "store/sqlite_rollups",
    "store/sqlite_save",
    "store/sqlite_story",
    "store/sqlite_traces",
    "store/sqlite_users",
    "store/sqlite_words",
    "store/story",
    "store/told",
    "store/unspaced",
    "wire/alike",
    "wire/answer",
    "wire/answered",
    "wire/calls",
    "wire/chat",
    "wire/deltas",
    "wire/dialects",
    "wire/dialogue",
    "wire/lenient",
    "wire/members",
    "wire/remark",
    "wire/saying",
    "wire/sse",
    "wire/text",
    "wire/turns",
    "wire/usage",
]
"""What the desk spends its time in, apart, so that no relay loads it. A class that is made `quickly` cannot be compiled."""

SETUP = """
from mypyc.build import mypycify
from setuptools import setup
relay = mypycify({relay!r}, group_name="tasktap", **{relay_options!r})
desk = mypycify({desk!r}, group_name="tasktap_desk", **{desk_options!r})
setup(name="tasktap", packages=[], ext_modules=[*relay, *desk])
"""

QUICK = "quick"
"""What `TASKTAP_COMPILE` says for a check: the same C, made in a fraction of the time, as it is not optimised."""


def options(quick: bool) -> tuple[dict[str, object], dict[str, object]]:
    """How the C of the relay's modules and of the desk's is compiled."""
    if quick:
        return {"opt_level": "0", "debug_level": "0"}, {"opt_level": "0", "debug_level": "0"}
    return {"opt_level": "3"}, {"opt_level": "2", "multi_file": True}


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel."""

    def _wanted(self) -> bool:
        return os.environ.get("TASKTAP_COMPILE", "0") not in ("", "0") and self.target_name == "wheel"

    def dependencies(self) -> list[str]:
        """What compiling needs: mypyc, and our own dependencies, whose types it reads."""
        return ["mypy>=2", "setuptools>=77", *self.metadata.core.dependencies] if self._wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless this is an editable installation, whose source is about to change."""
        if not self._wanted() or version == "editable":
            return
        place = Path(tempfile.mkdtemp(prefix="tasktap-compile-"))
        self._place = place
        shutil.copytree(Path(self.root) / "proxy", place / "proxy", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        relay, desk = [f"proxy/record/{name}.py" for name in COMPILED], [f"proxy/{name}.py" for name in OF_THE_DESK]
        relay_options, desk_options = options(os.environ["TASKTAP_COMPILE"] == QUICK)
        setup = SETUP.format(relay=relay, desk=desk, relay_options=relay_options, desk_options=desk_options)
        (place / "setup.py").write_text(setup)
        (place / "mypy.ini").write_text("[mypy]\nstrict = true\nwarn_unused_ignores = false\n")
        # Nobody reads what a C compiler warns of in C that was made, and looking for it takes longer than compiling: `-w` alone
        # prints nothing, but looks.
        given = os.environ.get("CFLAGS") or sysconfig.get_config_var("CFLAGS") or ""  # one given replaces Python's own
        flags = {"CFLAGS": f"{given} -w -Wno-all".strip()}
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=place, env=os.environ | flags, check=True
        )
        for file in place.rglob("*.so"):
            if "build" not in file.relative_to(place).parts:
                build_data["force_include"][str(file)] = str(file.relative_to(place))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if getattr(self, "_place", None) is not None:
            shutil.rmtree(self._place, ignore_errors=True)
