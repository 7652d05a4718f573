"""The queue: one run after the other, in an order that can be changed, and a failure stops only itself."""

import pytest

from padis_gui.core.runs import engine
from padis_gui.core.runs.control import RunState
from padis_gui.core.settings.errors import DivergenceError
from padis_gui.viewmodels.runs.queue import ItemState, Queue, QueueItem
from tests.qt import LONG, delivered, ended, idle, open_both, settled, until


def item(name):
    return QueueItem(task=object(), name=name, label="")


def names(items):
    return [each.name for each in items]


@pytest.fixture
def filled(qapp):
    queue = Queue()
    queue.add(*(item(name) for name in "abcd"))
    return queue


def test_items_run_in_their_order_and_one_at_a_time(filled):
    first = filled.take()
    assert first.name == "a"
    assert filled.take() is None
    filled.end(first, ItemState.DONE)
    assert filled.take().name == "b"
    assert first.task is None  # images and priors are let go of


@pytest.mark.parametrize(
    ("moved", "by", "order"), [("c", -1, "acbd"), ("d", -9, "dabc"), ("a", 2, "bcad"), ("a", -1, "abcd")]
)
def test_waiting_items_are_reordered(filled, moved, by, order):
    filled.move(next(i.id for i in filled.items if i.name == moved), by)
    assert names(filled.waiting) == list(order)


def test_nothing_goes_before_what_has_begun(filled):
    running = filled.take()
    filled.move(filled.waiting[-1].id, -9)
    assert names(filled.items) == ["a", "d", "b", "c"]
    filled.move(running.id, 2)
    assert names(filled.items) == ["a", "d", "b", "c"]


def test_one_is_taken_back_and_the_others_stay(filled):
    filled.cancel(filled.waiting[1].id)
    assert names(filled.waiting) == ["a", "c", "d"]
    assert [i.state for i in filled.items if i.name == "b"] == [ItemState.CANCELLED]
    filled.clear_ended()
    assert names(filled.items) == ["a", "c", "d"]
    filled.clear_waiting()
    assert filled.waiting == ()


def test_a_held_queue_starts_nothing(filled):
    filled.hold(True)
    assert filled.take() is None
    filled.hold(False)
    assert filled.take().name == "a"


def test_what_is_wanted_at_once_passes_a_held_queue(filled):
    filled.hold(True)
    late = item("e")
    late.at_once = True
    filled.add(late)
    assert filled.take() is late
    filled.end(late, ItemState.DONE)
    assert filled.take() is None


def test_the_place_in_the_queue_counts_from_when_it_was_empty(filled):
    assert filled.place == (0, 4)
    first = filled.take()
    assert filled.place == (1, 4)
    filled.end(first, ItemState.FAILED)
    filled.cancel(filled.waiting[-1].id)  # taken back: as if it had never been there
    second = filled.take()
    assert filled.place == (2, 3)
    filled.end(second, ItemState.DONE)
    filled.end(filled.take(), ItemState.DONE)
    assert filled.place == (3, 3)
    filled.add(item("f"))
    assert filled.place == (0, 1)


def test_what_has_ended_is_forgotten_some_day(qapp):
    queue = Queue()
    for number in range(300):
        queue.add(item(str(number)))
        queue.end(queue.take(), ItemState.DONE)
    assert len(queue.items) <= 100
    assert queue.items[-1].name == "299"


# -- with a session -------------------------------------------------------------------------------------------


@pytest.fixture
def ready(session, drive, phantom_path, prior_path):
    drive(open_both(session, phantom_path, prior_path))
    session.method.set_solver("diffpir")
    session.method.set_solver_setting("steps", 3)
    return session


def test_queued_runs_have_the_choices_of_their_moment(ready, drive):
    async def go():
        ready.queue.hold(True)
        for steps in (2, 4, 3):
            ready.method.set_solver_setting("steps", steps)
            assert ready.runner.add_to_queue()
        ready.method.set_solver_setting("steps", 7)
        ready.queue.move(ready.queue.items[2].id, -1)
        ready.queue.hold(False)
        await idle(ready)

    drive(go())
    assert [r.recipe.settings["steps"] for r in ready.runs.records] == [2, 3, 4]
    assert [i.state for i in ready.queue.items] == [ItemState.DONE] * 3
    assert [i.record for i in ready.queue.items] == [r.id for r in ready.runs.records]
    assert ready.method.settings.steps == 7


@pytest.mark.parametrize("fault", [RuntimeError("out of something"), DivergenceError("Lower the step size.")])
def test_a_failure_does_not_stop_the_rest(ready, drive, monkeypatch, fault):
    true_solve, runs = engine.solve, []

    def faulty(recipe, problem, prior):
        runs.append(recipe)
        if len(runs) == 2:
            raise fault
        return true_solve(recipe, problem, prior)

    async def go():
        monkeypatch.setattr(engine, "solve", faulty)
        for _ in range(3):
            ready.runner.add_to_queue()
        await idle(ready)

    drive(go())
    assert [i.state for i in ready.queue.items] == [ItemState.DONE, ItemState.FAILED, ItemState.DONE]
    assert str(fault)[:10] in ready.queue.items[1].sentence
    assert len(ready.runs.records) == 2


