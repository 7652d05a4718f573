"""The estimate before Run: measured once, kept, corrected by runs; quiet where there is nothing to run."""

import math
import threading
from pathlib import Path

import pytest

from padis_gui.core.runs.estimate import Pace
from padis_gui.core.settings.errors import Interrupted
from padis_gui.viewmodels.session import planner as paces_module
from padis_gui.viewmodels.session import planner as planner_module
from padis_gui.viewmodels.session.planner import Paces, Planner
from tests.qt import open_both, ran, until

PACE = Pace(patch=32, tile_seconds=0.25, batch_mb=8.0)


def test_an_estimate_appears_once_there_is_something_to_run(session, drive, phantom_path, prior_path):
    planner = Planner(session)
    assert planner.plan is None

    async def go():
        await open_both(session, phantom_path, prior_path)
        await until(lambda: planner.plan is not None and planner.plan.seconds is not None)

    drive(go())
    assert planner.plan.calls == session.method.settings.steps
    assert planner.plan.tiles >= 9 * planner.plan.calls
    assert planner.plan.memory_mb > 0
    assert planner.history_mb > 0


def test_the_plan_says_where_products_are_made_without_a_matrix(session, drive, phantom_path, prior_path):
    planner = Planner(session)

    async def go():
        await open_both(session, phantom_path, prior_path)
        for choice in ("auto", "matrix-free", "stored"):
            session.method.set_problem("system_matrix", choice)
            planner.refresh()
            assert planner.matrix_free == (choice == "matrix-free")
        session.method.set_physics("deblur")
        planner.refresh()
        assert not planner.matrix_free

    drive(go())


def test_the_machine_is_measured_once(session, drive, phantom_path, prior_path, tmp_path, monkeypatch):
    measured = []
    truth = planner_module.tile_pace
    monkeypatch.setattr(planner_module, "tile_pace", lambda *a: measured.append(a) or truth(*a))
    first = Planner(session, Paces(tmp_path))

    async def ready(planner):
        await until(lambda: planner.plan is not None and planner.plan.seconds is not None)

    async def go():
        await open_both(session, phantom_path, prior_path)
        await ready(first)
        session.method.set_solver_setting("steps", 30)
        await until(lambda: first.plan is not None and first.plan.calls == 30)
        second = Planner(session, Paces(tmp_path))
        second.refresh()
        await ready(second)

    drive(go())
    assert len(measured) == 1


def test_a_run_does_not_wait_for_the_time_of_a_product(session, drive, phantom_path, prior_path, monkeypatch):
    """The first product may take a system matrix, and that a minute; it is timed when the run has ended."""
    begun, told = threading.Event(), []

    def endless(problem, watch):
        while not told:
            begun.set()
            try:
                watch.check()
            except Interrupted:
                told.append("gave way")
                raise
        told.append("timed")
        return 0.25

    monkeypatch.setattr(planner_module, "product_seconds", endless)
    planner = Planner(session)

    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("diffpir")
        session.method.set_solver_setting("steps", 3)
        await until(begun.is_set)
        await ran(session)
        await until(lambda: planner._products is not None)

    drive(go())
    assert told[0] == "gave way"
    assert told[-1] == "timed"


def test_a_run_corrects_the_estimate(session, drive, phantom_path, prior_path, monkeypatch):
    """Measured paces are those of the moment: with fixed ones, and no bound, what is learnt is the run's own time."""
    monkeypatch.setattr(planner_module, "tile_pace", lambda *_: (1e-3, 8.0))
    monkeypatch.setattr(planner_module, "product_seconds", lambda *_: 0.0)
    monkeypatch.setattr(paces_module, "_MOST", math.inf)
    monkeypatch.setattr(paces_module, "_LEAST", 0.0)
    planner = Planner(session)

    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver_setting("steps", 20)
        await until(
            lambda: planner.plan is not None and planner.plan.seconds is not None and planner.plan.calls == 20
        )
        session.start()
        await until(lambda: session.shown.result is not None)
        actual = session.shown.result.seconds
        planner.refresh()
        assert planner.plan.seconds == pytest.approx(actual)

    drive(go())


def test_choices_that_contradict_each_other_have_no_estimate(
    session, drive, phantom_path, prior_path, monkeypatch
):
    planner = Planner(session)

    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_solver("diffpir")
        session.method.set_solver_setting("sigma_min", 0.5)
        session.method.set_solver_setting("sigma_max", 0.1)  # the highest below the lowest: Run would say so
        planner.refresh()
        assert planner.plan is None

    drive(go())


@pytest.mark.parametrize(
    "content", [b"{", b'{"tiles": {"x": {"patch": 0}}}', b'{"factors": {"x": "many"}}', b"\xff"]
)
def test_a_broken_file_of_paces_is_left_behind(tmp_path: Path, content: bytes, caplog) -> None:
    (tmp_path / "paces.json").write_bytes(content)
    paces = Paces(tmp_path)
    assert paces.tile("x") is None
    assert paces.factor("x") == 1.0
    assert "cannot be used" in caplog.text
    paces.keep_tile("x", PACE)
    assert Paces(tmp_path).tile("x") == PACE


def test_what_is_learned_moves_towards_what_runs_took_and_stays_in_bounds(tmp_path: Path) -> None:
    paces = Paces(tmp_path)
    paces.learn("fast", 2.0)
    assert paces.factor("fast") == 2.0
    paces.learn("fast", 1.0)
    assert paces.factor("fast") == 1.5
    paces.learn("fast", 1e9)
    assert 1.5 < Paces(tmp_path).factor("fast") <= 5
