"""Runs in the window: the list, the queue, samples; what they keep, and that nothing is left behind."""

import gc
import threading

import numpy as np
import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QLineEdit

from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_recipe, read_result
from padis_gui.gui.dialogs.export import ExportDialog
from padis_gui.gui.runs.curves import COMPARED_RUN
from padis_gui.gui.runs.run_list import RunList
from padis_gui.viewmodels.runs.columns import COLUMNS
from padis_gui.viewmodels.runs.queue import ItemState
from padis_gui.viewmodels.state.preferences import Preferences
from tests.gui.controls import nameless, unexplained
from tests.gui.user import click, dialog, press
from tests.qt import LONG, delivered, idle, open_both, settled, until


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window with the phantom and the tiny prior open."""

    async def go():
        await open_both(window.session, phantom_path, prior_path)
        window.session.method.set_solver("diffpir")
        window.session.method.set_solver_setting("steps", 3)

    drive(go())
    return window


async def runs(window, *seeds):
    """Run from these seeds."""
    for seed in seeds:
        count = len(window.session.runs.records)
        window.session.method.set_seed(seed)
        window.session.start()
        await until(lambda count=count: len(window.session.runs.records) > count)
    await delivered(window)


def cell(window, record, title):
    """What the list says of a run under a heading."""
    return window.run_tools.list.table.index_of(record.id, column_of(title)).data()


def column_of(title):
    """Where a heading is."""
    return next(at for at, each in enumerate(COLUMNS) if each.title == title)


def listed(window):
    """The names in the list, from top to bottom."""
    model = window.run_tools.list.view.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_a_run_appears_with_its_numbers_and_picture(ready, drive):
    drive(runs(ready, 4))
    (record,) = ready.session.runs.records
    assert ready.run_tools.list_dock.isVisible()  # the first run brings the list
    assert not ready.run_tools.list.empty.isVisible()
    assert cell(ready, record, "Name") == "Run 1"
    assert cell(ready, record, "Method") == "DiffPIR"
    assert cell(ready, record, "PSNR") == f"{record.metrics['psnr']:.2f}"
    assert cell(ready, record, "Seed") == "4"
    assert cell(ready, record, "Data") == "phantom.tif"
    assert cell(ready, record, "Views") == "20"
    assert cell(ready, record, "Tiling").endswith(", 32 px")
    assert cell(ready, record, "Prior") == "tiny"
    assert cell(ready, record, "Steps") == "3"
    assert cell(ready, record, "SSIM") == f"{record.metrics['ssim']:.3f}"
    assert cell(ready, record, "Seam ratio") == f"{record.history.points[-1].seam_ratio:.3f}"
    assert cell(ready, record, "Time") == f"{record.seconds:.1f} s"
    icon = ready.run_tools.list.table.index_of(record.id).data(Qt.ItemDataRole.DecorationRole)
    assert not icon.isNull()
    tip = ready.run_tools.list.table.index_of(record.id).data(Qt.ItemDataRole.ToolTipRole)
    assert "CT, parallel beam" in tip


def test_another_run_is_shown_by_enter_and_its_curves_come_with_it(ready, drive):
    drive(runs(ready, 1, 2))
    first, second = ready.session.runs.records
    panel = ready.run_tools.list
    ready.docks.bring(ready.run_tools.list_dock)
    panel.select(first)
    panel.view.setFocus()
    QTest.keyClick(panel.view, Qt.Key.Key_Return)
    assert ready.session.shown.record is first
    np.testing.assert_array_equal(ready.panes.pixels("estimate"), first.result.pixels[0])
    assert "Run 1" in ready.verdict.text()
    panel.select(second)
    press(panel, "runs_show")
    np.testing.assert_array_equal(ready.panes.pixels("estimate"), second.result.pixels[0])


def test_a_run_is_renamed_in_place(ready, drive):
    drive(runs(ready, 1))
    (record,) = ready.session.runs.records
    panel = ready.run_tools.list
    ready.docks.bring(ready.run_tools.list_dock)
    panel.select(record)
    panel.rename.trigger()
    editor = panel.view.findChild(QLineEdit)
    QTest.keyClicks(editor, "mine")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    drive(until(lambda: record.name == "mine"))  # Qt commits later
    assert cell(ready, record, "Name") == "mine"
    ready.session.shown.show(record)
    assert "mine" in ready.verdict.text()
    ready.session.runs.rename(record.id, "ours")
    assert "ours" in ready.verdict.text()
    assert "ours" in ready.panes.panes[2].caption.text()


def test_runs_are_sorted_by_number_and_what_is_unknown_comes_last(ready, drive):
    drive(runs(ready, 1, 2, 3))
    records = ready.session.runs.records
    records[1].metrics = {}
    ready.session.runs.changed.emit()
    view = ready.run_tools.list.view
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        view.sortByColumn(column_of("PSNR"), order)
        texts = [view.model().index(row, column_of("PSNR")).data() for row in range(3)]
        assert texts[-1] == "–"
        values = [float(text) for text in texts[:2]]
        assert values == sorted(values, reverse=order is Qt.SortOrder.DescendingOrder)


def test_a_line_filters_the_runs_by_words_and_numbers(ready, drive):
    drive(runs(ready, 1, 2, 3))
    first, second, third = ready.session.runs.records
    second.metrics["psnr"], third.metrics["psnr"] = 34.5, 12.0
    panel = ready.run_tools.list
    ready.docks.bring(ready.run_tools.list_dock)
    panel.select(first)
    for line, left in (
        ("psnr>34", ["Run 2"]), ("phantom DIFFPIR ct-par", ["Run 3", "Run 2", "Run 1"]), ("seed=3 tiny", ["Run 3"]),
        ("psnr>34 seed=3", []), ("name=nothing", []), ("psnr>much", []), ("run", ["Run 3", "Run 2", "Run 1"]),
    ):  # fmt: skip
        panel.filter.clear()
        QTest.keyClicks(panel.filter, line)
        assert listed(ready) == left, line
        assert panel.empty.isVisible() == (not left)
    assert panel.empty.text() == "No run matches the filter"
    panel.filter.setText("seed=2")
    assert ready.session.runs.selected == (), "what is not seen is not selected"
    panel.filter.clear()
    assert len(listed(ready)) == 3


def test_columns_are_hidden_moved_and_remembered(ready, drive, tmp_path):
    """Chosen by the header's menu, kept in the preferences; what cannot be read there has its default."""
    panel = ready.run_tools.list
    drive(runs(ready, 1))
    ready.docks.bring(ready.run_tools.list_dock)
    header = panel.header
    menu = header.menu()
    hide = next(action for action in menu.actions() if action.text() == "Residual")
    assert hide.isChecked()
    hide.trigger()
    header.moveSection(header.visualIndex(column_of("PSNR")), 1)
    panel.view.sortByColumn(column_of("Seed"), Qt.SortOrder.AscendingOrder)
    header.resizeSection(column_of("Data"), 77)
    again = RunList(ready.session, ready.preferences)
    try:
        assert again.header.isSectionHidden(column_of("Residual"))
        assert again.header.visualIndex(column_of("PSNR")) == 1
        assert again.header.sectionSize(column_of("Data")) == 77
        assert again.header.sortIndicatorSection() == column_of("Seed")
        reset = next(a for a in again.header.menu().actions() if a.text() == "&Reset columns")
        reset.trigger()
        assert not again.header.isSectionHidden(column_of("Residual"))
        assert again.header.visualIndex(column_of("PSNR")) == column_of("PSNR")
    finally:
        again.deleteLater()
    for nonsense in (
        "{",
        "[1]",
        '{"order": 3, "widths": {"psnr": "x"}, "sort": "no", "hidden": ["name", 4]}',
    ):
        other = Preferences(parent=ready)
        other.keep_window(runs_columns=nonsense)
        made = RunList(ready.session, other)
        assert made.header.count() - made.header.hiddenSectionCount() == len(COLUMNS)
        made.deleteLater()


