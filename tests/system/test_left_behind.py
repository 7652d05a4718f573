"""Runs leave nothing behind in the window: no thread, no widget, no other object, no item in a scene."""

from benchmarks.display_memory import census
from benchmarks.display_scenes import ALL_SOURCES, one_run, set_scene
from tests.qt import open_both


async def quick(window, phantom_path, prior_path):
    session = window.session
    await open_both(session, phantom_path, prior_path)
    session.method.set_solver("fast")
    session.method.set_solver_setting("steps", 2)


def test_sixteen_runs_leave_what_eight_left(window, drive, phantom_path, prior_path):
    """With everything open: twelve panes, the overlay, all curves and docks, a line and a region."""

    async def go():
        await quick(window, phantom_path, prior_path)
        await set_scene(window, "everything")
        counted = {}
        for done in range(1, 17):
            await one_run(window.session)
            if done in (8, 16):
                counted[done] = census(window, done)
        return counted

    counted = drive(go(), 120)
    assert {pane.source for pane in window.panes.panes} == set(ALL_SOURCES)
    assert len(window.session.runs.records) == 16
    assert counted[16].things == counted[8].things
    assert min(counted[8].things) > 0


def test_a_census_sees_what_is_left_behind(window, drive, phantom_path, prior_path):
    """The counts of the test above would grow with a pane for each run."""

    async def go():
        await quick(window, phantom_path, prior_path)
        before = census(window)
        window.panes.add_pane()
        return before, census(window)

    before, after = drive(go())
    assert after.threads == before.threads
    assert all(b > a for a, b in zip(before.things[1:], after.things[1:], strict=True))
