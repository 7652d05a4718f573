"""The list of all actions: everything that the menus have is in it, is found by parts of its name, and is done by Enter."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from padis_gui.gui.dialogs.help import actions_of, keys_by_menu
from padis_gui.gui.dialogs.palette import Palette, distance, named_actions
from tests.qt import open_both, settled, until


@pytest.fixture
def palette(window, drive, phantom_path, prior_path):
    window.activateWindow()
    drive(open_both(window.session, phantom_path, prior_path))
    QTest.keyClick(
        window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    drive(settled())
    return window.findChild(Palette)


def names(palette):
    return [palette.rows.index(number, 0).data() for number in range(palette.rows.rowCount())]


def chosen(palette):
    return palette.view.currentIndex().siblingAtColumn(0).data()


def test_every_action_of_the_menus_is_in_it_with_its_keys(window, palette):
    menus = [top.menu() for top in window.menuBar().actions() if isinstance(top.menu(), QMenu)]
    actions = [a for menu in menus for a in actions_of(menu) if a.isVisible()]
    rows = range(palette.rows.rowCount())
    listed = [palette.rows.index(number, 0).data(Qt.ItemDataRole.UserRole) for number in rows]
    assert listed == actions
    shown = {(action, palette.rows.index(number, 1).data()) for number, action in enumerate(listed)}
    for action in actions:
        keys = " or ".join(k.toString() for k in action.shortcuts())
        assert (action, keys) in shown, action.text()
    assert "File › Open image…" in names(palette)
    assert all("&" not in name for name in names(palette))


def test_the_list_of_keys_names_it(window):
    assert ("Ctrl+Shift+P", "Find an action") in keys_by_menu(window)["Help"]


@pytest.mark.parametrize(("typed", "first"), [
    ("open im", "File › Open image…"),
    ("opim", "File › Open image…"),
    ("EXPORT", "File › Export…"),
    ("about", "Help › About padis_gui"),
    ("fit", "View › Fit"),
])  # fmt: skip
def test_the_nearest_name_comes_first(palette, typed, first):
    QTest.keyClicks(palette.line, typed)
    assert names(palette)[0] == first
    assert len(names(palette)) < palette.rows.sourceModel().rowCount()


def test_what_has_not_all_letters_is_left_out(palette):
    everything = names(palette)
    palette.line.setText("zzqx")
    assert names(palette) == []
    QTest.keyClick(palette.line, Qt.Key.Key_Return)  # does nothing
    assert palette.isVisible()
    palette.line.clear()
    assert names(palette) == everything


def test_beginnings_of_words_are_nearer_than_letters_within_and_these_nearer_than_scattered_ones():
    assert distance("ri", "Run it") < distance("ri", "Drift") < distance("ri", "Mercury pair, iris"[:13])
    assert distance("", "x") == (0, 0, 0)
    assert distance("xy", "yx") is None


def test_enter_closes_it_and_does_what_is_chosen(window, palette, drive):
    shown = window.act.tiling.isChecked()
    palette.line.setText("tiling")
    assert chosen(palette) == "View › Tiling"
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    drive(until(lambda: window.act.tiling.isChecked() is not shown))
    assert window.findChild(Palette) is None


def test_arrow_keys_choose_while_the_line_is_typed_in(palette):
    palette.line.setText("open")
    before = chosen(palette)
    QTest.keyClick(palette.line, Qt.Key.Key_Down)
    assert chosen(palette) != before
    QTest.keyClick(palette.line, Qt.Key.Key_Up)
    assert chosen(palette) == before
    assert palette.line.text() == "open"


def test_what_cannot_be_done_now_is_grey_and_is_not_done(window, palette):
    assert not window.act.finish.isEnabled()
    palette.line.setText("finish now")
    index = palette.rows.index(0, 0)
    assert index.data() == "Run › Finish now"
    assert not index.flags() & Qt.ItemFlag.ItemIsEnabled
    palette.view.setCurrentIndex(palette.rows.index(0, 0))
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert palette.isVisible()


def test_what_is_in_a_grey_menu_is_grey(qapp):
    menu, below = QMenu("File"), QMenu("Recent")
    below.addAction("Forget")
    menu.addMenu(below)
    menu.addAction("&Open…")
    below.menuAction().setEnabled(False)
    assert [(name, can) for name, _, can in named_actions(menu, "File")] == [
        ("File › Recent › Forget", False), ("File › Open…", True)
    ]  # fmt: skip


def test_esc_closes_it_and_nothing_is_done(window, palette, drive):
    QTest.keyClick(palette.line, Qt.Key.Key_Escape)
    drive(until(lambda: window.findChild(Palette) is None))
    assert not window.session.run.active
