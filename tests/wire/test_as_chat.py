"""What was said in any dialect, as the messages that OpenAI's chat would have had of it."""

import pytest

from proxy.cli.examples import example
from proxy.wire.as_chat import answer_of, joined, messages_of, tools_of
from tests.sessions.talk import NOON, App, model, tool, user

HOURS = ("call_1", "hours", {"day": "sun"})
AGAIN = ("call_2", "hours", {"day": "sat"})
TALK = [
    user("When does the bakery open?"),
    model("Let me look.", HOURS, AGAIN),
    tool("8:00", "call_1", "hours"),
    tool("7:00", "call_2", "hours"),
    model("At eight,  on Saturdays at seven."),
    user("And on Monday?"),
]
MONDAY = ("call_3", "hours", {"day": "mon"})


ANYTHING = (
    *(None, [], "x", {}),
    {"messages": [None, 1, {"role": ["x"]}, {"role": "user", "content": [1, None, {"type": "image"}]}]},
    {"input": [{"role": 1}, {"role": "user", "content": 7}]},
    {"contents": [{"parts": [{"functionCall": 1}, {"text": 2}]}]},
    *({"choices": [{}]}, {"choices": 1}, {"output": {"message": 1}}, {"output": [{"role": "assistant"}]}, {"content": 5}),
)


def plain(messages):
    """Without what dialects spell in their own way: white space in JSON, and what Gemini wraps results in."""
    return [
        {
            **message,
            "content": (message.get("content") or "").replace('{"result":"', "").replace('"}', ""),
            "tool_calls": [
                (call["id"], call["function"]["name"], call["function"]["arguments"].replace(" ", ""))
                for call in message.get("tool_calls", ())
            ],
        }
        for message in messages
    ]


@pytest.mark.parametrize("answer", [model("At seven. Bring cash!"), model("", MONDAY)], ids=["text", "call"])
@pytest.mark.parametrize("kind", ["response", "message", "ollama_chat", "gemini", "converse"])
def test_an_example_of_any_dialect_is_what_it_is_in_chat(kind, answer):
    told, chat = (example(App(each).call(TALK, answer, NOON))["messages"] for each in (kind, "chat"))
    assert plain(told) == plain(chat)
    assert [message["role"] for message in told] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]


def test_a_chat_is_as_it_was_sent():
    messages = [
        {"role": "developer", "content": "x"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    assert messages_of("chat", {"messages": messages}) == messages


def test_a_beginning_put_into_the_answers_mouth_is_its_beginning():
    begun = messages_of("message", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": '{"a":'}]})
    answer = answer_of("message", {"content": [{"type": "text", "text": " 1}"}]})
    assert joined(begun, answer) == [{"role": "user", "content": "x"}, {"role": "assistant", "content": '{"a": 1}'}]


def test_pictures_are_pictures_where_their_bytes_or_address_are_there():
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    part = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    item = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    for kind, asked in (
        ("message", {"messages": [{"role": "user", "content": [block]}]}),
        ("gemini", {"contents": [{"role": "user", "parts": [part]}]}),
        ("response", {"input": [{"role": "user", "content": [item]}]}),
    ):
        assert messages_of(kind, asked) == [{"role": "user", "content": [url]}]
    assert messages_of("ollama_chat", {"messages": [{"role": "user", "content": "see ", "images": ["AA=="]}]}) == [
        {"role": "user", "content": "see [image]"}
    ]


def test_the_functions_that_could_be_asked_for_are_told_in_one_way():
    schema = {"type": "object", "properties": {}}
    wanted = [{"type": "function", "function": {"name": "f", "description": "does", "parameters": schema}}]
    plain = {"name": "f", "description": "does"}
    assert tools_of("message", {"tools": [{**plain, "input_schema": schema}, {"type": "web_search_20250305"}]}) == wanted
    assert tools_of("response", {"tools": [{"type": "function", **plain, "parameters": schema}, {"type": "mcp"}]}) == wanted
    assert tools_of("gemini", {"tools": [{"functionDeclarations": [{**plain, "parameters": schema}]}]}) == wanted
    spec = {"toolSpec": {**plain, "inputSchema": {"json": schema}}}
    assert tools_of("converse", {"toolConfig": {"tools": [spec]}}) == wanted
    assert tools_of("chat", {"tools": wanted}) == wanted


@pytest.mark.parametrize("kind", ["chat", "response", "message", "ollama_chat", "gemini", "converse", "custom", "embedding"])
@pytest.mark.parametrize("raw", ANYTHING)
def test_requests_and_answers_of_any_shape_are_borne(kind, raw):
    assert isinstance(messages_of(kind, raw), list)
    assert answer_of(kind, raw) is None or answer_of(kind, raw)["role"] == "assistant"
    assert isinstance(tools_of(kind, raw), list)
