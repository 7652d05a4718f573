"""What is on the screen is what is open: the law, on walks by chance, and each way in which it was once broken."""

import os
import re

import numpy as np
import pytest
from PySide6.QtWidgets import QAbstractButton, QLabel

from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.presets import find_preset, priors_alike, resource
from tests.gui.truth import NOTHING_SAID, Screen, rest, turns
from tests.gui.truth_files import make_files
from tests.gui.truth_walk import Step, Walk, steps_of, walk_once, watching
from tests.gui.user import pane, press
from tests.qt import LONG, until

STEPS, SEEDS = 170, (1, 2)
# PADIS_GUI_WALK=10000:7 walks that far from that seed instead
_ASKED = os.environ.get("PADIS_GUI_WALK", "")


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("truth"))


@pytest.fixture
def screen(window):
    return Screen(window)


def walks():
    if _ASKED:
        steps, _, seed = _ASKED.partition(":")
        return [(int(seed or 1), int(steps), 0.03)]
    return [(seed, STEPS, 0.0) for seed in SEEDS]


@pytest.mark.parametrize(("seed", "count", "large"), walks())
def test_whatever_is_done_the_screen_is_of_what_is_open(window, drive, files, tmp_path, seed, count, large):
    walk = Walk(window, files, tmp_path)
    assert drive(walk.go(steps_of(seed, count, large)), timeout=100_000), "\n".join(
        [*walk.trace[-40:], *walk.found]
    )


# -- one by one ------------------------------------------------------------------------------------------------


async def opened(window, path, prior=None):
    """Open an image, and a prior where one is named, as a user does, and wait until all of it is there."""
    if prior is not None:
        window.opening.open_prior(prior)
    window.opening.open_image(path)
    await until(lambda: window.session.data.path == path)
    await rest(window)


async def choose(box, name):
    """Choose an entry of a box, as a click on it does."""
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex())


async def ran(window, steps=3):
    """Press Run and wait for the end."""
    window.session.method.set_solver("diffpir")
    window.session.method.set_solver_setting("steps", steps)
    press(window, "run")
    await rest(window)


def select(window, record, action="show_run"):
    """Select a run of the list and press a button above it."""
    listed = window.run_tools.list
    listed.select(record)
    getattr(listed, action).trigger()


def visible_words(window):
    """Every sentence that can be read in the window."""
    widgets = [*window.findChildren(QLabel), *window.findChildren(QAbstractButton)]
    return "  ".join(widget.text() for widget in widgets if widget.isVisible())


@pytest.mark.parametrize("name", ["large", "larger"])
def test_a_large_image_is_seen_at_once(window, drive, files, screen, name):
    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        window.opening.open_image(files.large[name])
        await until(lambda: window.session.data.path == files.large[name])
        await turns()
        assert screen.wrongs(quiet=False) == []
        await rest(window)

    drive(go())
    side = window.session.data.image.shape[0]
    assert pane(window, "truth").canvas.pixels.shape == (side, side)
    assert window.panes.pixels("baseline") is None
    assert pane(window, "baseline").canvas.empty.text() not in ("", NOTHING_SAID)
    assert screen.wrongs(quiet=True) == []


@pytest.mark.parametrize(
    ("scan", "image"),
    [("lengths.h5", "float72"), ("pixels.h5", "hu64"), ("fan.mat", "colour64"), ("fan.mat", "float72")],
)
def test_an_image_after_a_scan_has_nothing_of_the_scan(window, drive, files, screen, scan, image):
    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        before = window.session.method.now
        await opened(window, files.scans[scan])
        assert len(window.session.method.problem.angles) in (12, 16)
        assert "mm" in window.data.details.text() or scan == "pixels.h5"
        await opened(window, files.images[image])
        return before

    before = drive(go())
    problem = window.session.method.problem
    assert problem.angles == ()
    assert (problem.noise, getattr(problem, "bin_width", None)) == (before.problem.noise, None)
    assert window.panes.pixels("truth") is not None
    assert "no truth" not in visible_words(window)
    assert "scan of" not in window.data.details.text()
    assert window.planner.plan.scan_mb < 64
    assert screen.wrongs(quiet=True) == []


