"""What a search finds: the index may offer a task too many, never one too few."""

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.store import StoreRejected, open_store, sqlite_file, told, words
from proxy.task import Filter
from tests.store.contract import ids_of
from tests.store.tasks import NOON, a_task

TEXTS = st.text(max_size=40) | st.text(
    st.sampled_from(
        "aB1 é\u0301\u0941\u0915\u0301\u0323\u0327\u0335 ½Ⅷ漢字ßİﬁ-_.\0\ue000\U0001f600ꬰ\u0300\U00010d00\U0001e900'\""
    ),
    max_size=40,
)


@pytest.fixture
async def store(tmp_path: Path):
    store = await open_store("sqlite:", tmp_path, write=True)
    yield store
    await store.close()


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.data())
def test_the_index_has_whatever_a_text_says(text: str, data: st.DataObject):
    """A stretch of a text is a phrase of it, if it begins and ends with words: then it is offered."""
    text = text.encode(errors="replace").decode()
    begin, end = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
    phrase = text[begin:end]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(
            "CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0, detail = 'none', tokenize = 'unicode61')"
        )
        db.execute("INSERT INTO search (rowid, text) VALUES (1, ?)", (text,))
        expression = words.expression([phrase])
        found = not expression or bool(db.execute("SELECT 1 FROM search WHERE search MATCH ?", (expression,)).fetchall())
    if words.match([phrase], [text]) and _at_words(text, begin, end):
        assert found


def test_every_character_is_taken_as_the_index_takes_it():
    """Those that are not sure are not asked for; so no word that has them is missed."""
    characters = [chr(code) for code in (*range(0x3100), *range(0x3100, 0xD800, 31), *range(0xE000, 0x20000, 7))]
    missed = []
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0, detail = 'none')")
        db.executemany("INSERT INTO search (rowid, text) VALUES (?, ?)", ((ord(c), f"x{c}y") for c in characters))
        for character in characters:
            expression = words.expression([f"x{character}y"])
            asked = "SELECT 1 FROM search WHERE search MATCH ? AND rowid = ?"
            if expression and not db.execute(asked, (expression, ord(character))).fetchall():
                missed.append(character)
    assert missed == []


async def test_what_is_said_no_more_is_not_found_while_more_of_the_same_moment_comes(store):
    """Tasks of a moment share a row of the index, and what is in it is remembered between saves."""
    one, two, three, four, five = (a_task(n, created_at=NOON + n, input=f"common word{n}", output=None) for n in range(5))
    await store.save([one])
    await store.save([two, three])
    await store.rewrite([replace(two, input="common another")])
    await store.save([four])
    await store.forget([three.id])
    await store.save([five])

    async def found(word: str) -> list[str]:
        return sorted(await ids_of(store, Filter(words=(word,))))

    assert await found("common") == [one.id, two.id, four.id, five.id]
    assert await found("another") == [two.id]
    assert await found("word4") == [five.id]
    assert await found("word1") == await found("word2") == []
    assert await found("word0") == [one.id]


async def test_what_several_say_alike_is_found_until_the_last_of_them_goes(store):
    """In the row of a moment each text stands once."""
    tasks = [a_task(n, created_at=NOON + n, input="the same", output=f"answer{n % 2}") for n in range(6)]
    await store.save(tasks[:3])
    await store.save(tasks[3:])

    async def found(word: str) -> list[str]:
        return sorted(await ids_of(store, Filter(words=(word,))))

    assert await found("same") == [task.id for task in tasks]
    for gone in ([0, 1, 2], [3, 5]):
        await store.forget([tasks[n].id for n in gone])
    assert (await found("same"), await found("answer0"), await found("answer1")) == (["id-4"], ["id-4"], [])
    await store.forget([tasks[4].id])
    assert await found("same") == []
    rows = await store._readers.rows("SELECT count(*) FROM search WHERE search MATCH 'same'")
    assert rows == [(0,)]


async def test_a_save_that_is_undone_leaves_nothing_of_what_it_said(store):
    await store.save([a_task(1, created_at=NOON, input="kept")])
    with pytest.raises(StoreRejected):
        await store.save([a_task(2, created_at=NOON + 1, input="undone", own_id=None, metadata={"x": object()})])
    await store.save([a_task(3, created_at=NOON + 2, input="kept too")])

    assert sorted(await ids_of(store, Filter(words=("kept",)))) == ["id-1", "id-3"]
    assert await ids_of(store, Filter(words=("undone",))) == []


def _at_words(text: str, begin: int, end: int) -> bool:
    """Whether what is cut out there is whole words, and not a letter without its accents."""
    around = text[begin - 1 : begin] + text[end : end + 1]
    return not words.terms(around) and not any(
        "\u0300" <= mark <= "\u036f" or words.terms("a" + mark) == ["a"] for mark in around
    )


def test_an_expression_asks_for_every_word_that_the_index_surely_has():
    assert words.expression(["black cat", "cat"]) == '"black" "cat"'
    assert words.expression(['a "b* OR']) == '"a" "b" "OR"'
    assert words.expression(["\U00010d00"]) == ""  # a letter of 2018: the index of SQLite takes it for the end of a word