def test_what_differs_between_two_is_said_and_copied(ready, drive):
    async def go():
        await runs(ready, 1)
        ready.session.method.set_solver_setting("zeta", 0.5)
        ready.session.method.set_solver_setting("steps", 2)
        await runs(ready, 5)
        first, second = ready.session.runs.records
        panel = ready.run_tools.list
        ready.docks.bring(ready.run_tools.list_dock)
        panel.select(second)
        assert not panel.differs.isVisible()
        panel.select(second, first)
        said = panel.differs.text.text()
        assert panel.differs.isVisible()
        assert said.startswith("Run 2 has ")
        assert "steps n 2 (Run 1: 3)" in said
        assert "ζ 0.5" in said
        assert said.endswith("and seed 5 (1).")
        click(panel.differs.copy)
        assert QApplication.clipboard().text() == said
        panel.select(first)
        assert not panel.differs.isVisible()

    drive(go())


def test_several_are_deleted_by_key_and_come_back(ready, drive):
    drive(runs(ready, 1, 2, 3))
    first, second, third = ready.session.runs.records
    panel = ready.run_tools.list
    ready.docks.bring(ready.run_tools.list_dock)
    panel.select(first, third)
    panel.view.setFocus()
    QTest.keyClick(panel.view, Qt.Key.Key_Delete)
    assert ready.session.runs.records == (second,)
    assert panel.table.rowCount() == 1
    QTest.keyClick(panel.view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert ready.session.runs.records == (first, second, third)
    assert panel.table.rowCount() == 3
    panel.select(second)
    press(panel, "runs_pin")
    assert second.pinned
    assert not panel.delete.isEnabled()
    assert "pinned" in cell(ready, second, "Remark")


def test_a_run_is_chosen_by_the_keyboard_alone(ready, drive):
    async def go():
        await runs(ready, 1)
        ready.docks.bring(ready.run_tools.list_dock)
        ready.activateWindow()
        listed = ready.run_tools.list
        listed.view.clearSelection()
        listed.view.setFocus(Qt.FocusReason.TabFocusReason)
        assert ready.session.runs.selected == ready.session.runs.records
        assert listed.show_run.isEnabled()

    drive(go())


def test_two_runs_are_compared_in_panes_and_curves(ready, drive):
    drive(runs(ready, 1, 2))
    first, second = ready.session.runs.records
    panel = ready.run_tools.list
    panel.select(first)
    assert not panel.compare.isEnabled()
    panel.select(first, second)

    async def go():
        panel.compare.trigger()
        plot = ready.curves.plots["psnr"]
        await until(lambda: len(plot.points(COMPARED_RUN)[0]) == 3)

    drive(go())
    assert ready.panes.comparing
    shown, compared = ready.session.shown.record, ready.run_tools._compared
    assert {shown, compared} == {first, second}
    assert compared.name in ready.curves.legend.text()
    ready.curves.close_compared.click()
    assert ready.curves.legend.text() == ""
    panel.compare.trigger()
    ready.session.runs.delete([compared.id])
    assert ready.curves.legend.text() == ""  # nothing is drawn of a run that is gone


def test_settings_come_back_and_a_repeat_says_that_it_is_the_same(ready, drive):
    async def go():
        await runs(ready, 7)
        (record,) = ready.session.runs.records
        ready.session.method.set_solver_setting("steps", 2)
        await runs(ready, 8)
        panel = ready.run_tools.list
        panel.select(record)
        panel.use.trigger()
        await until(lambda: ready.session.method.seed == 7)
        assert ready.session.method.settings.steps == 3
        panel.repeat.trigger()
        await until(lambda: len(ready.session.runs.records) == 3)
        await idle(ready)

    drive(go())
    assert "bit for bit" in ready.messages.text.text()
    assert "identical to Run 1" in cell(ready, ready.session.runs.records[-1], "Remark")


def test_one_run_or_several_are_exported(ready, drive, tmp_path):
    drive(runs(ready, 1, 2))
    first, second = ready.session.runs.records
    ready.session.runs.rename(first.id, "a/b: c")
    panel = ready.run_tools.list

    async def go():
        panel.select(first)
        panel.export.trigger()
        await until(lambda: dialog(ready, ExportDialog))
        dialog(ready, ExportDialog).export.click()
        await until(lambda: dialog(ready, QFileDialog))
        asked = dialog(ready, QFileDialog)
        asked.fileSelected.emit(str(tmp_path / "one.tif"))
        asked.close()
        await until((tmp_path / "one.tif").exists)
        panel.select(first, second)
        panel.export.trigger()
        await until(lambda: dialog(ready, ExportDialog))
        asked = dialog(ready, ExportDialog)
        click(asked.names.choose)
        await until(lambda: dialog(ready, QFileDialog))
        where = dialog(ready, QFileDialog)
        where.fileSelected.emit(str(tmp_path))
        where.close()
        asked.export.click()
        await until((tmp_path / "Run 2.tif").exists)
        await delivered(ready)

    drive(go())
    assert read_recipe(tmp_path / "one.tif")[0] == first.recipe
    assert read_recipe(tmp_path / "a_b_ c.tif")[0] == first.recipe
    assert read_recipe(tmp_path / "Run 2.tif")[0] == second.recipe
    assert "2 files" in ready.messages.text.text()


def test_ticked_runs_are_exported_under_names_that_are_seen_before(ready, drive, tmp_path):
    """The pattern is filled in while it is written; what cannot be is said, and nothing is written then."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "phantom 1.tif").write_bytes(b"of the user")

    async def go():
        await runs(ready, 1, 2, 3)
        panel = ready.run_tools.list
        ready.docks.bring(ready.run_tools.list_dock)
        first, second, _ = ready.session.runs.records
        model = panel.view.model()
        for row in (1, 2):  # the latest is on top: the boxes of the first two
            model.setData(model.index(row, 0), Qt.CheckState.Checked, Qt.ItemDataRole.CheckStateRole)
        assert ready.session.runs.ticked == (first, second)
        assert panel.export.text() == "&Export 2 ticked…"
        panel.export.trigger()
        await until(lambda: dialog(ready, ExportDialog))
        asked = dialog(ready, ExportDialog)
        names = asked.names
        assert not nameless(asked)
        assert not unexplained(asked)

        def seen():
            return [names.preview.item(at).text() for at in range(names.preview.count())]

        assert seen() == ["Run 1.tif", "Run 2.tif"]
        names.go_to(out)
        for pattern, files, said in (
            ("{data} {seed}", [], "phantom 1.tif would be written over"),
            ("{data}", [], "runs 1 and 2 would both be phantom.tif"),
            ("{name.__class__}", [], "is not a field"),
            ("x/{seed}", [], "cannot have '/'"),
            (
                "{solver}-{views}-{page}-{number} {psnr}",
                [f"diffpir-20-1-{at} {r.metrics['psnr']:.2f}.tif" for at, r in enumerate((first, second), 1)],
                "",
            ),
        ):
            names.pattern.setText(pattern)
            await until(
                lambda said=said: said in asked.trouble.text() and bool(asked.trouble.text()) == bool(said)
            )
            assert asked.export.isEnabled() == (not said)
            assert seen() == files
        asked.form.edited.emit("what", "curves")
        assert all(name.endswith(".csv") for name in seen())
        asked.form.edited.emit("what", "result")
        last = seen()
        click(asked.export)
        await until(lambda: all((out / name).exists() for name in last))
        await delivered(ready)
        return last, first

    last, first = drive(go())
    assert read_recipe(out / last[0])[0] == first.recipe
    assert sorted(each.name for each in out.iterdir()) == sorted([*last, "phantom 1.tif"])
    assert (out / "phantom 1.tif").read_bytes() == b"of the user"
    assert ready.preferences.window("export_pattern") == "{solver}-{views}-{page}-{number} {psnr}"
    assert ready.preferences.folder_of("export") == str(out)


def test_a_file_that_came_meanwhile_is_not_written_over(ready, drive, tmp_path):
    drive(runs(ready, 1, 2))
    (tmp_path / "b.tif").write_bytes(b"other")
    named = [
        (r, tmp_path / name) for r, name in zip(ready.session.runs.records, ("a.tif", "b.tif"), strict=True)
    ]
    assert not drive(ready.session.export_runs(named))
    assert "b.tif would be written over" in ready.messages.text.text()
    assert not (tmp_path / "a.tif").exists()


def test_boxes_are_ticked_for_all_that_the_filter_shows(ready, drive):
    drive(runs(ready, 1, 2, 3))
    panel, kept = ready.run_tools.list, ready.session.runs
    panel.filter.setText("seed>1")
    panel.tick_all.trigger()
    assert [r.name for r in kept.ticked] == ["Run 2", "Run 3"]
    panel.tick_all.trigger()
    assert kept.ticked == ()
    panel.select(kept.records[1])
    panel.tick.trigger()
    kept.delete([kept.records[1].id])
    assert kept.ticked == ()
    kept.undo_delete()
    assert [r.name for r in kept.ticked] == ["Run 2"]


# -- the queue ------------------------------------------------------------------------------------------------


def test_runs_are_queued_while_one_runs_and_the_forms_are_for_the_next(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        ready.session.start()
        await until(lambda: ready.session.run.snapshot().step >= 2)
        steps = ready.solver.forms["diffpir"].editors["steps"]
        assert steps.isEnabled()
        for count in (2, 4):
            steps.setValue(count)
            QTest.mouseClick(ready.findChild(object, "enqueue_button"), Qt.MouseButton.LeftButton)
        panel = ready.run_tools.queue
        assert ready.run_tools.queue_dock.isVisible()
        assert panel.view.rowCount() == 2
        assert panel.summary.text() == "2 waiting"
        panel.view.selectRow(1)
        press(panel, "queue_earlier")
        assert panel.view.selectionModel().selectedRows()[0].row() == 0  # the selection goes with its run
        assert not panel.up.isEnabled()
        ready.act.finish.trigger()
        await idle(ready)

    drive(go())
    assert [r.recipe.settings["steps"] for r in ready.session.runs.records] == [LONG, 4, 2]
    assert [item.state for item in ready.session.queue.items] == [ItemState.DONE] * 2
    assert ready.run_tools.queue.view.item(0, 0).text() == "Done"


def test_a_held_queue_waits_and_one_is_taken_back_by_key(ready, drive):
    panel = ready.run_tools.queue

    async def go():
        ready.docks.bring(ready.run_tools.queue_dock)
        press(panel, "queue_hold")
        for _ in range(3):
            ready.act.enqueue.trigger()
        await settled()
        assert not ready.session.run.active
        assert "held" in panel.summary.text()
        panel.view.selectRow(1)
        panel.view.setFocus()
        QTest.keyClick(panel.view, Qt.Key.Key_Delete)
        press(panel, "queue_hold")
        await idle(ready)

    drive(go())
    assert len(ready.session.runs.records) == 2
    assert [i.state for i in ready.session.queue.items].count(ItemState.CANCELLED) == 1
    ready.docks.bring(ready.run_tools.queue_dock)
    press(panel, "queue_clear_ended")
    assert panel.view.rowCount() == 0
    assert panel.empty.isVisible()


def test_a_queue_is_saved_run_by_the_command_line_and_opened_again(ready, drive, tmp_path):
    panel, path, out = ready.run_tools.queue, tmp_path / "queue.json", tmp_path / "out"

    async def go():
        ready.docks.bring(ready.run_tools.queue_dock)
        assert not panel.save.isEnabled()
        press(panel, "queue_hold")
        ready.session.method.set_seed(3)
        for steps in (2, 3):
            ready.session.method.set_solver_setting("steps", steps)
            ready.act.enqueue.trigger()
        panel.save.trigger()
        asked = dialog(ready, QFileDialog)
        asked.selectFile(str(path))
        asked.accept()
        await until(path.exists)
        panel.open.trigger()
        asked = next(d for d in ready.findChildren(QFileDialog) if d.windowTitle() == "Open queue")
        asked.selectFile(str(path))
        asked.accept()
        await until(lambda: panel.view.rowCount() == 4)
        press(panel, "queue_hold")
        await idle(ready)

    drive(go())
    first, second, again, once_more = ready.session.runs.records
    assert [r.recipe.settings["steps"] for r in (again, once_more)] == [2, 3]
    assert np.array_equal(first.result.pixels, again.result.pixels)
    threads = torch.get_num_threads()
    try:
        assert main(["queue", str(path), "--out", str(out), "--device", "cpu"]) == 0
    finally:
        torch.set_num_threads(threads)
    for record in (first, second):
        assert np.array_equal(read_result(out / f"{record.name}.tif").estimate, record.result.pixels)


# -- samples --------------------------------------------------------------------------------------------------


def test_samples_from_one_click_become_one_entry_with_pictures_and_a_curve(ready, drive):
    async def go():
        ready.act.samples.trigger()
        await until(lambda: dialog(ready, QInputDialog))
        asked = dialog(ready, QInputDialog)
        asked.setIntValue(4)
        asked.accept()
        await until(lambda: len(ready.session.runs.records) == 5)
        await idle(ready)

    drive(go())
    group = ready.session.runs.records[-1]
    panel, table = ready.run_tools.samples, ready.run_tools.list.table
    assert table.rowCount() == 1
    assert table.rowCount(table.index_of(group.id)) == 4
    assert ready.run_tools.samples_dock.isVisible()
    assert "4 samples" in panel.words.text()
    assert f"{group.calibration.coverage:.0%}" in panel.words.text()
    drive(until(lambda: panel.plot.is_drawn))
    np.testing.assert_allclose(panel.plot.points("found")[1], group.calibration.observed)
    low, high = group.result.interval
    np.testing.assert_array_equal(ready.panes.pixels("interval_low"), low[0])
    np.testing.assert_array_equal(ready.panes.pixels("interval_high"), high[0])
    np.testing.assert_array_equal(ready.panes.pixels("interval_width"), high[0] - low[0])
    np.testing.assert_array_equal(ready.panes.pixels("deviation"), group.result.deviation[0])
    panel.show_panes.click()
    assert [pane.source for pane in ready.panes.panes[:4]] == [
        "estimate", "deviation", "interval_width", "difference",
    ]  # fmt: skip
    ready.session.shown.show(ready.session.runs.records[0])
    assert ready.panes.pixels("interval_low") is None
    assert not panel.plot.isVisible()


# -- nothing is left behind -----------------------------------------------------------------------------------


def test_forty_runs_leave_no_thread_and_no_widget_behind(ready, drive):
    session = ready.session
    session.method.set_solver("least-squares")
    session.method.set_solver_setting("steps", 2)

    def count():
        QApplication.processEvents()
        gc.collect()
        return threading.active_count(), len(QApplication.allWidgets())

    async def many(number):
        for _ in range(number):
            before = len(session.runs.records)
            session.start()
            await until(lambda before=before: len(session.runs.records) > before)
        await idle(ready)

    drive(many(4))
    first = count()
    drive(many(40))
    assert count() == first
    assert ready.run_tools.list.table.rowCount() == 44
