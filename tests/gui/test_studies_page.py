"""The Studies page as a user drives it, with the real process at toy size."""

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton

from padis_gui.core.studies.request import TABLES
from padis_gui.core.studies.studies import STUDIES
from padis_gui.gui.studies.setup import TickList
from padis_gui.viewmodels.state.process import ProcessState
from tests.gui.user import click, drop, turn_to
from tests.qt import until


@pytest.fixture
def stack(tmp_path):
    pages = np.random.default_rng(0).integers(-1000, 1000, (3, 32, 40), dtype=np.int16)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    return tmp_path / "stack.tif"


@pytest.fixture
def page(window):
    yield window.study_page
    window.studies.stop()


def tick(view: TickList, *names):
    """Click the boxes until these are ticked."""
    for index in range(view.count()):
        item = view.item(index)
        wanted = item.data(Qt.ItemDataRole.UserRole) in names
        if wanted != (item.checkState() is Qt.CheckState.Checked):
            item.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)


async def planned(window, stack, prior_path, varied="views=4,6; steps=1,2"):
    """Choose a question of one's own, by the widgets."""
    await turn_to(window, "studies")
    setup, plan = window.study_page.setup, window.studies.plan
    drop(window.study_page, stack)
    await until(lambda: plan.images != ())
    box = setup.question.study
    box.setCurrentIndex(box.count() - 1)
    box.activated.emit(box.count() - 1)
    assert not setup.methods.is_folded
    tick(setup.methods.problems, "ct-8")
    tick(setup.methods.solvers, "dds", "sirt")
    tick(setup.methods.tilings, "random")
    setup.methods.varied.setText(varied)
    setup.methods.varied.editingFinished.emit()
    plan.set("priors", (prior_path,))


async def ended(window):
    await until(lambda: not window.studies.active)
    await until(lambda: not window.studies._reading)


def test_a_question_of_ones_own_from_the_images_to_a_run(window, page, stack, prior_path, drive, tmp_path):
    async def go():
        await planned(window, stack, prior_path)
        assert page.transport.start.isEnabled()
        assert page.transport.state.text() == "3 images, 24 runs"
        click(page.transport.buttons["start"])
        await until(lambda: window.studies.state is ProcessState.RUNNING)
        assert window.study_note.isVisible()
        await ended(window)
        assert window.studies.state is ProcessState.DONE
        table = page.table.table
        heads = [table.horizontalHeaderItem(at).text() for at in range(table.columnCount())]
        assert {"views", "steps", "PSNR", "Δ PSNR"} <= set(heads)
        assert table.rowCount() == 8
        assert {table.item(at, heads.index("cases")).text() for at in range(8)} == {"3"}
        page.tabs.setCurrentWidget(page.plot)
        await until(lambda: page.plot.plot.is_drawn)
        assert [page.plot.axis.itemText(at) for at in range(page.plot.axis.count())] == [
            "views", "steps", "rows of the table"
        ]  # fmt: skip
        x, _ = page.plot.plot.points(page.plot.plot.names[0])
        assert list(x) == [4.0, 6.0]
        page.plot.write_png(tmp_path / "plot.png")
        await until((tmp_path / "plot.png").exists)
        page.tabs.setCurrentWidget(page.sheet)
        sheet = page.sheet.list
        assert [sheet.item(at).text().split("\n")[0] for at in range(3)] == [
            "Truth", "dds · random · views 4 · steps 1", "dds · random · views 4 · steps 2"
        ]  # fmt: skip
        assert page.sheet.page.count() == 3
        runs = len(window.session.runs.records)
        sheet.itemActivated.emit(sheet.item(1))
        await until(lambda: len(window.session.runs.records) == runs + 1)
        await until(lambda: window.at_work)
        record = window.session.runs.records[-1]
        found = window.studies.standing.results[0]
        assert record.metrics["psnr"] == pytest.approx(found.metrics["psnr"])
        await until(lambda: window.session.method.now.problem.views == 4)
        report = await window.studies.write_report()
        assert all((report.parent / name).is_file() for name in TABLES)

    drive(go())


