"""What `[redact]` names is found, however it is spelled and wherever it is cut; and what only looks like it stays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import proxy
from proxy.record.json_path import path_of
from proxy.record.patterns import HINTS, NAMED
from proxy.record.redact_events import EventRedactor
from proxy.record.redact_paths import PathRedactor
from proxy.record.redact_rules import Rules, expression
from proxy.record.redact_said import STRING, FormRedactor, SaidRedactor

ALL = Rules(tuple(NAMED), (("ticket", "TCK-[0-9]{4}"),))
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nDEFghi0123\n-----END RSA PRIVATE KEY-----"
THERE = {
    "email": ["ada.lovelace@example.com", "a.b+c@x.co.uk", "jörg@müller.de", "o'hara@mail.example.org"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011000990139424"],
    "phone": [
        "+49 30 901820",
        "+1 (415) 555-2671",
        "(415) 555-2671",
        "030 / 9018 20",
        "0171-2345678",
        "+14155552671",
        "0033 1 70189900",
    ],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "fr1420041010050500013m02606"],
    "api_key": [
        "sk-proj-abcdefghijklmnop1234",
        "sk-ant-api03-abc_def-ghijklmnopqrstu",
        "AKIAIOSFODNN7EXAMPLE",
        "gsk_abcdefghijklmnopqrst",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-1234567890-abcdef",
    ],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def-123"],
    "private_key": [PEM],
}
NOT_THERE = [
    "at 2024-01-01 12:00:01, id 1700000000, version 1.2.3.4 on 192.168.0.1",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "call 1234567890123 times",
    "ratio 0.12345678901234567",
    "a@b and @property x, 5@3",
    "price 1 000 000 000",
    "DE00 3704",
    "GB82WEST12345698765433",
    "chatcmpl-9x8y7z1234567890abcdef",
    "a-sk-short",
    "eyJ is how they begin",
    "-----BEGIN PUBLIC KEY-----",
    "task-1234567890123456789",
]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in THERE.items() for text in texts])
def test_what_a_pattern_names_goes_and_what_is_around_it_stays(name: str, text: str) -> None:
    for before, after in (("", ""), ("say: ", " now."), ("(", ")"), ("\n", "\n"), ('"', '"')):
        said = (before + text + after).encode()
        assert HINTS[name](said)
        assert Rules((name,)).clean(said) == f"{before}[redacted:{name}]{after}".encode()


@pytest.mark.parametrize("text", NOT_THERE)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert Rules(tuple(NAMED)).clean(text.encode()) == text.encode()


def test_an_unfinished_private_key_goes_to_its_end() -> None:
    assert Rules(("private_key",)).clean(b"see -----BEGIN PRIVATE KEY-----\nMIIB") == b"see [redacted:private_key]"


def test_a_pattern_takes_time_by_length_and_not_more() -> None:
    """Texts that are made to be searched long; each is a quarter of a mebibyte, and the test's own time limit is the judge."""
    for part in (b"a", b"a@", b"a@b.cc", b"1 ", b"+1", b"sk-", b"eyJ.", b"DE00", b"(0", b"01-", b"-----BEGIN PRIVATE KEY-----"):
        Rules(tuple(NAMED)).clean(part * (262144 // len(part)) + b"!")
    Rules(own=(("evil", "(a+)+$"),)).clean(b"a" * 1048576 + b"!")


def test_an_own_pattern_that_re2_does_not_take_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="RE2 does not take this pattern"):
        expression("(?<=a)b")


# --- bodies ---


def fed(make: Callable[[], Any], body: bytes, size: int) -> tuple[bytes, bool]:
    redactor = make()
    out = b"".join([redactor.feed(body[at : at + size]) for at in range(0, len(body), size)]) + redactor.finish()
    assert not redactor.holding
    return out, redactor.redacted


SAID = (
    "Write to ada@example.com or +49 30 901820; card 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00, TCK-1234. " + PEM + " End."
)
CLEAN = (
    "Write to [redacted:email] or [redacted:phone]; card [redacted:card], [redacted:iban], [redacted:ticket]. "
    "[redacted:private_key] End."
)
BODY = {
    "messages": [{"role": "user", "content": SAID + ' "quoted" ü'}],
    "n": 4111111111111111,
    "tool": json.dumps({"mail": "bob@example.org", "note": "x\nbob@example.org"}),
    "ok": None,
}
EXPECTED = {
    "messages": [{"role": "user", "content": CLEAN + ' "quoted" ü'}],
    "n": "[redacted:card]",
    "tool": json.dumps({"mail": "[redacted:email]", "note": "x\n[redacted:email]"}),
    "ok": None,
}


@pytest.mark.parametrize("dumps", [json.dumps, lambda value: json.dumps(value, ensure_ascii=False, indent=1)])
def test_a_json_body_stays_json_wherever_it_is_cut(dumps: Callable[[Any], str]) -> None:
    body = dumps(BODY).encode()
    for size in (len(body), *range(1, 90)):
        out, redacted = fed(lambda: SaidRedactor(ALL), body, size)
        assert redacted
        assert json.loads(out) == EXPECTED, size


def test_escapes_hide_nothing() -> None:
    body = b'{"a":"ada\\u0040example.com","b":"\\u0034111111111111111","c":"\\nada@example.com"}'
    for size in (len(body), 1, 7):
        out = json.loads(fed(lambda: SaidRedactor(ALL), body, size)[0])
        assert out == {"a": "[redacted:email]", "b": "[redacted:card]", "c": "\n[redacted:email]"}


def test_a_body_in_which_nothing_is_found_stays_as_it_is() -> None:
    body = b'{ "a" : "\\u00e4 \\/ nothing", "b":[1.0, 2e3] ,"c":"\\ud83d"}'
    for size in (len(body), 1, 5):
        assert fed(lambda: SaidRedactor(ALL), body, size) == (body, False)


def test_a_long_string_is_looked_through_though_it_is_never_whole() -> None:
    text = ("It was a long day, and then they wrote to ada@example.com about it. " * 8000) + PEM + " and so on"
    body = json.dumps({"content": text}).encode()
    out, _ = fed(lambda: SaidRedactor(ALL), body, 16384)
    assert json.loads(out)["content"] == text.replace("ada@example.com", "[redacted:email]").replace(
        PEM, "[redacted:private_key]"
    )
    redactor = SaidRedactor(ALL)
    for at in range(0, len(body) // 2, 16384):
        redactor.feed(body[at : at + 16384])
    assert len(redactor._rest) < 1 << 17, "it is held whole"


def test_plain_text_is_looked_through_in_pieces() -> None:
    for size in (len(SAID), 1, 3, 16):
        assert fed(lambda: SaidRedactor(ALL), SAID.encode(), size)[0].decode() == CLEAN


def test_a_form_is_searched_as_what_it_means() -> None:
    body = b"a=ada%40example.com+or+not&b=2&card=4111111111111111"
    for size in (len(body), 1, 5):
        out, _ = fed(lambda: FormRedactor(ALL), body, size)
        assert out == b"a=[redacted:email]+or+not&b=2&card=[redacted:card]"


# --- paths ---

PATHS = ("$.messages[*].content", "$.n", "$..secret", "$.list[1]", "$['odd name']")


def test_values_at_paths_go_whole_wherever_the_body_is_cut() -> None:
    body = json.dumps(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": 'a "b" c'}]}, {"content": "x", "role": "system"}],
            "n": 12345,
            "deep": [{"secret": {"a": [1, 2]}}, {"secret": None, "open": "secret"}],
            "list": ["a", "b", "c"],
            "odd name": True,
            "content": "stays",
        }
    ).encode()
    hidden = "[redacted:path]"
    for size in (len(body), *range(1, 60)):
        out, redacted = fed(lambda: PathRedactor(tuple(map(path_of, PATHS))), body, size)
        assert redacted
        assert json.loads(out) == {
            "messages": [{"role": "user", "content": hidden}, {"content": hidden, "role": "system"}],
            "n": hidden,
            "deep": [{"secret": hidden}, {"secret": hidden, "open": "secret"}],
            "list": ["a", hidden, "c"],
            "odd name": hidden,
            "content": "stays",
        }


@pytest.mark.parametrize("text", ["messages", "$", "$.", "$messages", "$.a[", "$.a[x]", "$...b", "$.a b", "$.*x", ""])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        path_of(text)


# --- streams ---


def chat(text: str, index: int = 0) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "chatcmpl-1", "created": 1700000000, "choices": [choice]}).encode() + b"\n\n"


