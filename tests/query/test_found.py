"""Snippets, the order of what a search finds, and users by any column."""

import pytest

from proxy.query import found
from proxy.store.insight import USER_SORTS
from proxy.store.memory import MemoryStore
from tests.store.insight_contract import some_tasks
from tests.store.tasks import a_task


def shown(parts: found.Snippet | None) -> str:
    return "".join(f"[{text}]" if hit else text for text, hit in parts or ())


def test_a_snippet_shows_the_words_where_most_of_them_are():
    text = "black " + "nothing here " * 40 + "a Black cat, and the BLACK  CAT again " + "and so on " * 40
    parts = found.snippet(a_task(1, input=text, output="black"), ("black", "cat"))
    assert "[Black] [cat], and the [BLACK]  [CAT]" in shown(parts)
    assert shown(parts).startswith("…")
    assert shown(parts).endswith("…")
    assert len("".join(text for text, _ in parts)) < 240


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("un Éclair au café", "eclair", "un [Éclair] au café"),
        ("tea (green)", "(green)", "tea ([green])"),
        ("say green  leaves", "green leaves", "say [green  leaves]"),
        ("greenhouse", "green", ""),
        ("İstanbul and Straße", "straße", "İstanbul and [Straße]"),
        ("<b>cat</b>", "cat", "<b>[cat]</b>"),
        ("我想要退款，谢谢", "退款", "我想要[退款]，谢谢"),
        ("パスワードを変更", "変更", "パスワードを[変更]"),
        ("iPhone手机壳", "手机", "iPhone[手机]壳"),
        ("iPhone手机壳", "iphone手机", "[iPhone手机]壳"),
    ],
)
def test_a_hit_is_what_the_search_takes_for_one(text, word, expected):
    assert shown(found.snippet(a_task(1, input=text, output=None), (word,))) == expected


def test_the_best_are_those_that_say_it_most_in_fewest_words():
    texts = ("cat " * 3 + "mouse", "a cat in a very long story about many other things than cats " * 5, "dog", "cat")
    tasks = [a_task(n, input=text, output=None) for n, text in enumerate(texts)]
    order = [task.id for task in found.ranked(tasks, ("cat",))]
    assert (order[0], order[-1]) == ("id-0", "id-2")
    assert found.ranked([], ("cat",)) == []


async def test_a_search_gives_snippets_and_can_be_ordered(ask, store: MemoryStore):
    await store.save([a_task(70, input="zebra", output="x" * 50), a_task(71, input="zebra zebra", output="zebra")])
    await store.save([a_task(72, input="long words about a zebra " + "and more " * 30)])
    client = await ask()
    async with client.get("/api/tasks?q=zebra") as answer:
        newest = (await answer.json())["items"]
    async with client.get("/api/tasks?q=zebra&sort=relevance&limit=2") as answer:
        best = await answer.json()
    async with client.get("/api/tasks") as answer:
        assert "snippet" not in (await answer.json())["items"][0]
    assert [task["id"] for task in newest] == ["id-72", "id-71", "id-70"]
    assert newest[2]["snippet"] == [["zebra", True]]
    assert ([task["id"] for task in best["items"]], best["next"]) == (["id-71", "id-70"], None)


@pytest.mark.parametrize("sort", USER_SORTS)
async def test_users_are_listed_by_any_column(ask, store: MemoryStore, sort):
    await store.save(some_tasks(5))
    client = await ask()
    async with client.get(f"/api/users?sort={sort}&limit=3") as answer:
        first = await answer.json()
    async with client.get(f"/api/users?sort={sort}&limit=500&cursor={first['next']}") as answer:
        rest = (await answer.json())["items"]
    names = {"tasks": "task_count", "sessions": "session_count", "errors": "error_count"}

    def value(user):
        if sort == "success_rate":
            rated = user["signs"]["success"] + user["signs"]["failure"]
            return user["signs"]["success"] / rated if rated else -1
        known = user[names.get(sort, sort)]
        return -1 if known is None else known

    values = [value(user) for user in (*first["items"], *rest)]
    assert len(first["items"]) == 3
    assert values == sorted(values, reverse=True)
    assert len({(user["project_id"], user["id"]) for user in (*first["items"], *rest)}) == len(values)
