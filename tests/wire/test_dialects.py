"""The table of dialects: whole for who asks, and not there for who does not."""

import subprocess
import sys

import pytest

from proxy import wire


def test_a_relay_starts_without_the_readers():
    code = "import sys, proxy.server.relay_main; print('\\n'.join(name for name in sys.modules if name.startswith('proxy.wire')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "proxy.wire" in found
    assert {"proxy.wire.dialects", "proxy.wire.chat", "proxy.wire.messages"}.isdisjoint(found)


def test_a_kind_that_nobody_reads_is_opaque():
    assert wire.dialect_of("chat") is wire.DIALECTS["chat"]
    assert wire.dialect_of("telepathy") is wire.DIALECTS["opaque"]


def test_what_is_not_in_the_room_is_said():
    with pytest.raises(AttributeError, match="telepathy"):
        wire.telepathy  # noqa: B018
