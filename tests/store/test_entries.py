"""What is written down of what apps and people say comes back as it was."""

from proxy.store.entries import Amended, is_logged, pack, unpack
from tests.store.absorbing import logged, said


def test_entries_come_back_as_they_were_packed():
    for entry in (
        logged("t", input="\ud800 half", metadata={"n": 2**70}, weak=("session_id",), growing=True),
        logged("t"),
        Amended(id="t", at=5, words={"name": None}),
        said("t", score=1.5, comment="c", source="s", user_id="u", project_id="p"),
        said(None, flag=None, response_id="chatcmpl-1"),
    ):
        assert unpack(pack(entry)) == entry


def test_an_origin_tells_who_brought_a_task():
    assert is_logged("0123456789abcdefi1f.3")
    assert not is_logged("0123456789abcdefw0s1.3")
