"""Opening and choosing are transactions of which the latest wins; what is prepared is of what is open and chosen."""

import asyncio
import itertools

import numpy as np
import pytest
import tifffile

from padis_gui.core.files.read import read_and_keep, read_image
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.opened import misfit
from padis_gui.core.runs.presets import PRESETS, resource
from padis_gui.viewmodels.state.preparation import Stage
from tests.qt import ended, open_both, ran, settled, until
from tests.scan_files import fan, write_htc


@pytest.fixture
def many(tmp_path):
    """Pages that differ, and pictures of other sizes."""
    pages = np.stack([np.full((48, 48), 10.0 * page, np.float32) for page in range(6)])
    pages[:, 0, 0] = -1000
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    tifffile.imwrite(tmp_path / "other.tif", np.random.default_rng(0).random((40, 72), np.float32))
    return tmp_path


async def ran_on_pages(session, many, prior_path):
    """A run of the pages, after which the other image is open."""
    await open_both(session, many / "pages.tif", prior_path)
    session.method.set_solver_setting("steps", 1)
    await ran(session)
    await session.data.open(many / "other.tif")
    return session.runs.records[0]


def test_of_files_asked_for_at_once_the_last_is_open(session, drive, many, prior_path):
    paths = [many / "pages.tif", many / "other.tif"]

    async def go():
        await session.prior.open(prior_path)
        for order in itertools.product(paths, repeat=3):
            done = await asyncio.gather(*(session.data.open(path) for path in order))
            assert session.data.path == order[-1]
            assert done == [False, False, True]  # what was superseded says so

    drive(go())


def test_of_pages_flipped_through_only_the_last_is_read(session, drive, many, prior_path, monkeypatch):
    read = []

    def counted(path, page, reading=None):
        read.append(page)
        return read_and_keep(path, page, reading)

    monkeypatch.setattr("padis_gui.viewmodels.state.opened.read_and_keep", counted)

    async def go():
        await open_both(session, many / "pages.tif", prior_path)
        read.clear()
        await asyncio.gather(*(session.data.open_page(page) for page in range(1, 6)))
        assert session.data.image.page == 5
        assert read[-1] == 5
        assert len(read) < 5

    drive(go())


def test_settings_of_the_reading_that_are_changed_while_a_file_opens_are_of_that_file(session, drive, many):
    async def go():
        await session.data.open(many / "other.tif")
        first = asyncio.ensure_future(session.data.open(many / "pages.tif", 3))
        await asyncio.sleep(0)  # sleep: of no length, it has begun
        await session.data.set_reading({"scale_high": 77.0})
        assert await first is False
        image = session.data.image
        assert (image.name, image.page, image.window[1]) == ("pages.tif", 3, 77.0)

    drive(go())


@pytest.mark.parametrize(
    "order", list(itertools.permutations(("deblur", "ct-limited", "inpaint", "ct-8"), 3))
)
def test_of_presets_flipped_through_the_last_brings_its_prior(session, drive, order):
    wanted = next(preset for preset in PRESETS if preset.name == order[-1])

    async def go():
        await session.open_demo()
        await asyncio.gather(*(session.choose_preset(name) for name in order))
        assert session.method.preset == order[-1]
        assert session.prior.path == resource(wanted.prior)
        assert session.data.path == resource(wanted.demo)

    drive(go())


def test_a_preset_chosen_while_an_image_opens_stays_chosen_and_so_does_the_image(session, drive, many):
    async def go():
        await session.open_demo()
        opening = asyncio.ensure_future(session.data.open(many / "other.tif"))
        await asyncio.sleep(0)  # sleep: of no length, it has begun
        await asyncio.gather(opening, session.choose_preset("deblur"))
        assert session.data.path == many / "other.tif"
        assert session.method.preset == "deblur"

    drive(go())


def test_a_scan_takes_its_geometry_with_it(session, drive, many, prior_path):
    """Whatever is chosen for images holds again after any number of scans."""

    async def go():
        scan = write_htc(many / "scan.mat", fan())
        for preset in PRESETS:
            session.method.apply_preset(preset.name)
            chosen = session.method.now
            await session.data.open(many / "other.tif")
            assert session.method.now == chosen
            await session.data.open(scan)
            assert session.method.physics == "ct-fan"
            await session.data.set_reading({"take_views": 20})
            await session.data.open(many / "pages.tif")
            assert (session.method.now, session.method.preset) == (chosen, preset.name)

    drive(go())


