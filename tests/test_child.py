"""How long the supervisor waits before it starts a process again."""

import socket
import subprocess
import sys

import pytest

from proxy.server.child import Child


@pytest.mark.parametrize(("role", "most"), [("relay", 1.0), ("desk", 5.0)])
def test_who_dies_at_once_again_and_again_is_started_after_ever_longer_pauses_up_to_a_limit(role: str, most: float):
    with socket.socket() as sock:
        child = Child(role, 0, sock)
        pauses = []
        for _ in range(10):
            child.process = subprocess.Popen([sys.executable, "-c", ""])
            child.process.wait()
            child.started_at = 100.0
            child.buried(100.1)
            pauses.append(child.start_after - 100.1)
    assert pauses[0] == pytest.approx(0.2)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(most)


def test_who_worked_for_a_while_is_started_again_at_once():
    with socket.socket() as sock:
        child = Child("relay", 0, sock, process=None, ready=True, started_at=100.0, failures=5)
        child.buried(102.0)
    assert child.start_after == 102.0
