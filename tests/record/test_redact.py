"""No credential gets into the copy of a body, wherever it is cut; everything else gets there unchanged."""

from __future__ import annotations

import gzip
import json
import random
import timeit
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise

import brotli
import pytest
from backports import zstd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.record import redact_text
from proxy.record.redact import Redactor, joined, redacted_whole

KEY = b"sk-canary-aB3dE5gH7jK9mN1pQ3"
OTHER = b"zz-canary-aB3dE5gH"


def run(pieces: Iterable[bytes], known: tuple[bytes, ...] = (KEY,), **how: object) -> tuple[bytes, Redactor]:
    redactor = Redactor(known, **how)  # type: ignore[arg-type]
    kept = b"".join(redactor.feed(piece) for piece in pieces)
    return kept + redactor.finish(), redactor


def gathered(lots: Iterable[list[bytes]], known: tuple[bytes, ...] = (KEY,)) -> bytes:
    """What is kept of a stream whose events are given together, some at a time."""
    redactor = Redactor(known)
    assert redactor.feed_events is not None
    return b"".join([redactor.feed_events(b"".join(lot), lot) for lot in lots]) + redactor.finish()


def cuts(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """The data in two at every place, and byte by byte."""
    for at in range(len(data) + 1):
        yield data[:at], data[at:]
    yield tuple(data[at : at + 1] for at in range(len(data)))


def event(fragment: str) -> bytes:
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode() + b"\n\n"


DEEP = json.dumps({"a": json.dumps({"api_key": 'q"\\S3CRET', "n": json.dumps({"password": "S3CRET\\", "x": 1}), "y": 2}), "z": 3})
SECRETS = "key apikey X-Api-Key Access_Token refreshToken client-secret SECRET_KEY passWord Authorization sig pass_word KEY_"
NAMES_OF_SECRETS = json.dumps(dict.fromkeys(SECRETS.split(), "S3CRET")).encode()
NAMES_OF_NO_SECRETS = (
    b'{"token":" hi","max_tokens":3,"monkey":"a","keys":["a"],"keyword":"b","signature":"c","finish_reason":"stop",'
    b'"bytes":[32],"key_id":"d","author":"e","text":"key: value","secret":"f","required":["a"]}'
)
TEXTS = {
    "a key in prose": (b"the key is " + KEY + b", isn't it", b"the key is [redacted], isn't it"),
    "twice, one after the other": (KEY + KEY, b"[redacted][redacted]"),
    "the beginning of a key before a whole one": (KEY[:9] + KEY + KEY[:5], KEY[:9] + b"[redacted]" + KEY[:5]),
    "a member": (b'{"api_key": "S3CRET", "a": "b"}', b'{"api_key": "[redacted]", "a": "b"}'),
    "every name": (NAMES_OF_SECRETS, NAMES_OF_SECRETS.replace(b"S3CRET", b"[redacted]")),
    "white space": (b'{"key"  \n\t:\r\n  "S3CRET" }', b'{"key"  \n\t:\r\n  "[redacted]" }'),
    "userinfo in a URL": (b'{"u":"https://ann:S3CRET@h.example/x"}', b'{"u":"https[redacted]h.example/x"}'),
    "userinfo behind slashes that JSON need not escape": (b'{"u":"ftp:\\/\\/ann:S3CRET@h"}', b'{"u":"ftp[redacted]h"}'),
    "an @ that ends no userinfo": (b"https://h/a@b, ann@h.example, ://@ and http://", None),
    "a key in the middle of a member's value": (
        b'{"key":"S' + KEY + b'3","b":"' + KEY + b'"}',
        b'{"key":"[redacted]","b":"[redacted]"}',
    ),
    "quotes and backslashes": (rb'{"key":"S3\"CR\\ET\\","b":"\\"}', rb'{"key":"[redacted]","b":"\\"}'),
    "an object": (b'{"client_secret":{"value":"S3}CRET","a":[{}]},"b":1}', b'{"client_secret":"[redacted]","b":1}'),
    "an array": (b'{"key":["S3CRET","]",{"a":[]}],"b":1}', b'{"key":"[redacted]","b":1}'),
    "a number": (b'{"password":-12.5e+10,"key":123}', b'{"password":"[redacted]","key":"[redacted]"}'),
    "a value inside a value": (b'{"key":{"key":"S3CRET"},"sig":"S3CRET"}', b'{"key":"[redacted]","sig":"[redacted]"}'),
    "an empty value": (b'{"key":"","b":{}}', b'{"key":"[redacted]","b":{}}'),
    "what says nothing": (b'{"key":null,"password":true,"sig":false,"a":1}', None),
    "no secrets": (NAMES_OF_NO_SECRETS, None),
    "a value that ends in a name": (b'{"a":"key","b":"the api_key"}', None),
    "prose about a member": (b'Write {"name": "x"} or \'key\': "y", or key: z', None),
    "JSON in JSON": (
        rb'{"arguments":"{\"api_key\": \"S3C\\\"RET\\\\\", \"q\":\"x\"}","b":1}',
        rb'{"arguments":"{\"api_key\": \"[redacted]\", \"q\":\"x\"}","b":1}',
    ),
    "JSON in JSON, spread over lines": (
        rb'{"arguments":"{\n  \"key\":\n  {\"a\": \"S3CRET\"},\n \"sig\": 12 }"}',
        rb'{"arguments":"{\n  \"key\":\n  \"[redacted]\",\n \"sig\": \"[redacted]\" }"}',
    ),
    "JSON in JSON, cut off by its string": (
        rb'{"arguments":"{\"api_key\": \"S3CR","b":1}',
        rb'{"arguments":"{\"api_key\": \"[redacted]","b":1}',
    ),
    "an event stream": (
        event('{"api_key": "S3CRET", "q": 1}') + event("x" + KEY.decode()) + b"data: [DONE]\n\n",
        event('{"api_key": "[redacted]", "q": 1}') + event("x[redacted]") + b"data: [DONE]\n\n",
    ),
    "deep": (
        DEEP.encode(),
        DEEP.replace('q\\\\\\"\\\\\\\\S3CRET', "[redacted]").replace("S3CRET" + "\\" * 8, "[redacted]").encode(),
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_every_cut_of_a_text_gives_what_the_whole_gives(name: str) -> None:
    text, expected = TEXTS[name]
    for pieces in cuts(text):
        kept, redactor = run(pieces)
        assert kept == (text if expected is None else expected), pieces
        assert redactor.redacted is (expected is not None)


@pytest.mark.parametrize("name", [name for name, (text, _) in TEXTS.items() if text.startswith(b"{") and "cut off" not in name])
def test_valid_json_stays_valid(name: str) -> None:
    kept, _ = run([TEXTS[name][0]])
    parsed = json.loads(kept)
    for value in parsed.values():
        if isinstance(value, str) and value.startswith("{"):
            json.loads(value)


def test_a_name_and_its_value_find_each_other_over_any_white_space() -> None:
    text = b'{"key"' + b" " * 700 + b":" + b"\n" * 900 + b'"S3CRET"}'
    for size in (1, 7, 300, 650, 800, 5000):
        kept, _ = run(text[at : at + size] for at in range(0, len(text), size))
        assert kept == text.replace(b"S3CRET", b"[redacted]")


def test_text_without_credentials_comes_back_as_the_same_object() -> None:
    redactor = Redactor((KEY,))
    for piece in (
        event("hi"),
        b'data: {"a"',
        b": [1, 2",
        b"]}\n\n",
        b'{"function": {"name": "f", "description":"x"}}',
        bytes(1000),
    ):
        assert redactor.feed(piece) is piece


def test_only_a_tail_that_may_become_a_key_is_held_back() -> None:
    redactor = Redactor((KEY,))
    assert redactor.feed(b"say " + KEY[:3]) == b"say "
    assert redactor.feed(b"d") == KEY[:3] + b"d"
    assert redactor.feed(b'{"key":"S3C') == b'{"key":"[redacted]'
    assert redactor.feed(b"RET") == b""
    assert redactor.feed(b'"}') == b'"}'


def test_a_secret_after_what_all_events_begin_with_is_seen() -> None:
    plain = [b'data: {"id":"a","delta":{"api_kez":"' + text + b'"}}\n\n' for text in (b"x", b"yy", b"zzz")]
    for repeat in (1, 3, 20):
        redactor = Redactor((KEY,))
        for piece in plain * repeat:
            assert redactor.feed(piece) is piece
        assert redactor.feed(plain[0].replace(b"kez", b"key")) == plain[0].replace(b"kez", b"key").replace(
            b'"x"', b'"[redacted]"'
        )
        assert redactor.feed(plain[0].replace(b"x", KEY)) == plain[0].replace(b"x", b"[redacted]")
        assert redactor.feed(plain[1]) is plain[1]


ENVELOPES = [
    b'data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"%b"},"logprobs":null,"finish_reason":null}]}\n\n',
    b'data: {"id":"c-1","choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"%b"}}]}}]}\n\n',
    b'data: {"t":"%b"}\n\n',
    b'event: x\ndata: {"api_key":"%b"}\n\n',
    b": %b\n\n",
]
FRAGMENTS = st.lists(
    st.sampled_from(["key", "api_", "S3CRET", '":"', '\\"', ":", ": ", "{", "}", "\n\n", "a word ", "x" * 40]), max_size=4
).map("".join)


@given(
    st.lists(st.tuples(st.sampled_from(ENVELOPES), FRAGMENTS, st.booleans(), st.sampled_from("eelt")), min_size=3, max_size=40)
)
@example([(ENVELOPES[0], "", False, "e"), (ENVELOPES[0], "", False, "l"), (ENVELOPES[4], 'api_key":"', False, "e")])
def test_events_that_are_like_those_before_them_are_judged_as_if_they_stood_alone(said) -> None:
    """What is remembered of a stream is what need not be searched again, and nothing else."""
    lots: list[list[bytes]] = [[]]
    for envelope, text, raw, how in said:
        event = envelope % (text.encode() if raw else json.dumps(text)[1:-1].encode())
        middle = len(event) // 2 if how == "t" else len(event)
        lots[-1].append(event[:middle])
        if how != "e":  # the last of these, or torn
            lots.append([event[middle:]])
    whole = run([b"".join(map(b"".join, lots))])[0]
    assert gathered(lots) == whole
    assert run([b"".join(lot) for lot in lots])[0] == whole


NAMES = ["key", "token", "required", "zation", '"', '\\"', "\\", " ", "\n", "-", "_", "n", "x"]


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=8), st.sampled_from(NAMES), st.binary(max_size=8))
def test_a_colon_is_judged_by_the_few_bytes_before_it(parts: list[str], one: str, other: bytes) -> None:
    """On which it depends that colons far enough behind what differs in events are not looked at again."""
    before = "".join(parts).encode()[-redact_text._SIGHT :]
    before = b"," * (redact_text._SIGHT - len(before)) + before
    judged = [redact_text._COLON.match(text + b":", len(text)) for text in (one.encode() + before, other + before)]
    assert (judged[0] is None) == (judged[1] is None)


def test_what_is_in_an_event_between_what_all_begin_and_end_with_is_searched_where_a_colon_is_in_it() -> None:
    begins, ends = b'data: {"id":"c-1","choices":[{"delta":{"content":"', b'"},"logprobs":null,"finish_reason":null}]}\n\n'
    plain = [begins + word + ends for word in (b"x", b"", b"see http://there", b"zzz")]
    odd = begins + rb"{\"api_key\":\"hidden\"}" + ends
    lots = [*[plain[at:] + plain[:at] for at in range(4)], [plain[1], odd, plain[0]], [odd], [plain[3], plain[0]]]
    found = gathered(lots)
    assert found.count(b"[redacted]") == 2
    assert found == run([b"".join(map(b"".join, lots))])[0]


MEMBERS = (b'"api_key":"hidden"', b'\\"Authorization\\":\\"hidden\\"')


@pytest.mark.parametrize(("member", "cut"), [(member, cut) for member in MEMBERS for cut in range(len(member) + 1)])
@pytest.mark.parametrize("split", ["what is always there begins it", "what is always there ends it"])
def test_a_secret_member_half_of_which_all_events_have_is_seen_in_the_one_that_has_the_other_half(
    member: bytes, cut: int, split: str
) -> None:
    begins, ends = (member[:cut], b"") if "begins" in split else (b"", member[cut:])
    here = b'data: {"id":"' + b"c" * 80 + b'","delta":{' + begins
    there = ends + b'},"finish_reason":null,"object":"chunk"}\n\n'
    rest = member[cut:] if "begins" in split else member[:cut]
    plain = [here + word + there for word in (b'"a":"x"', b'"b":"yy"', b'"a":1', b'"c":"zzz"')]
    odd = here + rest + there
    lots = [*[plain[at:] + plain[:at] for at in (0, 1, 2, 3, 0)], [plain[0], odd, plain[1], odd, odd, plain[2]]]
    found = gathered(lots)
    assert found.count(b"[redacted]") >= 3
    assert found == run([b"".join(map(b"".join, lots))])[0]


ID = b'"id":"cccccccccccccccccccccccccccccccc","index":0,"delta":"'
END = b'","object":"a chunk of a longer answer"}\n\n'


@pytest.mark.parametrize(
    ("begins", "odd"),
    [
        (b"data: {" + ID, [b'data: {"api_key":"hidden",' + ID + END]),
        (b"data: {" + ID, [b"data: {" + ID + END[:-3] + b',"api_key":"hidden"}\n\n']),
        (b'":"hidden",' + ID, [b'data: {"api_key', b'":"hidden",' + ID + END]),
    ],
    ids=["where it begins", "where it ends", "where it goes on from what is before it"],
)
def test_an_event_that_is_unlike_those_before_it_is_searched_where_it_is(begins: bytes, odd: list[bytes]) -> None:
    plain = [begins + word + END for word in (b"x", b"yy", b"zzz")]
    lots = [plain, plain[1:] + plain[:1], plain[2:] + plain[:2], [*plain, *odd, *plain]]
    found = gathered(lots)
    assert found.count(b"[redacted]") == 1
    assert found == run([b"".join(map(b"".join, lots))])[0]


@pytest.mark.parametrize("cut", range(1, 26))
def test_arguments_that_came_in_fragments_are_redacted_when_put_together(cut: int) -> None:
    text = '{"api_key": "S3CRET", "q": 1}'
    kept, _ = run([event(text[:cut]) + event(text[cut:])])
    parts = [
        json.loads(line[6:])["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
        for line in kept.split(b"\n\n")
        if line
    ]
    answer = json.dumps({"tool_calls": [{"function": {"arguments": "".join(parts)}}]}).encode()
    answer, _ = redacted_whole(answer)
    assert json.loads(json.loads(answer)["tool_calls"][0]["function"]["arguments"]) == {"api_key": "[redacted]", "q": 1}


def test_a_value_that_never_ends_takes_nothing_with_it_but_itself() -> None:
    redactor = Redactor((KEY,))
    kept = redactor.feed(b'{"key":"') + b"".join(redactor.feed(b"S3CRET" * 1000) for _ in range(50)) + redactor.finish()
    assert kept == b'{"key":"[redacted]'


FORMS = {
    "api_key": (b"a=1&api_key=S3CRET&b=2", b"a=1&api_key=[redacted]&b=2"),
    "percent": (b"client%5Fsecret=S3CRET&api%2dkey=S3&key=&sig", b"client%5Fsecret=[redacted]&api%2dkey=[redacted]&key=&sig"),
    "known": (b"q=x" + KEY + b"y&password=a=b", b"q=x[redacted]y&password=[redacted]"),
    "none": (b"a=key&monkey=x&grant_type=client&&=", None),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_cut_of_a_form_loses_the_values_with_secret_names(name: str) -> None:
    text, expected = FORMS[name]
    for pieces in cuts(text):
        kept, redactor = run(pieces, form=True)
        assert kept == (text if expected is None else expected), pieces
        assert redactor.redacted is (expected is not None)


def stored(data: bytes) -> bytes:
    packer = zlib.compressobj(0, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def flushed(data: bytes) -> bytes:
    """zstd as a streaming server makes it: a block an event."""
    packer = zstd.ZstdCompressor()
    blocks = [packer.compress(data[at : at + 97], packer.FLUSH_BLOCK) for at in range(0, len(data), 97)]
    return b"".join(blocks) + packer.flush()


CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate, stored": stored,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "zstd, flushed": flushed,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}
NOISE = random.Random(7).randbytes(150).hex().encode()
CODED = {
    "key": b'{"a":"' + NOISE + b'"}\n\ndata ' + KEY[:11] + b" then " + KEY + b" and " + KEY + b' {"b":"c"}',
    "member": b'{"a":"' + NOISE + b'","api_key":"' + OTHER + b'","b":"' + KEY + b'"}',
    "first": KEY + NOISE,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", CODED)
def test_every_cut_of_a_coded_body_is_the_redacted_text_when_joined(name: str, coding: str) -> None:
    text = CODED[name]
    expected, _ = run([text])
    assert b"canary-aB3dE5gH" not in expected
    label = coding.removesuffix(", stored").removesuffix(", flushed")
    for pieces in cuts(CODINGS[coding](text)):
        kept, redactor = run(pieces, coding=label)
        assert redactor.redacted
        assert redactor.decoded
        assert redactor.problem is None
        assert joined(kept, redactor.switched_at, label) == expected, [len(piece) for piece in pieces]
        assert b"canary-aB3dE5gH" not in kept
        at = redactor.switched_at or 0
        assert b"canary-aB3dE5gH" not in joined(kept[:at], at, label)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_body_without_credentials_is_kept_as_it_came(coding: str) -> None:
    body = CODINGS[coding](b'{"a":"' + NOISE + KEY[:-1] + b'","key":null}')
    label = coding.removesuffix(", stored").removesuffix(", flushed")
    for pieces in cuts(body):
        kept, redactor = run(pieces, coding=label)
        assert kept == body
        assert not redactor.redacted
        assert redactor.switched_at is None
        assert joined(kept, None, label) == body


@pytest.mark.parametrize("coding", CODINGS)
def test_a_cut_off_coded_body_never_holds_the_key(coding: str) -> None:
    body = CODINGS[coding](CODED["key"])
    label = coding.removesuffix(", stored").removesuffix(", flushed")
    whole, _ = run([CODED["key"]])
    for end in range(len(body)):
        kept, redactor = run([body[: end // 2], body[end // 2 : end]], coding=label)
        assert KEY not in kept
        text = joined(kept, redactor.switched_at, label)
        assert redactor.switched_at is None or whole.startswith(text[: -len(KEY)])


def test_a_tail_that_was_held_back_in_vain_is_not_said_twice() -> None:
    packer = zstd.ZstdCompressor()
    texts = (b"abc " + KEY[:5], b"xyz " * 5, b"then " + KEY)
    pieces = [packer.compress(text, packer.FLUSH_BLOCK) for text in texts]
    kept, redactor = run([*pieces, packer.flush()], coding="zstd")
    assert joined(kept, redactor.switched_at, "zstd") == b"".join(texts).replace(KEY, b"[redacted]")
    assert redactor.switched_at


def test_a_known_number_as_a_value_leaves_valid_json() -> None:
    kept, _ = run([b'{"password":1234567890123}'], (b"1234567890123",))
    assert kept == b'{"password":"[redacted]"}'


def test_a_bomb_is_not_decoded_to_its_end_and_the_rest_is_not_kept() -> None:
    body = gzip.compress(bytes(3_000_000) + KEY)
    redactor = Redactor((KEY,), coding="gzip", limit=100_000)
    kept = b"".join(redactor.feed(body[at : at + 500]) for at in range(0, len(body), 500)) + redactor.finish()
    assert len(kept) <= 500
    assert "not read, nor kept" in (redactor.problem or "")
    assert redactor.feed(b"more") == b""


def test_an_unknown_coding_is_kept_as_it_is_and_still_searched() -> None:
    kept, redactor = run([b"pack", KEY[:5], KEY[5:], b"200"], coding="pack200")
    assert kept == b"pack[redacted]200"
    assert redactor.redacted
    assert redactor.switched_at is None
    assert "pack200" in (redactor.problem or "")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_a_body_that_lies_about_its_coding_is_searched_as_it_is(coding: str) -> None:
    text = b'{"error": "bad key ' + KEY + b'"}'
    kept, redactor = run([text], coding=coding)
    assert kept == text.replace(KEY, b"[redacted]")
    assert redactor.problem


def test_broken_data_after_a_find_is_not_kept() -> None:
    packer = zlib.compressobj()
    body = packer.compress(b"a " + KEY + b" b ") + packer.flush(zlib.Z_FULL_FLUSH)
    kept, redactor = run([body, b"\xff" * 50, KEY], coding="deflate")
    assert joined(kept, redactor.switched_at, "deflate") == b"a [redacted] b "
    assert "not kept" in (redactor.problem or "")


def test_a_text_that_is_put_together_later_can_be_redacted_whole() -> None:
    assert redacted_whole(b'{"api_key":"S3CRET"}') == (b'{"api_key":"[redacted]"}', True)
    assert redacted_whole(b"{}") == (b"{}", False)


def pieces_of(data: bytes, places: list[int]) -> list[bytes]:
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(at)]


KEYS = [KEY, OTHER, KEY[:7], KEY[3:]]
NAMED = [b'"key"', b'\\"key\\"', b'"api_key":', b'\\"sig\\": ', b'"token":', b'key"', b'_"', b"k", b'\\\\\\"key\\\\\\"']
SIGNS = [
    b'"',
    b"\\",
    b'\\"',
    b'\\\\\\"',
    b":",
    b" ",
    b"\n",
    b"\\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"1",
    b"-",
    b",",
    b"x",
    b"null",
    b"}\n\n",
]
PARTS = st.sampled_from(KEYS + NAMED + SIGNS)
PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@settings(max_examples=600, deadline=None)
@given(st.lists(PARTS, max_size=25), PLACES)
@example([b'"key"', b":", b'"', KEY[:7]], [3])
def test_no_cut_of_any_text_lets_a_key_through_or_changes_the_outcome(parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    whole, _ = run([data], (KEY, OTHER))
    kept, redactor = run(pieces_of(data, places), (KEY, OTHER))
    assert kept == whole
    assert KEY not in kept
    assert OTHER not in kept
    assert redactor.redacted or kept == data


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=12)
)
NAMES = st.one_of(st.sampled_from(["key", "api_key", "Authorization", "token", "a", "x-api-key"]), st.text(max_size=6))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)


def without_secrets(value: object) -> object:
    """The oracle: what JSON's own reader says should be left."""
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    secret = {"key", "api_key", "Authorization", "x-api-key"}
    return {
        name: "[redacted]" if name in secret and item is not None and not isinstance(item, bool) else without_secrets(item)
        for name, item in value.items()
    }


@settings(max_examples=300, deadline=None)
@given(VALUES, PLACES, st.sampled_from([None, 1, 2]), st.integers(0, 2))
def test_json_loses_the_values_with_secret_names_and_nothing_else(
    value: object, places: list[int], indent: int | None, depth: int
) -> None:
    text = json.dumps(value, indent=indent)
    for _ in range(depth):
        text = json.dumps({"a": text})
    kept, _ = run(pieces_of(text.encode(), places))
    parsed = json.loads(kept)
    for _ in range(depth):
        parsed = json.loads(parsed["a"])
    assert parsed == without_secrets(value)


def test_how_fast_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not asserted: what the relay pays for a clean event, and for a clean body of 200 KB."""
    piece, body = event("hi"), json.dumps([{"role": "user", "content": "the quick brown fox asks " * 40}] * 200).encode()
    redactor = Redactor((KEY,))
    with capsys.disabled():
        per_event = min(timeit.repeat(lambda: redactor.feed(piece), number=2000, repeat=5)) / 2000
        per_body = min(timeit.repeat(lambda: Redactor((KEY,)).feed(body), number=5, repeat=5)) / 5
        print(f" [{len(piece)}-byte event {per_event * 1e6:.2f} us, {len(body) >> 10} KiB body {per_body * 1e6:.0f} us] ", end="")
    assert redactor.feed(piece) is piece


def test_letters_spelled_as_escapes_hide_neither_a_name_nor_a_known_value():
    name = b'{"a":1,"\\u0061pi_ke\\u0079":"\\u0073ecret"}'
    assert redacted_whole(name) == (b'{"a":1,"api_key":"[redacted]"}', True)

    value = b'{"a":"\\u0073k-12345678"}'
    assert redacted_whole(value, (b"sk-12345678",)) == (b'{"a":"[redacted]"}', True)


@pytest.mark.parametrize("text", [b'{"a":"\\u0061bc \\u003c \\u00e9"}', b'{"path":"C:\\\\\\\\u0061pi_key"}'])
def test_escapes_that_hide_nothing_stay_as_they_were(text):
    assert redacted_whole(text) == (text, False)
