"""A call of Bedrock's Converse, as the page shows it."""

from __future__ import annotations

from proxy.query.dashboard.turns import Shape, answered, asked, tools
from proxy.record.reading import read
from tests.tapes.tape import tapes

TAPES = {tape.name: read(tape.call()) for tape in tapes("converse")}


def test_tools_and_what_they_gave_back_are_shown_as_such():
    task = TAPES["tool_use"]
    system_less = [(turn.role, [(part.shape, part.name) for part in turn.parts]) for turn in asked(task)]
    assert system_less[1] == ("assistant", [(Shape.TEXT, None), (Shape.CALL, "weather")])
    assert [shape for shape, _ in system_less[2][1]][:2] == [Shape.RESULT, Shape.RESULT]
    [turn] = answered(task)
    assert [(part.shape, part.name, part.value) for part in turn.parts] == [
        (Shape.THINKING, None, None),
        (Shape.CALL, "weather", {"city": "Rome"}),
        (Shape.CALL, "weather", {}),
    ]
    assert tools(task.raw_input) == ("weather",)


def test_instructions_and_texts_are_shown():
    task = TAPES["plain"]
    assert [(turn.role, turn.parts[0].text) for turn in asked(task)] == [("system", "Be kind."), ("user", "Greet me")]
    assert [part.text for part in answered(task)[0].parts] == ["Good morning 🌞"]