@pytest.mark.parametrize("how", ["its own end", "the list", "a restored file"])
@pytest.mark.parametrize("then", ["fan.mat", "byte56"])
def test_the_tool_bar_has_no_numbers_of_a_run_that_is_not_seen(
    window, drive, files, screen, tmp_path, how, then
):
    other = files.scans.get(then) or files.images[then]

    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        await ran(window)
        assert "PSNR" in window.verdict.text()
        if how == "the list":
            select(window, window.session.runs.records[0])
        if how == "a restored file":
            assert await window.session.export(tmp_path / "out.tif")
            assert await window.session.restore(tmp_path / "out.tif")
        await opened(window, other)
        for word in ("PSNR", "seed", "dB"):
            assert word not in window.verdict.text()
        assert screen.wrongs(quiet=True) == []
        window.session.method.set_solver("diffpir")
        window.session.method.set_solver_setting("steps", LONG)
        press(window, "step")
        await until(lambda: window.session.run.state is RunState.PAUSED)
        press(window, "cancel")
        await rest(window)
        for word in ("PSNR", "seed"):
            assert word not in window.verdict.text()

    drive(go())
    assert screen.wrongs(quiet=True) == []


@pytest.mark.parametrize(
    ("first", "second"), [("hu64", "byte56"), ("byte56", "hu64"), ("oblong", "colour64")]
)
def test_a_run_of_another_image_says_so_and_breaks_no_panel(window, drive, files, screen, first, second):
    async def go():
        with watching(window.session) as raised:
            await opened(window, files.images[first], files.priors["hu64"])
            await ran(window)
            await opened(window, files.images[second])
            for dock in (window.laboratory.tile.parentWidget(), window.laboratory.panel.parentWidget()):
                window.docks.bring(dock)
                for source in ("seams", "difference", "truth"):
                    window.panes.panes[0].show_source(source)
                    window.panes.arranged.emit()
                    for _ in range(2):
                        select(window, window.session.runs.records[0])
                        await rest(window)
                        assert screen.wrongs(quiet=True) == []
                        window.laboratory.inspect.trigger()
                        for chosen in ("step", "estimate", "truth"):
                            window.laboratory.inspector.set_input(chosen)
                            window.laboratory.inspector.pick(10, 10)
                            await rest(window)
                        window.laboratory.model.measure()
                        await rest(window)
                        window.session.shown.clear()
                        await rest(window)
                        assert screen.wrongs(quiet=True) == []
            assert raised.texts == []
        select(window, window.session.runs.records[0])
        await rest(window)

    drive(go())
    assert screen.is_of_another
    assert files.images[first].name in screen.said()
    levels = window.panes.picture_set.look(window.panes.picture_set.sources["estimate"]).levels
    assert levels == window.session.shown.record.result.image.window


def test_a_restored_run_has_a_difference_and_its_own_step(window, drive, files, screen, tmp_path):
    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        await ran(window, steps=4)
        assert await window.session.export(tmp_path / "out.tif")
        await opened(window, files.images["byte56"])
        assert await window.session.restore(tmp_path / "out.tif")
        await rest(window)

    drive(go())
    truth, estimate, difference = (window.panes.pixels(key) for key in ("truth", "estimate", "difference"))
    np.testing.assert_allclose(difference, estimate - truth, atol=0.1)
    words = f"{window.timeline.where.text()} {screen.caption('estimate')} {screen.caption('state')}"
    assert "step 1 of 1" not in words
    assert not re.search(r"σ =? ?0(\s|$)", words)
    assert screen.wrongs(quiet=True) == []


def test_the_seed_of_a_restored_run_is_not_that_of_the_next_image(window, drive, files, tmp_path):
    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        await ran(window)
        assert await window.session.export(tmp_path / "out.tif")
        assert window.session.method.seed is None
        assert await window.session.restore(tmp_path / "out.tif")
        assert window.session.method.seed == window.session.runs.records[0].recipe.seed
        await opened(window, files.images["byte56"])
        assert window.session.method.seed is None
        window.solver.seed.setValue(5)  # what the user has typed stays
        await opened(window, files.images["hu64"])
        assert window.session.method.seed == 5

    drive(go())


@pytest.mark.parametrize(
    "names",
    [("ct-limited", "deblur", "ct-limited"), ("deblur", "ct-20", "inpaint"), ("sr2", "ct-8", "generate")],
)
def test_presets_chosen_in_quick_succession_end_at_the_last(window, drive, screen, names):
    async def go():
        window.act.open_demo.trigger()
        await until(lambda: window.session.opened() is not None)
        await rest(window)
        for name in names:
            await choose(window.problem.preset, name)
            await turns(names.index(name))
        await rest(window)

    drive(go())
    session, preset = window.session, find_preset(names[-1])
    assert session.method.preset == names[-1]
    assert session.prior.path in priors_alike(preset.prior)
    assert session.data.path == resource(preset.demo)
    assert window.problem.preset.currentData() == names[-1]
    assert screen.wrongs(quiet=True) == []


