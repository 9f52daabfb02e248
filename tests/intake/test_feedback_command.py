"""`tasktap feedback`, while the desk runs and while it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.intake.talk import log
from tests.proc import Tasktap, serving, soon

ROOT = Path(__file__).parents[2]


def feedback(house: Tasktap, *words: str, code: int = 0) -> str:
    """What the command prints; on standard error where it fails."""
    command = [sys.executable, "-m", "proxy", "feedback", *words, "--data-dir", str(house.data)]
    ran = subprocess.run(command, cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=150)
    assert ran.returncode == code, ran.stderr
    return ran.stderr if code else ran.stdout


def test_feedback_is_given_by_command_through_the_desk_and_without_it(tmp_path):
    with serving(tmp_path) as house:
        log(house, {"task_id": "t-1", "input": "q", "response_id": "chatcmpl-9"})
        house.task("t-1")
        assert "kept with t-1" in feedback(house, "t-1", "failure", "--comment", "no", "--score", "0.25", "--by", "ada")
        assert json.loads(feedback(house, "chatcmpl-9", "success", "--json"))["id"] == "t-1"
        assert "not there yet" in feedback(house, "t-2", "success")
        assert "flag:" in feedback(house, "t-1", "good", code=2)
        task = soon(lambda: found if len((found := house.task("t-1"))["feedback"]) == 2 and found["flag"] == "success" else None)
        first = task["feedback"][0]
        assert (first["flag"], first["comment"], first["score"], first["source"], first["user_id"]) == (
            "failure",
            "no",
            0.25,
            "cli",
            "ada",
        )
    assert "kept with t-1" in feedback(house, "t-1", "failure")
    assert "not there yet" in feedback(house, "t-3", "--comment", "early")
    assert "flag:" in feedback(house, "t-1", "good", code=2)
    with serving(tmp_path) as house:
        log(house, [{"task_id": f"t-{n}", "input": "q"} for n in (2, 3)])
        assert house.task("t-1")["flag"] == "failure"
        assert house.task("t-2")["flag"] == "success"
        assert house.task("t-3")["feedback"][0]["comment"] == "early"