async def test_a_word_of_letters_that_the_index_does_not_know_is_found(store):
    await store.save([a_task(1, input="so \U00010d00\U00010d01 it"), a_task(2, model="other")])
    for filter in (Filter(), Filter(model="gpt-5"), Filter(session_id="s1")):
        assert await ids_of(store, Filter(session_id=filter.session_id, model=filter.model, words=("\U00010d00\U00010d01",))) == [
            "id-1"
        ]


@pytest.mark.parametrize(
    ("asked", "finds"),
    [
        (("退款",), ["id-1", "id-2"]),
        (("款退",), []),
        (("退款", "order"), ["id-2"]),
        (("要退款 谢谢",), ["id-1"]),
        (("変更",), ["id-3"]),
        (("รหัสผ่าน",), ["id-4"]),
        (("手机",), ["id-5"]),
        (("iphone手机",), ["id-5"]),
        (("iphone",), []),  # it is one word with what follows it
    ],
)
async def test_a_word_within_a_text_without_spaces_is_found(store, asked, finds):
    said = ("我想要退款，谢谢", "order 17 退款", "パスワードを変更したい", "ฉันจะเปลี่ยนรหัสผ่านได้อย่างไร", "iPhone手机壳")
    await store.save([a_task(n, input=text, output=None) for n, text in enumerate(said, 1)])
    assert sorted(await ids_of(store, Filter(words=asked))) == finds
    assert [f"id-{n}" for n, text in enumerate(said, 1) if words.match(asked, [text])] == finds


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_tasks_of_one_moment_come_page_by_page_each_once(store, oldest_first):
    """They are one row of the index, in which a page may end anywhere."""
    rng = random.Random(3)
    kept = [a_task(n, created_at=NOON + n // 9, input="find me" if n % 3 else "not this") for n in range(200)]
    rng.shuffle(kept)
    for start in range(0, 200, 40):
        await store.save(kept[start : start + 40])
    found: list[str] = []
    cursor = None
    while True:
        page = await store.find(Filter(words=("me",)), limit=7, cursor=cursor, oldest_first=oldest_first)
        found += [task.id for task in page.items]
        if (cursor := page.next) is None:
            break
    assert sorted(found) == sorted(task.id for task in kept if task.input == "find me")
    moments = [int(id.removeprefix("id-")) // 9 for id in found]
    assert moments == sorted(moments, reverse=not oldest_first)


async def test_what_is_left_of_a_moment_is_found_when_some_of_it_is_forgotten(store):
    await store.save([a_task(n, input=f"alike only{n}") for n in range(40)])
    await store.forget([f"id-{n}" for n in range(0, 40, 2)])
    assert len(await ids_of(store, Filter(words=("alike",)))) == 20
    for n in range(40):
        assert await ids_of(store, Filter(words=(f"only{n}",))) == ([f"id-{n}"] if n % 2 else [])
    listed = await store._readers.rows("SELECT count(*) FROM search WHERE search MATCH 'only4'")
    assert listed == [(0,)]


async def test_a_store_of_the_sixth_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch):
    """Each task is what it was, is found by its words, its parent and its provider's id, and takes less room."""
    path = tmp_path / "tasktap.db"
    with monkeypatch.context() as patch:
        steps = [step for step in sqlite_file.migrations() if step[0] <= 6]
        patch.setattr(sqlite_file, "migrations", lambda: steps)
        sqlite_file.open_writer(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for n in range(20):
            facts = f'{{"http_status":200,"response_id":"resp-{n}","parent_task_id":"id-{n - 1}","metadata":{{"n":{n}}}}}'
            said = (f"question {n}" if n != 3 else None, f"cats answer {n}" if n != 4 else None)
            db.execute(
                "INSERT INTO task (key, id, origin, project_id, created_at, ended_at, kind, session_id, ending, facts,"
                " input, output) VALUES (?, ?, ?, 'default', ?, ?, 'chat', 's1', 'completed', ?, ?, ?)",
                ((NOON + n) * 2048, f"id-{n}", f"e1.{n}", NOON + n, NOON + n, facts, *said),
            )
            db.execute("INSERT INTO search (rowid, input, output) VALUES (?, ?, ?)", ((NOON + n) * 2048, *said))
    store = await open_store("sqlite:", tmp_path, write=True)
    page = await store.find(Filter(), limit=50)
    assert [task.input for task in page.items] == [f"question {n}" if n != 3 else None for n in reversed(range(20))]
    assert (page.items[0].output, page.items[0].metadata, page.items[0].http_status) == ("cats answer 19", {"n": 19}, 200)
    assert len(await ids_of(store, Filter(words=("cats answer",)))) == 19
    assert await ids_of(store, Filter(words=("question", "7"))) == ["id-7"]
    assert await ids_of(store, Filter(parent_task_id="id-7")) == ["id-8"]
    assert await store.answered("resp-5") == "id-5"
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        kept = [facts for (facts,) in db.execute("SELECT facts FROM task")]
    assert all(isinstance(facts, bytes) for facts in kept)
    assert all("question" in str(told.text(facts)) or "cats" in str(told.text(facts)) for facts in kept)


@given(TEXTS, TEXTS)
def test_a_phrase_is_words_one_after_the_other(text: str, phrase: str):
    held, wanted = words.terms(text), words.terms(phrase)
    places = range(len(held) - len(wanted) + 1)
    assert words.match([phrase], [text]) == (bool(wanted) and any(held[at : at + len(wanted)] == wanted for at in places))