def response(text: str) -> bytes:
    event = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text}
    return b"event: response.output_text.delta\ndata: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


def message(text: str) -> bytes:
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\r\ndata: " + json.dumps(event).encode() + b"\r\n\r\n"


def arguments(text: str) -> bytes:
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


def ollama(text: str) -> bytes:
    return json.dumps({"model": "m", "message": {"role": "assistant", "content": text}, "done": False}).encode() + b"\n"


def texts(stream: bytes) -> str:
    out = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                if name in ("content", "arguments", "text", "delta") and isinstance(each, str):
                    out.append(each)
                else:
                    look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    for line in stream.replace(b"\r", b"").split(b"\n"):
        if line.removeprefix(b"data: ").startswith(b"{"):
            look(json.loads(line.removeprefix(b"data: ")))
    return "".join(out)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 40, 1000])
@pytest.mark.parametrize("event", [chat, response, message, arguments, ollama])
def test_what_is_said_in_fragments_goes_and_every_event_stays(event: Callable[[str], bytes], size: int) -> None:
    events = [event(SAID[at : at + size]) for at in range(0, len(SAID), size)] + [b"data: [DONE]\n\n"]
    stream = b"".join(events)
    whole, redacted = fed(lambda: EventRedactor(ALL), stream, len(stream))
    assert redacted
    assert texts(whole) == CLEAN
    assert whole.count(b"\n") == stream.count(b"\n")
    for cut in (1, 7, 300):
        assert fed(lambda: EventRedactor(ALL), stream, cut)[0] == whole
    redactor = EventRedactor(ALL)
    assert b"".join([redactor.feed(each) for each in events]) + redactor.finish() == whole