@pytest.mark.parametrize(
    ("first", "preset"),
    [
        ("the demo", "deblur"), ("hu64", "ct-8"), ("pages", "deblur"),
        ("fan.mat", "ct-8"), ("fan.mat", "deblur"),
    ],
)  # fmt: skip
def test_a_preset_chosen_while_an_image_loads_is_what_it_is_when_one_waits(
    window, drive, files, screen, first, preset
):
    def begin():
        if first == "the demo":
            window.act.open_demo.trigger()
        else:
            window.opening.open_image(files.scans.get(first) or files.images[first])

    def chosen():
        session = window.session
        return session.data.path, session.prior.path, session.method.preset, session.method.now

    async def go():
        found = []
        for waits in (True, False):
            window.opening.open_prior(resource("priors/ct-small.safetensors"))
            await opened(window, files.images["float72"])
            await choose(window.problem.preset, "ct-20")
            await rest(window)
            begin()
            if waits:
                await rest(window)
            await choose(window.problem.preset, preset)
            await rest(window)
            found.append(chosen())
        return found

    waited, hurried = drive(go())
    assert hurried == waited
    assert waited[2] == preset or first == "fan.mat"
    assert screen.wrongs(quiet=True) == []


@pytest.mark.parametrize(
    ("image", "prior", "fitting"),
    [
        ("hu64", "photos-small", "ct-small"),
        ("colour64", "ct-small", "photos-small"),
        ("hu64", "ct-small", ""),
    ],
)
def test_a_prior_that_does_not_fit_is_said_with_the_one_that_does(
    window, drive, files, image, prior, fitting
):
    drive(opened(window, files.images[image], resource(f"priors/{prior}.safetensors")))
    words = visible_words(window)
    assert (fitting in words) if fitting else ("photos-small" not in words and "fit" not in words)


def test_lengths_are_in_pixels_where_nothing_says_how_large_one_is(window, drive, files):
    async def go():
        await opened(window, files.images["float72"], files.priors["hu64"])
        window.docks.bring(window.geometry_panel.parentWidget())
        await rest(window)
        assert "72 × 72 px" in window.geometry_panel.facts.text()
        assert "mm" not in window.geometry_panel.facts.text()
        await opened(window, files.images["pages"])  # 0.5 mm a pixel
        assert "32 × 32 mm" in window.geometry_panel.facts.text()

    drive(go())


@pytest.mark.parametrize("what", ["image", "prior"])
def test_what_is_opened_while_a_run_is_restored_is_what_is_open(window, drive, files, screen, tmp_path, what):
    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        await ran(window)
        assert await window.session.export(tmp_path / "out.tif")
        await opened(window, files.images["byte56"], files.priors["plain"])
        window.opening.restore(tmp_path / "out.tif")
        if what == "image":
            window.opening.open_image(files.images["float72"])
        else:
            window.opening.open_prior(files.priors["coloured"])
        await rest(window)

    drive(go())
    if what == "image":
        assert window.session.data.path == files.images["float72"]
        assert "holds; the run is in the list" in window.messages.text.text()
    else:
        assert window.session.prior.path == files.priors["coloured"]
    assert screen.wrongs(quiet=True) == []


def test_what_is_opened_while_the_demo_loads_is_what_is_open(window, drive, files, screen):
    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        window.act.open_demo.trigger()
        await turns()
        window.opening.open_image(files.images["byte56"])
        await rest(window)

    drive(go())
    assert window.session.data.path == files.images["byte56"]
    assert screen.wrongs(quiet=True) == []


@pytest.mark.parametrize("physics", [each.name for each in PHYSICS if each.name != "ct-parallel"])
def test_a_run_is_of_its_own_problem_before_its_first_step(window, drive, files, screen, physics):
    """Whatever is chosen after what the run measures is there, and before there is an iterate of it."""
    session, found = window.session, []

    def choose_meanwhile():
        if session.shown.pictures is not None and session.shown.frame() is None and not found:
            found.append("chosen")
            session.method.set_physics(physics)
            found.extend(screen.wrongs(quiet=False))

    async def go():
        await opened(window, files.images["hu64"], files.priors["hu64"])
        session.method.set_physics("ct-parallel")
        await rest(window)
        session.method.set_solver("diffpir")
        session.method.set_solver_setting("steps", 3)
        session.shown.changed.connect(choose_meanwhile)
        press(window, "run")
        await rest(window)

    drive(go())
    assert found == ["chosen"]
    assert screen.wrongs(quiet=True) == []


def test_a_walk_ends_where_a_run_is_paused(styled, files, tmp_path):
    actions = ("open_image", "open_prior", "start_paused")
    steps = [Step(action, seed=1, waits=True) for action in actions]
    walk = walk_once(styled, files, tmp_path, steps, lambda text: None)
    assert len(walk.trace) == len(steps)
    assert "step from rest" in walk.trace[-1]
    assert walk.found == []