def test_a_study_that_was_stopped_goes_on_to_the_same_numbers(window, page, stack, prior_path, drive):
    async def go():
        await planned(window, stack, prior_path, varied="views=4,5,6,7,8,9,10; steps=1,2,3")
        folder = window.studies.plan.folder
        click(page.transport.buttons["start"])
        await until(lambda: window.studies.done >= 2)
        click(page.transport.buttons["stop"])
        await ended(window)
        assert window.studies.state is ProcessState.STOPPED
        before = window.studies.standing
        assert 0 < len(before.results) < before.total
        page.tabs.setCurrentWidget(page.list)
        await window.studies.refresh_list()
        tree = page.list.tree
        assert tree.topLevelItemCount() == 1
        tree.topLevelItem(0).setSelected(True)
        click(page.list.resume)
        await until(lambda: window.studies.active)
        await ended(window)
        after = window.studies.standing
        assert window.studies.state is ProcessState.DONE
        assert after.folder == folder
        assert after.finished
        known = {result.point.key: result.metrics for result in before.results}
        assert known == {r.point.key: r.metrics for r in after.results if r.point.key in known}

    drive(go())


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_built_in_question_is_planned_by_its_name(study, window, page, stack, prior_path, drive):
    async def go():
        await turn_to(window, "studies")
        plan, box = window.studies.plan, page.setup.question.study
        drop(page, stack)
        await until(lambda: plan.images != ())
        plan.set("priors", (prior_path,))
        at = box.findData(study.name)
        box.setCurrentIndex(at)
        box.activated.emit(at)
        assert plan.study == study.name
        assert page.setup.question.question.text() == study.question
        assert page.setup.methods.problems.ticked == study.problems or set(
            page.setup.methods.problems.ticked
        ) == set(study.problems)
        if study.trains:
            assert "learn from" in plan.obstacle()
            assert page.setup.question.learn.isVisible()
            plan.learn_from((stack,))
            assert "4 trainings" in page.setup.question.learned.text()
        assert plan.obstacle() == ""
        assert set(page.setup.methods.solvers.ticked) == set(study.solvers)
        assert plan.wanted().priors == (prior_path,)
        plan.set_budget("full")
        assert set(page.setup.methods.solvers.ticked) == {*study.solvers, *study.more_solvers}

    drive(go())


def test_what_does_not_go_together_is_said_where_it_would_be_started(window, page, stack, prior_path, drive):
    said = []
    window.session.message.connect(lambda level, text, _details: said.append((level, text)))

    async def go():
        plan, transport = window.studies.plan, page.transport
        await turn_to(window, "studies")
        assert not transport.start.isEnabled()
        assert transport.state.text() == "Choose images first"
        await planned(window, stack, prior_path, varied="views=4; nothing=1")
        assert not transport.start.isEnabled()
        assert "nothing" in transport.start.toolTip()
        plan.set_varied("views")
        assert said[-1][0] == "error"
        assert "views=8,20" in said[-1][1]
        plan.set_varied("views=4,5")
        assert transport.start.isEnabled()
        tick(page.setup.methods.problems)
        assert not transport.start.isEnabled()
        plan.choose_images((stack.parent / "gone.tif",))
        await until(lambda: not plan.reading)
        assert not transport.start.isEnabled()

    drive(go())


def test_closing_asks_while_a_study_is_under_way(window, page, stack, prior_path, drive):
    async def go():
        await planned(window, stack, prior_path, varied="views=4,5,6,7,8,9,10; steps=1,2,3")
        click(page.transport.buttons["start"])
        await until(lambda: window.studies.done >= 1)
        window.close()
        await until(window.question.isVisible)
        assert "a study" in window.question.text.text()
        stay = next(b for b in window.question.findChildren(QAbstractButton) if b.text() == "Stay")
        click(stay)
        assert window.studies.active

    drive(go())