def test_two_choices_that_are_said_in_turn_are_two_texts() -> None:
    stream = b"".join(chat(part, index) for part in ("ada@", "example", ".com is") for index in (0, 1))
    out, _ = fed(lambda: EventRedactor(ALL), stream, 50)
    assert texts(out).count("[redacted:email]") == 2
    assert "example" not in texts(out)


def test_no_more_of_a_stream_waits_than_a_word() -> None:
    redactor = EventRedactor(Rules(("email", "jwt")))
    given = b"".join(redactor.feed(chat(word + " ")) for word in ["once", "upon", "a", "time", "there"])
    assert texts(given) == "once upon a time there "
    assert texts(redactor.feed(chat("ada@exam"))) == ""
    assert texts(redactor.feed(chat("ine, 3")) + redactor.settle()) == "ada@examine, 3"


def test_what_a_stream_says_beside_its_text_goes_too() -> None:
    stream = b'data: {"user":"ada@example.com","choices":[{"index":0,"delta":{"content":"hi "}}]}\n\n: to bob@example.org\n\n'
    for size in (len(stream), 1, 20):
        out, redacted = fed(lambda: EventRedactor(ALL), stream, size)
        assert redacted
        assert b'"user":"[redacted:email]"' in out
        assert b": to [redacted:email]\n" in out


def test_a_stream_in_which_nothing_is_found_stays_as_it_is() -> None:
    stream = chat('a\\b "q" ü ') + b": comment\n\ndata: not JSON {\n\n" + chat("😀 end") + b"data: [DONE]\n\n"
    for size in (len(stream), 1, 9):
        assert fed(lambda: EventRedactor(ALL), stream, size) == (stream, False)


def test_pieces_keep_the_times_they_came_at() -> None:
    redactor = EventRedactor(Rules(("email",)))
    given = redactor.feed_in_time([10, 20, 30], [chat("one "), chat("two"), chat(" three")])
    assert [time for time, _ in given] == [10, 20]
    assert [(time, texts(data)) for time, data in given] == [(10, "one "), (20, "two")]


def test_in_a_string_that_was_cut_off_no_other_is_looked_for():
    cut = b'"' + rb"\"" * 20_000  # each of these quotes once began a search to the end: ten seconds
    assert [found[2] for found in STRING.finditer(cut + b"\\")] == [b""]


def test_no_pattern_uses_what_python_before_3_11_5_gets_wrong():
    wrong = re.compile(r"\)[*+?]\+|\)\{[0-9,]+\}\+|\(\?>")  # a group that is possessive or atomic
    sub_delims = "'()*+,;="  # of RFC 3986: letters in a class
    files = Path(proxy.__file__).parent.rglob("*.py")
    assert not [str(file) for file in files if wrong.search(file.read_text().replace(sub_delims, ""))]
