"""Every control has a name and a tooltip, every action a key or a menu, and no key two meanings."""

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QMenu, QScrollArea, QSlider

from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.gui.dialogs.help import actions_of, keys_by_menu
from tests.gui.controls import controls, nameless, repeated_keys, unexplained
from tests.qt import open_both


def in_menus(window):
    return [
        action
        for top in window.menuBar().actions()
        if isinstance(top.menu(), QMenu)
        for action in actions_of(top.menu())
    ]


def test_every_control_has_an_accessible_name_and_a_tooltip(window, drive, phantom_path, prior_path):
    async def go():
        await open_both(window.session, phantom_path, prior_path)
        for record in PHYSICS:
            window.session.method.set_physics(record.name)
        for record in SOLVERS:
            window.session.method.set_solver(record.name)

    drive(go())
    for action in (window.act.preferences, window.act.shortcuts, window.act.palette, window.act.report):
        action.trigger()
    assert len(controls(window)) > 60
    assert nameless(window) == []
    assert unexplained(window) == []


def test_fields_in_columns_that_scroll_leave_the_wheel_to_the_column(window, drive, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    window.setFocus()
    fields = [
        field
        for area in window.findChildren(QScrollArea)
        for field in controls(area)
        if isinstance(field, QAbstractSpinBox | QComboBox | QSlider)
    ]
    assert len(fields) > 20
    for field in fields:
        event = QWheelEvent(
            QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        field.wheelEvent(event)
        assert not event.isAccepted(), field.accessibleName()


def test_numbers_leave_the_windows_letters_to_the_window(window):
    for box in (box for box in controls(window) if isinstance(box, QAbstractSpinBox)):
        pressed = QKeyEvent(
            QEvent.Type.ShortcutOverride, Qt.Key.Key_T, Qt.KeyboardModifier.NoModifier, "t"
        )  # fmt: skip
        box.event(pressed)
        assert not pressed.isAccepted(), box.accessibleName()


def test_no_key_has_two_meanings(window):
    assert repeated_keys(window) == []


def test_the_walk_finds_what_it_looks_for(window):
    """A nameless button, a mute action and a doubled key are seen."""
    from PySide6.QtWidgets import QToolButton

    QToolButton(window)
    action = QAction("Twice", window)
    action.setShortcut("Ctrl+R")
    assert len(nameless(window)) == 1
    assert len(unexplained(window)) == 2
    assert repeated_keys(window) == ["Ctrl+R"]


def test_every_action_is_in_a_menu(window):
    listed = set(in_menus(window))
    missing = [a.text() for a in window.actions() if a not in listed]
    assert missing == []


def test_mnemonics_are_unlike_within_a_menu(window):
    menus = [window.menuBar(), *(m for m in window.findChildren(QMenu) if m.actions())]
    for menu in menus:
        letters = [
            a.text().replace("&&", "").split("&")[1][0].lower()
            for a in menu.actions()
            if "&" in a.text().replace("&&", "")
        ]
        assert len(letters) == len(set(letters)), [a.text() for a in menu.actions()]


def test_the_sheet_lists_every_key(window):
    listed = " ".join(keys for rows in keys_by_menu(window).values() for keys, _ in rows)
    for action in window.findChildren(QAction):
        for key in action.shortcuts():
            assert key.toString(key.SequenceFormat.NativeText) in listed
