"""How often the inferred sessions are right: the floors, over several hundred conversations of real shapes."""

from tests.sessions.compacting import SUMMED_UP
from tests.sessions.figures import alike, counted, figures
from tests.sessions.labelled import Labelled
from tests.sessions.talk import NOON, App, model, user


async def test_sessions_are_hardly_ever_wrong_and_hardly_ever_missed(tmp_path):
    found = await figures(tmp_path)
    assert found["all"].conversations >= 300
    assert found["all"].precision >= 0.999
    assert found["history as it was"].recall >= 0.97
    assert found["history changed"].recall >= 0.95
    for shape in SUMMED_UP:
        assert found[shape.__name__].precision >= 0.999
        assert found[shape.__name__].recall >= 0.9


async def test_another_draw_gives_the_same(tmp_path):
    found = await figures(tmp_path, seed=7)
    assert found["all"].precision >= 0.999
    assert found["history as it was"].recall >= 0.97


async def test_users_whom_nothing_tells_apart_are_at_least_all_found(tmp_path):
    assert (await alike(tmp_path)).recall == 1.0


def test_the_figures_count_pairs():
    calls = [Labelled(App().call([user("x")], model("y"), NOON), number // 2, "x") for number in range(4)]
    one, two, three, four = (call.task.id for call in calls)
    found = counted(calls, {one: "a", two: "a", three: "a", four: "b"})
    assert (found.conversations, found.calls, found.together, found.found, found.wrong) == (2, 4, 2, 1, 2)
    assert (round(found.precision, 2), found.recall) == (0.33, 0.5)