def test_cancelling_the_one_that_runs_goes_on_with_the_next(ready, drive):
    async def go():
        ready.method.set_solver_setting("steps", LONG)
        ready.runner.add_to_queue()
        ready.method.set_solver_setting("steps", 2)
        ready.runner.add_to_queue()
        await until(lambda: ready.run.snapshot().step >= 2)
        ready.runner.cancel(ready.queue.running.id)
        await idle(ready)

    drive(go())
    assert [i.state for i in ready.queue.items] == [ItemState.CANCELLED, ItemState.DONE]
    assert [r.recipe.settings["steps"] for r in ready.runs.records] == [2]


def test_settings_for_the_next_run_do_not_reach_one_that_has_others(ready, drive):
    """The forms may show other settings than the running solver has: then they are for the next run."""

    async def go():
        ready.method.set_solver_setting("steps", 40)
        ready.start(paused=True)
        await until(lambda: ready.run.snapshot().step == 1)
        ready.method.set_solver("dds")
        ready.method.set_solver_setting("eta", 0.5)  # DDS's own live setting
        ready.method.set_solver("diffpir")
        ready.method.set_solver_setting("zeta", 0.7)  # shown as it runs: this one is for the run
        ready.run.resume()
        await ended(ready)

    drive(go())
    recipe = ready.runs.records[-1].recipe
    assert [c.settings["zeta"] for c in recipe.changes] == [0.7]
    assert recipe.solver == "diffpir"


def test_the_queue_waits_while_the_laboratory_has_the_thread(ready, drive):
    async def go():
        ready.occupy("An A/B run")
        ready.runner.add_to_queue()
        await settled()
        assert ready.queue.running is None
        ready.occupy("")
        await idle(ready)

    drive(go())
    assert len(ready.runs.records) == 1


def test_an_end_that_is_on_its_way_belongs_to_its_own_run(ready, drive):
    """The compute thread has left a run, whose end waits for the UI thread: nothing of it may be told of another."""

    async def go():
        ready.method.set_solver_setting("steps", 2)
        ready.runner.add_to_queue()
        await until(lambda: ready.queue.running is not None)
        first = ready.queue.running
        ready.run.wait()  # blocks the UI thread: the end is posted, and not taken
        assert ready.run.active
        assert ready.run.state is RunState.STOPPING
        history, recipe = ready.run.history, ready.run.recipe
        ready.method.set_solver_setting("steps", 3)
        ready.start()  # in the gap: the first run has not ended yet, as far as anyone here knows, so this one waits
        assert ready.run.history is history
        assert len(ready.queue.waiting) == 1
        ready.run.cancel()  # too late for the first, and none of the second's business
        await idle(ready)
        return first, recipe

    first, recipe = drive(go())
    records = ready.runs.records
    assert [r.recipe.settings["steps"] for r in records] == [2, 3]
    assert records[0].recipe == recipe
    assert [r.state for r in records] == ["Done", "Done"]
    assert [i.state for i in ready.queue.items] == [ItemState.DONE] * 2
    assert first.record == records[0].id
    assert [len(r.history.points) for r in records] == [2, 3]


def test_a_run_that_begins_at_the_end_of_another_leaves_that_end_alone(ready, drive):
    """Whoever is told of an end may start the next run at once: what follows is still about the one that ended."""
    seen = []

    def next_one(ended):
        if not seen:
            ready.method.set_solver_setting("steps", 3)
            ready.run.start(ready.wanted(7), lambda *_: None)
        seen.append(ended)

    async def go():
        ready.run.ended.disconnect()
        ready.run.ended.connect(next_one)
        ready.run.ended.connect(ready._run_ended)
        ready.method.set_solver_setting("steps", 2)
        ready.start()
        await until(lambda: len(seen) == 2)
        await delivered(ready)

    drive(go())
    assert [e.outcome.recipe.settings["steps"] for e in seen] == [2, 3]
    assert [r.recipe.settings["steps"] for r in ready.runs.records] == [2, 3]
    assert [len(r.history.points) for r in ready.runs.records] == [2, 3]
    assert ready.shown.result.recipe == seen[0].outcome.recipe


def test_runs_are_numbered_in_the_order_in_which_they_were_asked_for(ready, drive):
    """One that was cancelled leaves no gap: its number is the next one's."""
    ready.method.set_solver("diffpir")
    ready.method.set_solver_setting("steps", LONG)
    ready.start()
    ready.run.cancel()
    drive(ended(ready))
    ready.start()
    ready.method.set_solver_setting("steps", 2)
    ready.start()
    drive(until(lambda: ready.run.history.last is not None))
    ready.run.finish()
    drive(idle(ready))
    assert names(ready.runs.records) == ["Run 1", "Run 2"]
    assert [record.recipe.settings["steps"] for record in ready.runs.records] == [LONG, 2]
