"""A labelled set of conversations, as apps have them: which call belongs to which is known, and no call says it.

Everything is drawn from one seed. Each shape says what the app does with the history: brings it along as it was, or changes it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from proxy.task import Task
from tests.sessions.compacting import SUMMED_UP
from tests.sessions.talk import KINDS, MINUTE, NOON, SECOND, App, Turn, model, task, tool, user

WORDS = """
account address answer banana bread bridge budget button cable camera change cheese city cloud coffee colour contract corner
court customer database date deadline delivery desk door engine error evening failure farm filter flight forest garden glass
hotel hour house invoice island kernel kitchen language lemon letter library light list machine market message meter money
morning mountain number office onion order paper parcel party password payment phone picture plan plate price printer
problem project question queue rain recipe refund report river road room route salad school screen season server shelf shirt
signal soup speed spring station stone street summer table test ticket train tunnel update valley version village wall water
window
""".split()  # noqa: SIM905  # a list of them would be a page
OPENINGS = ("Hi", "Hello!", "What can you do?", "I need help with my order.", "Can you help me?")
SHORT = ("Thanks!", "Yes", "ok", "Go on.", "Why?", "no", "And then?")
CANNED = ("Hello! How can I help you today?", "Of course. What do you need?", "Yes.", "Done.", "Sorry, I can't help with that.")
KINDS_WITH_TOOLS = tuple(kind for kind in KINDS if kind != "completion")
IDLE = 30 * MINUTE


@dataclass(frozen=True)
class Labelled:
    """A call, the conversation that it is of, and the shape of that."""

    task: Task
    conversation: int
    shape: str


@dataclass
class Talk:
    """One conversation while it is made up."""

    random: random.Random
    app: App
    at: int
    number: int
    shape: str

    def __post_init__(self) -> None:
        self.calls: list[Labelled] = []

    def sentence(self, least: int = 4, most: int = 18) -> str:
        return " ".join(self.random.choices(WORDS, k=self.random.randint(least, most))).capitalize() + self.random.choice(".?!")

    def question(self) -> str:
        """What a user says later on: at times no more than a word."""
        return self.random.choice(SHORT) if self.random.random() < 0.25 else self.sentence(1, 12)

    def text(self) -> str:
        """An answer: mostly long, at times what everybody gets."""
        if self.random.random() < 0.12:
            return self.random.choice(CANNED)
        return " ".join(self.sentence() for _ in range(self.random.randint(1, 6)))

    def say(self, turns: list[Turn], answer: Turn | None, app: App | None = None) -> None:
        """One call, some time after the one before it."""
        self.at += round(self.random.expovariate(1 / 40) * SECOND) + 5 * SECOND
        made = (app or self.app).call(turns, answer, self.at, seconds=self.random.uniform(0.2, 4))
        self.keep(made)

    def keep(self, made: Task) -> None:
        self.at = made.ended_at + SECOND
        self.calls.append(Labelled(made, self.number, self.shape))


Shape = Callable[[Talk], None]


def chat(talk: Talk) -> None:
    """Question and answer, as in any chat."""
    turns: list[Turn] = [user(talk.sentence())]
    for _ in range(talk.random.randint(2, 10)):
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer, user(talk.question())]


def agent(talk: Talk) -> None:
    """An agent with tools: several calls for each message of the user, some of them with calls side by side."""
    turns: list[Turn] = [user(talk.sentence())]
    for _ in range(talk.random.randint(1, 3)):
        for _ in range(talk.random.randint(1, 6)):
            calls = [_tool_call(talk) for _ in range(talk.random.choice((1, 1, 1, 2, 3)))]
            asking = model(talk.random.choice(("", "", "Let me look.", talk.sentence())), *calls)
            talk.say(turns, asking)
            turns = [*turns, asking, *(tool(talk.random.choice(("ok", talk.text())), id, name) for id, name, _ in calls)]
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer, user(talk.question())]


def _tool_call(talk: Talk) -> tuple[str, str, dict[str, object]]:
    name = talk.random.choice(("search", "read_file", "run", "list_dir"))
    arguments = {"path": talk.random.choice(WORDS), "limit": talk.random.choice((1, 10, None))}
    return f"call_{talk.random.getrandbits(64):x}", name, arguments


def papers(talk: Talk) -> None:
    """Retrieval: each question comes with what was found for it, and stays so in the history."""
    turns: list[Turn] = []
    for _ in range(talk.random.randint(2, 6)):
        turns = [*turns, user(f"Context:\n{talk.text()}\n{talk.text()}\n\nQuestion: {talk.sentence()}")]
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer]


def dated(talk: Talk) -> None:
    """Instructions with the time of day in them, which are others for each call; content in parts now and then."""
    turns: list[Turn] = [user(talk.sentence())]
    for _ in range(talk.random.randint(2, 6)):
        answer = model(talk.text())
        now = f"You are an assistant. It is 2026-11-25 {talk.random.randint(10, 23)}:{talk.random.randint(10, 59)}."
        talk.say(turns, answer, replace(talk.app, system=now, parts=talk.random.random() < 0.5))
        turns = [*turns, answer, user(talk.question())]


def same_opening(talk: Talk) -> None:
    """Users who open alike, many at a time; each has an id or a key of their own."""
    turns: list[Turn] = [user(talk.random.choice(OPENINGS))]
    for _ in range(talk.random.randint(1, 6)):
        answer = model(talk.random.choice(CANNED) if len(turns) == 1 else talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer, user(talk.question())]


def retried(talk: Talk) -> None:
    """Calls that fail and are made again, and answers that are made anew."""
    turns: list[Turn] = [user(talk.sentence())]
    for _ in range(talk.random.randint(2, 5)):
        for _ in range(talk.random.choice((0, 1, 1, 2))):
            talk.say(turns, None if talk.random.random() < 0.6 else model(talk.text()))
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer, user(talk.question())]


def edited(talk: Talk) -> None:
    """A user who goes back, changes what was asked (not the first message), and goes on from there."""
    turns: list[Turn] = [user(talk.sentence())]
    points = []
    for _ in range(talk.random.randint(3, 8)):
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer]
        points.append(turns)
        if talk.random.random() < 0.4:
            turns = talk.random.choice(points)
        turns = [*turns, user(talk.sentence())]


def single(talk: Talk) -> None:
    """One call and no more; many of an app that asks the same of each text, with examples."""
    shots = [user("Sort: the parcel is late"), model("delivery"), user("Sort: I was charged twice"), model("payment")]
    kind = talk.random.choice(("plain", "sorting", "shots", "paper"))
    opening = {"plain": talk.sentence(), "paper": f"Summarize this text in a few words:\n\n{talk.text()}\n{talk.text()}"}
    turns = [user(opening.get(kind, f"Sort: {talk.sentence()}"))]
    answer = model(talk.text() if kind in opening else talk.random.choice(("delivery", "payment")))
    talk.say([*shots, *turns] if kind == "shots" else turns, answer)


def referring(talk: Talk) -> None:
    """The Responses API, whose calls name the one before; the history stays with the provider."""
    app = replace(talk.app, kind="response")
    before: str | None = None
    for _ in range(talk.random.randint(2, 7)):
        request = {"model": "m", "input": talk.sentence() if before is None else talk.question(), "store": True}
        if before is not None:
            request["previous_response_id"] = before
        answer = app.response(model(talk.text()), [])
        before = answer["id"] = f"resp_{talk.random.getrandbits(64):x}"
        talk.at += 30 * SECOND
        talk.keep(task(app, request, answer, talk.at))


def trimmed(talk: Talk) -> None:
    """A long chat of which only the last messages are sent."""
    turns: list[Turn] = [user(talk.sentence())]
    for _ in range(talk.random.randint(6, 12)):
        answer = model(talk.text())
        talk.say(turns[-5:], answer)
        turns = [*turns, answer, user(talk.question())]


def compacted(talk: Talk) -> None:
    """A long chat whose beginning is replaced by a summary now and then."""
    turns: list[Turn] = [user(talk.sentence())]
    for number in range(talk.random.randint(6, 12)):
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, answer, user(talk.question())]
        if number % 4 == 3:
            turns = [user(f"Summary of what was said: {talk.text()}"), model("Understood."), *turns[-3:]]


def bare_papers(talk: Talk) -> None:
    """Retrieval, where the history keeps the question only, without what was found for it."""
    turns: list[Turn] = []
    for _ in range(talk.random.randint(3, 6)):
        question, answer = user(talk.sentence()), model(talk.text())
        talk.say([*turns, user(f"Context:\n{talk.text()}\n\nQuestion: {question.text}")], answer)
        turns = [*turns, question, answer]


def rewritten(talk: Talk) -> None:
    """An app that changes answers before it shows them, and sends them back so."""
    turns: list[Turn] = [user(talk.sentence())]
    for _ in range(talk.random.randint(2, 6)):
        answer = model(talk.text())
        talk.say(turns, answer)
        turns = [*turns, model(f"<p>{answer.text}</p>"), user(talk.sentence())]


AS_IT_WAS: dict[Shape, int] = {
    chat: 110, agent: 60, papers: 40, dated: 30, same_opening: 60, retried: 40, edited: 30, single: 80, referring: 20,
}  # fmt: skip
CHANGED: dict[Shape, int] = {trimmed: 25, compacted: 25, bare_papers: 25, rewritten: 25} | SUMMED_UP
"""How many conversations of each shape."""


def conversations(seed: int = 1) -> Iterator[list[Labelled]]:
    """All of them, a list of calls each. Half a dozen apps and forty users, at the same time."""
    chance = random.Random(seed)
    number = 0
    for shape, count in (AS_IT_WAS | CHANGED).items():
        for _ in range(count):
            number += 1
            kind = chance.choice(KINDS if shape in (chat, same_opening, retried, edited) else KINDS_WITH_TOOLS)
            talk = Talk(
                chance, _app(chance, kind, shape, number), NOON + chance.randrange(6 * 60) * MINUTE, number, shape.__name__
            )
            shape(talk)
            yield talk.calls


def _app(chance: random.Random, kind: str, shape: Shape, number: int) -> App:
    """Most users of an app share its key and have no id: what they say is all that tells them apart."""
    key = f"key-{chance.randrange(6)}"
    if shape is same_opening:
        return App(kind, key=key, user=f"user-{number}") if number % 2 else App(kind, key=f"key-of-{number}")
    system = chance.choice((None, "You are a helpful assistant.", "Answer in one sentence."))
    return App(kind, key=key, user=chance.choice((None, None, f"user-{chance.randrange(40)}")), system=system)


def alike(seed: int = 2) -> Iterator[list[Labelled]]:
    """Apart: users who share a key, have no id and open alike within the idle time. The contract takes them for one."""
    chance = random.Random(seed)
    for number in range(40):
        talk = Talk(chance, App(key="shared"), NOON + chance.randrange(6 * 60) * MINUTE, number, "alike")
        same_opening(talk)
        yield talk.calls