def test_what_is_chosen_on_a_scan_stays_where_it_is_not_the_scans_own(session, drive, many):
    async def go():
        session.method.apply_preset("ct-fan")
        views = session.method.problem.views
        await session.data.open(write_htc(many / "scan.mat", fan()))
        session.method.set_solver("tv")
        session.method.set_problem("views", 7)  # of the scan
        await session.data.open(many / "other.tif")
        assert (session.method.solver, session.method.problem.views) == ("tv", views)
        assert session.method.preset is None

    drive(go())


def test_a_preset_chosen_on_a_scan_keeps_its_geometry_and_holds_for_the_next_image(session, drive, many):
    async def go():
        scan = write_htc(many / "scan.mat", fan())
        for name in ("ct-fan", "ct-8", "deblur"):
            await session.data.open(scan)
            geometry = session.method.problem
            session.method.apply_preset(name)
            assert session.method.problem == geometry
            await session.data.open(many / "other.tif")
            assert session.method.preset == name

    drive(go())


def test_settings_brought_back_give_way_to_what_is_wanted_meanwhile(session, drive, many, prior_path):
    async def go():
        record = await ran_on_pages(session, many, prior_path)
        bringing = asyncio.ensure_future(session.use_run(record))
        await asyncio.sleep(0)  # sleep: of no length, it has begun
        await session.choose_preset("ct-8")
        await bringing
        assert session.method.preset == "ct-8"

    drive(go())


def test_what_is_prepared_is_dropped_as_soon_as_something_else_is_chosen(
    session, drive, phantom_path, prior_path
):
    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_problem("views", 9)
        assert session.preparation.pictures is None
        assert session.preparation.stage is Stage.PREPARING
        assert session.screen.subject.truth is not None  # the image is the same
        await until(lambda: session.preparation.prepared)
        assert session.preparation.prepared.method.problem.views == 9

    drive(go())


def test_a_large_problem_waits_to_be_asked_for(session, drive, prior_path, tmp_path):
    tifffile.imwrite(tmp_path / "large.tif", np.random.default_rng(0).random((1024, 1024), np.float32))

    async def go():
        await session.prior.open(prior_path)
        session.method.set_problem("views", 120)
        await session.data.open(tmp_path / "large.tif")
        await until(lambda: session.screen.subject.truth is not None)
        assert session.screen.subject.truth.shape == (1024, 1024)
        assert session.preparation.stage is Stage.AT_RUN
        assert session.screen.empty_texts()["baseline"] == "Computed at Run"
        assert session.screen.offers() == dict.fromkeys(("baseline", "measurement"), "Compute now")
        session.screen.take_offer()
        assert session.screen.offers() == {}
        session.preparation.cancel()
        assert session.preparation.stage is Stage.AT_RUN
        await settled(session)

    drive(go())


def test_a_cancelled_run_is_shown_no_longer(session, drive, phantom_path, prior_path):
    async def go():
        await open_both(session, phantom_path, prior_path)
        session.start(paused=True)
        await until(lambda: session.run.snapshot().state is RunState.PAUSED)
        session.run.cancel()
        await ended(session)
        assert not session.shown.anything
        assert session.screen.verdict() == "Ready: press Run"

    drive(go())


def test_a_run_of_other_data_says_so_and_offers_its_data(session, drive, many, prior_path):
    async def go():
        record = await ran_on_pages(session, many, prior_path)
        assert "PSNR" not in session.screen.verdict()
        session.shown.show(record)
        texts = session.screen.empty_texts()
        assert all("pages.tif" in texts[key] and "other.tif" in texts[key] for key in session.screen.offers())
        assert "pages.tif" in session.screen.verdict()
        session.screen.take_offer()
        await until(lambda: session.screen.of_open and session.shown.record is record)
        assert session.data.path == many / "pages.tif"
        await until(lambda: session.screen.frame().difference is not None)

    drive(go())


@pytest.mark.parametrize("unit", ["", "HU", "1/mm"])
def test_a_prior_knows_images_of_its_own_unit_and_channels(prior, many, unit):
    image = read_image(many / "other.tif")
    conventions = prior.conventions.model_copy(update={"unit": unit})
    assert (misfit(image, conventions, 1) == "") == (unit == image.unit)
    assert "3 channels" in misfit(image, conventions, 3)
    scan = read_image(write_htc(many / "scan.mat", fan()))
    assert (misfit(scan, conventions, 1) == "") == (unit != "")
