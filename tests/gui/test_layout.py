"""What the window owes its users on every screen: nothing cut, one grid, a keyboard that is seen, numbers from 1."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QAction, QColor, QKeyEvent, QShortcut, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QApplication,
    QCheckBox,
    QDialog,
    QFormLayout,
    QLabel,
    QScrollArea,
    QStyleOptionViewItem,
    QToolBar,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
)

from padis_gui import gui
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.gui.frame.main_window import MainWindow, first_place
from padis_gui.gui.kit import focus, theme
from padis_gui.gui.kit.focus import FocusRing, takes_tab
from padis_gui.gui.kit.plot import Plot
from padis_gui.gui.kit.widgets import Section
from padis_gui.gui.panes.canvas import Canvas
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences
from tests.gui.controls import cut, scrolled_sideways, where_is
from tests.gui.user import pane, press
from tests.qt import LONG, delivered, ended, open_both, ran, settled, until

SMALL = 1280, 720


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window, in front, with the phantom and the tiny prior open."""
    window.activateWindow()
    drive(open_both(window.session, phantom_path, prior_path))
    window.session.method.set_solver("diffpir")
    window.session.method.set_solver_setting("steps", 3)
    return window


def page(window, name):
    window.findChild(QAction, f"page_{name}").trigger()
    QApplication.processEvents()


# -- the screen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", [(1280, 720), (1366, 728), (1440, 900), (1024, 576), (1680, 1050)])
def test_a_small_screen_is_filled_at_the_first_start(screen):
    room = QRect(0, 24, *screen)
    assert first_place(room) == room


@pytest.mark.parametrize("screen", [(1920, 1040), (2560, 1400), (3840, 2120), (7680, 4320), (1920, 1200)])
def test_of_a_large_screen_the_window_takes_the_middle(screen):
    room = QRect(64, 27, *screen)
    place = first_place(room)
    assert room.contains(place)
    assert (place.center() - room.center()).manhattanLength() <= 2
    assert place.width() >= min(1600, 0.8 * screen[0])
    assert place.width() <= 2560
    assert place.height() <= 1600


def test_maximised_or_not_comes_back(drive, tmp_path):
    def visit(do):
        async def go():
            window = MainWindow(Session("cpu"), Preferences(tmp_path))
            window.appear()
            await settled()
            found = do(window)
            await settled()
            window.close()
            await window.closed.wait()
            window.deleteLater()
            return found

        return drive(go())

    assert visit(lambda window: (window.isMaximized(), window.showNormal())[0])  # the screen here is small
    assert not visit(lambda window: (window.isMaximized(), window.showMaximized())[0])
    assert visit(lambda window: window.isMaximized())


def test_nothing_is_cut_on_a_small_screen(ready, drive):
    """Every panel and page, with every solver, physics and tiling; no column is wider than what it is seen through."""

    def look(where):
        drive(settled())
        assert (ready.width(), ready.height()) == SMALL, where
        assert cut(ready) == [], where
        assert scrolled_sideways(ready) == [], where

    async def go():
        await ran(ready)
        await settled()

    drive(go())
    least = ready.minimumSizeHint().width()
    for dock in ready.docks.all:
        ready.docks.bring(dock)
        drive(settled())
        look(dock.windowTitle())
    assert ready.minimumSizeHint().width() == least  # panels never make the window wider
    assert least <= 960
    method = ready.session.method
    for record in SOLVERS:
        method.set_solver(record.name)
        look(record.name)
    for record in TILINGS:
        method.set_tiling("strategy", record.name)
        look(record.name)
    for record in PHYSICS:
        method.set_physics(record.name)
        look(record.name)
    for name in ("a/b", "train", "reconstruct"):
        page(ready, name)
        drive(settled())
        look(name)
    drive(delivered(ready))


@pytest.mark.parametrize("name", ["reconstruct", "training"])
def test_run_stays_in_its_place_whatever_its_buttons_and_the_lines_around_them_want(ready, drive, name):
    """Also where they want more room than the column has: what scrolls above gives it, not the buttons."""
    page(ready, "train" if name == "training" else name)
    bench = getattr(ready, name)
    left, transport = bench.left, bench.transport
    drive(settled())
    buttons = [each for each in transport.findChildren(QToolButton) if each.isVisible()]
    lines = [each for each in transport.findChildren(QLabel) if each.wordWrap() and each.isVisible()]

    def above_the_edge():
        return [left.height() - each.mapTo(left, each.rect().bottomLeft()).y() for each in buttons]

    before = above_the_edge()
    buttons[0].defaultAction().setText("a name of more words than a button was made for")
    for line in lines:
        line.setText("words that wrap " * 9)
    drive(settled())
    assert transport.minimumSizeHint().width() > transport.width()
    assert above_the_edge() == before
    assert all(each.height() >= each.sizeHint().height() for each in buttons)
    assert all(line.height() >= line.heightForWidth(line.width()) for line in lines)


def test_what_is_cut_is_found(ready):
    label = QLabel("a text that is not whole", ready)
    label.setGeometry(10, 200, 30, 20)
    label.show()
    assert len(cut(ready)) == 1
    label.setWordWrap(True)
    label.setGeometry(10, 200, 60, 16)
    assert len(cut(ready)) == 1
    label.setGeometry(10, 200, 160, 40)
    assert cut(ready) == []
    label.setGeometry(ready.width() - 20, 200, 160, 40)
    assert len(cut(ready)) == 1


def test_pictures_stay_the_largest_thing(ready, drive):
    """Whatever panel is opened at the bottom; and they lose at most a quarter of their side to it."""

    def side():
        QApplication.processEvents()
        return min(min(p.canvas.width(), p.canvas.height()) for p in ready.panes.panes)

    drive(settled())
    before = side()
    for dock in ready.docks.all:
        ready.docks.bring(dock)
        drive(settled())
        board, panel = ready.panes.size(), dock.size()
        assert board.width() * board.height() > panel.width() * panel.height(), dock.windowTitle()
        assert side() > 0.66 * before, dock.windowTitle()


# -- one grid -------------------------------------------------------------------------------------------------


def fields_of(root):
    """Where the fields of the forms in a column begin, from its left."""
    found = {}
    for layout in root.findChildren(QFormLayout):
        for row in range(layout.rowCount()):
            label = layout.itemAt(row, QFormLayout.ItemRole.LabelRole)
            field = layout.itemAt(row, QFormLayout.ItemRole.FieldRole)
            if label is None or field is None or label.widget() is None or not label.widget().isVisible():
                continue
            at = label.widget().mapTo(root, QPoint())
            found[label.widget().text()] = field.geometry().left() - label.geometry().left(), at.x()
    return found


def test_fields_stand_on_one_grid_on_every_page(ready, drive):
    drive(settled())
    pages = {
        "reconstruct": ready.reconstruct.left,
        "a/b": ready.laboratory.page.controls,
        "train": ready.training.left,
    }
    widths = set()
    for name, column in pages.items():
        page(ready, name)
        drive(settled())
        found = fields_of(column)
        assert len(found) >= 4, name
        widths |= {width for width, _ in found.values()}
        assert len({left for _, left in found.values()}) == 1, found
    assert len(widths) == 1


def test_every_tiling_has_a_line_under_it(ready):
    section = ready.tiling
    for record in TILINGS:
        ready.session.method.set_tiling("strategy", record.name)
        assert section.summary.isVisible()
        assert section.summary.text() == record.summary
        at = section.tiling.findData(record.name)
        assert section.tiling.itemData(at, Qt.ItemDataRole.ToolTipRole) == record.summary
    view = section.tiling.view()
    option = QStyleOptionViewItem()
    view.initViewItemOption(option)
    hint = section.tiling.itemDelegate().sizeHint(option, section.tiling.model().index(0, 0))
    assert hint.height() >= 2 * section.tiling.fontMetrics().height()
    assert hint.width() >= section.tiling.fontMetrics().horizontalAdvance(TILINGS.find("auto").summary)


# -- wheel ----------------------------------------------------------------------------------------------------


def wheel(canvas, modifiers=Qt.KeyboardModifier.NoModifier):
    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    event = QWheelEvent(
        middle, QPointF(canvas.mapToGlobal(middle.toPoint())), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        modifiers, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas.viewport(), event)
    return event.isAccepted()


def test_the_wheel_zooms_the_picture_that_has_the_keyboard_or_with_ctrl_any(ready):
    first, second = (ready.panes.panes[n].canvas for n in (0, 1))
    first.setFocus()
    assert first.hasFocus()

    def seen(canvas):
        return canvas.box.viewRect().width()

    whole = seen(second)
    wheel(second)
    assert seen(second) == pytest.approx(whole)
    wheel(second, Qt.KeyboardModifier.ControlModifier)
    closer = seen(second)
    assert closer < whole
    wheel(first)
    assert seen(first) < closer
    for canvas in ready.findChildren(Canvas):
        if not canvas.hasFocus():
            assert not wheel(canvas), canvas.accessibleName()
    assert "wheel" in ready.panes.panes[0].header.toolTip()


# -- keyboard -------------------------------------------------------------------------------------------------


def test_run_is_where_the_keyboard_begins(drive, tmp_path, phantom_path, prior_path):
    async def go():
        window = MainWindow(Session("cpu"), Preferences(tmp_path))
        window.appear()
        window.activateWindow()
        await open_both(window.session, phantom_path, prior_path)
        await settled()
        assert window.focusWidget() is window.transport.buttons["run"]
        stops = []
        for _ in range(6):
            QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
            stops.append(window.focusWidget())
        assert window.transport.buttons["enqueue"] in stops[:2]
        assert window.data.heading in stops[:3]
        await delivered(window)
        window.close()
        await window.closed.wait()
        window.deleteLater()

    drive(go())


def ring_of(widget):
    return next((ring for ring in widget.findChildren(FocusRing) if ring.isVisible()), None)


def contrast(one, other):
    def luminance(colour):
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["Light", "Dark"])
def test_the_keyboard_is_seen_wherever_tab_takes_it(ready, scheme):
    """A ring on buttons, fields, tabs, tables and pictures, in the pixels of the window and not only in the tree."""
    theme.set_scheme(scheme)
    try:
        start = ready.transport.buttons["run"]
        start.setFocus(Qt.FocusReason.TabFocusReason)
        seen = set()
        for _ in range(300):
            focused = ready.focusWidget()
            assert focused.isVisible()
            surface = focused.viewport() if isinstance(focused, QAbstractScrollArea) else focused
            assert not surface.visibleRegion().isEmpty(), where_is(focused)
            assert takes_tab(focused)
            ring = ring_of(focused)
            assert ring is not None, focused
            assert ring.geometry() == focused.rect()
            if type(focused) not in seen:
                seen.add(type(focused))
                picture = focused.grab().toImage()
                edge = QColor(picture.pixel(picture.width() // 2, 1))
                assert edge == focused.palette().color(theme.QPalette.ColorRole.Highlight), focused
                around = QApplication.palette().color(theme.QPalette.ColorRole.Window)
                assert (
                    contrast(edge, around) >= 3
                )  # and a light line inside sets it off from a coloured button
            QTest.keyClick(focused, Qt.Key.Key_Tab)
            if ready.focusWidget() is start:
                break
        assert ready.focusWidget() is start, "Tab never comes back"
        assert len(seen) >= 7
    finally:
        theme.set_scheme("System")


def test_f6_goes_round_the_regions_and_back(ready, drive):
    drive(settled())
    for name in ("reconstruct", "a/b", "train"):
        page(ready, name)
        regions = ready.pages.currentWidget().regions
        ready.act.next_region.trigger()

        def where(regions=regions):
            return next(n for n, region in enumerate(regions) if region.isAncestorOf(ready.focusWidget()))

        forward = [where()]
        for _ in regions:
            ready.act.next_region.trigger()
            forward.append(where())
        assert len(set(forward)) >= 2, name
        ready.act.previous_region.trigger()
        assert where() == forward[-2], name


def test_f6_shows_as_much_of_a_region_as_there_is_room_for(ready, drive):
    """At 1280 x 720 a section below would otherwise show its heading only."""
    drive(settled())
    sections = [r for r in ready.pages.currentWidget().regions if isinstance(r, Section) and r.isVisible()]
    assert len(sections) >= 4
    for _ in ready.pages.currentWidget().regions:
        ready.act.next_region.trigger()
        QApplication.processEvents()
        for section in sections:
            if section.isAncestorOf(ready.focusWidget()):
                room = next(a for a in ancestors(section) if isinstance(a, QScrollArea)).viewport()
                seen = section.visibleRegion().boundingRect().height()
                assert seen >= min(section.height(), room.height()) - 2, section.title


def ancestors(widget):
    while (widget := widget.parentWidget()) is not None:
        yield widget


@pytest.mark.parametrize("scheme", ["Dark", "Light"])
def test_an_empty_check_box_is_seen(styled, scheme):
    """In a form and in a list: its outline stands out from what is around, and from what is inside."""
    box, tree = QCheckBox(), QTreeWidget()
    item = QTreeWidgetItem([""])
    item.setCheckState(0, Qt.CheckState.Unchecked)
    tree.addTopLevelItem(item)
    try:
        theme.set_scheme(scheme)
        for widget in (box, tree.viewport()):
            tree.resize(120, 60)
            grabbed = widget.grab().toImage()
            row = grabbed.height() // 2 if widget is box else tree.visualItemRect(item).center().y()
            greys = [grabbed.pixelColor(x, row).lightness() for x in range(grabbed.width())]
            around = greys[-1]
            assert max(abs(grey - around) for grey in greys) > 50, (scheme, widget)
    finally:
        theme.set_scheme("System")
        for widget in (box, tree):
            widget.deleteLater()


def test_the_ring_of_the_keyboard_leaves_the_text_of_a_check_box_free(styled):
    box = QCheckBox("Adapt the prior")
    try:
        box.ensurePolished()
        assert box.sizeHint().height() >= box.fontMetrics().height() + 2 * (focus._WIDE + focus._INNER)
    finally:
        box.deleteLater()


def test_curves_of_the_laboratory_take_the_room_of_a_large_screen(ready, drive):
    drive(settled())
    panel = ready.laboratory.panel
    ready.docks.bring(next(dock for dock in ready.docks.all if dock.windowTitle() == "Laboratory"))
    QApplication.processEvents()
    small = panel.ratios.height()
    ready.resize(1280, 1600)
    QApplication.processEvents()
    assert small >= 150
    assert panel.ratios.height() == panel.spread.height() > 1.5 * small


def test_a_window_gets_its_title_after_the_panes_have_their_pictures(ready, drive, tmp_path):
    """The desktop paints it at once: it must not stand above pictures of what was open before."""
    path = tmp_path / "other.tif"
    tifffile.imwrite(path, np.full((40, 40), 100, dtype=np.uint8))
    order = []

    async def go():
        await settled()
        truth = next(p for p in ready.panes.panes if p.source == "truth")
        before = truth.canvas.pixels
        ready.windowTitleChanged.connect(lambda title: order.append((title, truth.canvas.pixels is before)))
        ready.session.data.changed.connect(lambda: order.append("told"))
        assert await ready.session.data.open(path)
        await until(lambda: "other.tif" in ready.windowTitle())

    drive(go())
    assert order[0] == "told"  # everybody has heard of it
    assert [was_there for _title, was_there in order[1:]] == [False]


def press_through_shortcuts(focused, key):
    """A key as the window system sends it: shortcuts of the window come first."""
    QTest.keyClick(focused.window().windowHandle(), key)


def test_f6_scrolls_to_what_it_gives_the_keyboard(ready, drive):
    drive(settled())
    area = next(a for a in ready.findChildren(QScrollArea) if a.isAncestorOf(ready.data.heading))
    bar = area.verticalScrollBar()
    bar.setValue(bar.maximum())
    ready.panes.active.canvas.setFocus()
    assert ready.data.heading.visibleRegion().isEmpty(), "it is scrolled away"
    way = []
    while ready.focusWidget() is not ready.data.heading:
        assert len(way) < len(ready.pages.currentWidget().regions)
        ready.act.previous_region.trigger()
        way.append(ready.focusWidget())
    setup = ready.reconstruct
    assert way == [
        setup.transport.first_focus,
        setup.adapt.toggle,
        *(s.heading for s in reversed(setup.sections) if s.isVisible()),
    ]
    assert ready.data.heading.visibleRegion().boundingRect() == ready.data.heading.rect()


def test_enter_presses_a_button_where_space_pauses(ready, drive):
    """Space is the window's key while there is a run; no button may be out of reach of the keyboard then."""
    drive(settled())
    heading = ready.data.heading
    heading.setFocus()
    spaces = []
    shortcut = QShortcut(Qt.Key.Key_Space, ready, activated=lambda: spaces.append(1))
    ready.act.pause.setShortcut("")
    try:
        for key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            opened = heading.isChecked()
            press_through_shortcuts(heading, key)
            assert heading.isChecked() is not opened
        assert not spaces
        press_through_shortcuts(heading, Qt.Key.Key_Space)
        assert spaces, "the shortcut is there"
    finally:
        ready.act.pause.setShortcut("Space")
        shortcut.deleteLater()


def test_space_never_begins_a_run(ready, drive):
    """Who pauses by Space may be late by a moment: the run has ended, and another one is not what was wanted."""
    session = ready.session
    drive(ran(ready))
    for button in [*ready.transport.buttons.values(), *ready.laboratory.page.controls.buttons.values()]:
        page(ready, "reconstruct" if ready.transport.isAncestorOf(button) else "a/b")
        button.setFocus()
        press_through_shortcuts(ready, Qt.Key.Key_Space)
        assert not session.run.active, button.text()
        assert not ready.laboratory.ab.active, button.text()
        assert not session.queue.items, button.text()
    page(ready, "reconstruct")
    session.method.set_solver_setting("steps", LONG)
    ready.transport.first_focus.setFocus()
    press_through_shortcuts(ready, Qt.Key.Key_Return)
    assert session.run.active
    press_through_shortcuts(ready, Qt.Key.Key_Escape)
    drive(ended(ready))


@pytest.mark.parametrize(
    ("key", "first", "typed"),
    [
        (Qt.Key.Key_L, lambda w: w.views.profile.ends["x₁"], lambda w: w.panes.tools.line.start[0]),
        (Qt.Key.Key_R, lambda w: w.views.regions.places["x"], lambda w: w.panes.tools.region.left),
        (Qt.Key.Key_E, lambda w: w.views.regions.places["x"], lambda w: w.panes.tools.region.left),
        (Qt.Key.Key_C, lambda w: w.reconstruct.crop.places["x"], lambda w: w.reconstruct.crop.region[0]),
    ],
    ids=["line", "rectangle", "ellipse", "crop"],
)
def test_a_tool_that_is_chosen_by_its_key_is_used_by_the_keyboard(ready, drive, key, first, typed):
    """There is something to see at once, and what is typed next goes where the tool wants numbers."""
    drive(settled())
    ready.panes.active.canvas.setFocus()
    press_through_shortcuts(ready, key)
    drive(until(lambda: ready.focusWidget() is first(ready)))
    tools = ready.panes.tools
    if key == Qt.Key.Key_L:
        (x0, y0), (x1, y1) = tools.line.start, tools.line.end
        assert y0 == y1
        assert x1 - x0 == ready.session.data.image.shape[1], "across the whole picture"
    elif key != Qt.Key.Key_C:
        assert tools.region.shape == ("rectangle" if key == Qt.Key.Key_R else "ellipse")
        assert tools.region.width > 1
    first(ready).selectAll()
    press_through_shortcuts(ready, Qt.Key.Key_7)
    press_through_shortcuts(ready, Qt.Key.Key_Return)
    assert typed(ready) == 7
    ready.panes.act.move.trigger()


def test_esc_leaves_what_is_being_typed_or_drawn_before_it_cancels_a_run(ready, drive):
    session, strip, views = ready.session, ready.reconstruct.crop, ready.problem.form.editors["views"]
    listed = ready.run_tools.list
    drive(ran(ready))
    session.method.set_solver_setting("steps", LONG)
    press(ready, "run")
    views.setFocus()
    before = views.value()
    press_through_shortcuts(ready, Qt.Key.Key_5)
    press_through_shortcuts(ready, Qt.Key.Key_Escape)
    assert (views.value(), views.text()) == (before, str(before))
    ready.panes.act.crop.trigger()
    strip.places["w"].setFocus()
    press_through_shortcuts(ready, Qt.Key.Key_Escape)
    assert not strip.isVisible()
    listed.filter.setFocus()
    listed.filter.setText("fast")
    press_through_shortcuts(ready, Qt.Key.Key_Escape)
    assert listed.filter.text() == ""
    assert session.run.state.active
    views.setFocus()
    press_through_shortcuts(ready, Qt.Key.Key_Escape)
    drive(until(lambda: not session.run.active))


def test_no_two_entries_of_a_menu_have_one_letter(ready):
    """Where two have, the letter chooses neither: it goes from one to the other."""
    tops = [action.menu() for action in ready.menuBar().actions()]
    queue = ready.session.queue
    for held in (False, True):
        queue.hold(held)
        for menu in (*tops, *(a.menu() for top in tops for a in top.actions() if a.menu())):
            texts = [a.text() for a in menu.actions() if a.isVisible() and "&" in a.text().replace("&&", "")]
            letters = [
                text.replace("&&", "")[text.replace("&&", "").index("&") + 1].lower() for text in texts
            ]
            assert len(set(letters)) == len(letters), (menu.title(), sorted(zip(letters, texts, strict=True)))
    assert all("&" in toggle.text() for toggle in ready.docks.toggles)  # panels are reached by two letters


@pytest.mark.parametrize("name", ["profile", "rectangle", "ellipse", "crop"])
def test_a_tool_that_is_clicked_leaves_the_keyboard_where_it_is(ready, drive, name):
    canvas = ready.panes.active.canvas
    canvas.setFocus()
    press(ready, f"view_{name}")
    drive(settled())
    assert ready.focusWidget() is canvas
    assert (ready.panes.tools.line, ready.panes.tools.region, ready.panes.tools.crop) == (None, None, None)
    ready.panes.act.move.trigger()


def test_arrow_keys_and_letters_belong_to_the_menu_bar_while_it_has_the_keyboard(ready):
    """Qt asks by such an event whether a key is a shortcut's: Right would be the next iterate, T the tiling."""
    bar = ready.menuBar()
    bar.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_T):
        asked = QKeyEvent(QEvent.Type.ShortcutOverride, key, Qt.KeyboardModifier.NoModifier)
        asked.ignore()
        QApplication.sendEvent(bar, asked)
        assert asked.isAccepted(), key
    asked = QKeyEvent(QEvent.Type.ShortcutOverride, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    asked.ignore()
    QApplication.sendEvent(bar, asked)
    assert not asked.isAccepted(), "Ctrl+R still runs"


def test_the_keyboard_comes_back_to_where_a_page_was_left(ready, drive):
    drive(settled())
    left = ready.transport.buttons["step"]
    left.setFocus()
    page(ready, "train")
    assert ready.focusWidget() is not left
    page(ready, "reconstruct")
    assert ready.focusWidget() is left


def region_of(window):
    return next(r for r in window.pages.currentWidget().regions if r.isAncestorOf(window.focusWidget()))


@pytest.mark.parametrize("name", ["pause", "finish", "cancel"])
def test_the_keyboard_stays_beside_a_button_that_goes_with_the_run(ready, drive, name):
    """It once went to the curves, across the window: Qt gives it to what Tab comes to next."""

    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        press(ready, "run")
        await until(lambda: ready.session.run.snapshot().step >= 1)
        ready.transport.buttons[name].setFocus()
        ready.session.run.cancel()
        await until(lambda: not ready.session.run.active and not ready.act.finish.isEnabled())
        await settled()
        assert region_of(ready) is ready.transport

    drive(go())


@pytest.mark.parametrize("name", ["pause", "finish", "cancel"])
def test_the_keyboard_comes_back_beside_a_button_that_went_while_another_page_was_in_front(
    ready, drive, name
):
    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        press(ready, "run")
        await until(lambda: ready.session.run.snapshot().step >= 1)
        ready.transport.buttons[name].setFocus()
        page(ready, "a/b")
        ready.session.run.cancel()
        await until(lambda: not ready.session.run.active)
        await settled()
        page(ready, "reconstruct")
        assert region_of(ready) is ready.transport

    drive(go())


def test_the_keyboard_stays_in_the_region_of_whatever_is_hidden_or_disabled(ready, drive):
    """Every control that Tab stops at, one after the other; with those around it, until none is left there."""
    drive(settled())
    for region in ready.pages.currentWidget().regions:
        controls = [w for w in focus.reading_order(region) if w.isVisible() and w.isEnabled()]
        for number, control in enumerate(controls[:-1]):
            control.setFocus()
            control.setEnabled(False) if number % 2 else control.hide()
            QApplication.processEvents()
            assert region_of(ready) is region, where_is(control)
            control.setEnabled(True)
            control.show()


def test_a_list_keeps_its_rows_whatever_page_was_in_front(ready, drive):
    drive(settled())
    ready.docks.bring(ready.run_tools.list_dock)
    QApplication.processEvents()
    before = ready.run_tools.list.height()
    for name in ("train", "a/b", "reconstruct"):
        page(ready, name)
        drive(settled())
    assert ready.run_tools.list.height() >= min(before, 90)


def test_f6_puts_the_keyboard_on_the_list_of_a_panel(ready, drive):
    drive(settled())
    ready.docks.bring(ready.run_tools.list_dock)
    QApplication.processEvents()
    ready.panes.active.canvas.setFocus()
    view = ready.run_tools.list.view
    for _ in ready.pages.currentWidget().regions:
        ready.act.next_region.trigger()
        if ready.run_tools.list.isAncestorOf(ready.focusWidget()):
            break
    assert ready.focusWidget() is view


# -- numbers that people read ---------------------------------------------------------------------------------


def test_pages_count_from_1_and_places_from_the_edge(window, drive, tmp_path, prior_path):
    path = tmp_path / "stack.tif"
    stack = np.stack([np.full((48, 64), v, dtype=np.int16) for v in (-500, 0, 500)])
    tifffile.imwrite(path, stack, photometric="minisblack")

    async def go():
        await open_both(window.session, path, prior_path)
        box = window.data.page
        assert (box.minimum(), box.value(), box.maximum()) == (1, 1, 3)
        assert box.text() == "page 1 of 3"
        await until(lambda: "page 1 of 3" in window.windowTitle())
        box.setValue(3)
        await until(lambda: window.session.data.image.page == 2)  # as recipes and the command line have it
        await until(lambda: "page 3 of 3" in window.windowTitle())
        window.act.slices.trigger()
        model = window.opening.slices
        sheet = next(d for d in window.findChildren(QDialog) if d.isVisible())
        assert sheet.view.model().index(0, 0).data() == "page 1"
        assert model.count == 3
        sheet.close()
        await until(lambda: window.session.preparation.prepared is not None)
        window.panes.point_at(0, 0)
        assert "x 0, y 0 px" in window.cursor_text.text()
        assert "64 × 48" in window.reconstruct.size_row.says.text()
        await delivered(window)

    drive(go())


def test_tiles_count_from_1(ready, drive):
    async def go():
        await ran(ready)
        ready.panes.point_at(0, 0)
        assert "tile 1 of " in ready.cursor_text.text()
        ready.laboratory.inspect.trigger()
        await settled()
        tile = ready.laboratory.tile.tile
        assert (tile.minimum(), tile.value()) == (1, 1)
        assert tile.maximum() == len(ready.laboratory.inspector.partition.boxes)
        tile.setValue(2)
        assert ready.laboratory.inspector.tile == 1
        await delivered(ready)

    drive(go())


# -- what is said on the pictures -----------------------------------------------------------------------------


def test_stale_pictures_say_so_themselves(ready, drive):
    drive(ran(ready))
    estimate, truth = pane(ready, "estimate"), pane(ready, "truth")
    badge = estimate.canvas.badge
    drive(until(lambda: not badge.isVisible()))  # panes are told a few at a time
    ready.session.method.set_solver_setting("steps", 4)
    drive(until(badge.isVisible))
    assert "Stale" in estimate.canvas.badge.text()
    assert not estimate.caption.isEnabled()
    assert not truth.canvas.badge.isVisible()  # it is the open image's still
    ready.panes.compare_with("wipe", "truth", "estimate")
    assert any("stale" in label.text() for label in ready.panes.compare.findChildren(QLabel))
    ready.panes.compare_with(None)
    ready.session.method.set_solver_setting("steps", 3)
    drive(until(lambda: not badge.isVisible()))


def test_missing_pixels_are_marked_as_soon_as_the_problem_is_prepared(ready, drive):
    session = ready.session

    async def go():
        truth = pane(ready, "truth")
        assert truth.canvas.layer.missing is None
        session.method.set_physics("inpainting")
        await until(lambda: ready.mask_editor.marked is not None)
        missing = ready.mask_editor.marked
        assert 0 < missing.mean() < 1
        ready.panes.panes[1].show_source("measurement")
        await settled()
        for each in (truth, pane(ready, "measurement")):
            assert np.array_equal(each.canvas.layer.missing, missing)
        assert pane(ready, "estimate").canvas.layer.missing is None
        ready.panes.act.mask.trigger()  # while another one is painted, its own film is seen and nothing else
        assert truth.canvas.layer.missing is None
        ready.panes.act.move.trigger()
        assert truth.canvas.layer.missing is not None
        session.method.set_physics("ct-parallel")
        await until(lambda: ready.mask_editor.marked is None)
        await settled()
        assert truth.canvas.layer.missing is None
        await delivered(ready)

    drive(go())


def test_an_empty_plot_says_what_comes_and_draws_no_axes(ready, drive):
    for dock in ready.docks.all:
        ready.docks.bring(dock)
        drive(settled())
        check_plots(ready)
    for name in ("a/b", "train"):
        page(ready, name)
        drive(settled())
        check_plots(ready)


def check_plots(window):
    for plot in window.findChildren(Plot):
        if plot.isVisible() and not plot.names:
            assert plot.empty.isVisible(), plot.accessibleName()
            assert len(plot.empty.text()) > 8, plot.accessibleName()
            assert plot._view is None or not plot._view.isVisible(), plot.accessibleName()


def test_icons_are_all_of_one_family(ready):
    """Every icon of a button is drawn here, in the colours of the scheme; none comes from the style."""
    for bar in ready.findChildren(QToolBar):
        for action in bar.actions():
            if not action.icon().isNull():
                assert isinstance(action.icon(), type(theme.icon("run")))

    for source in Path(gui.__file__).parent.rglob("*.py"):
        assert "standardIcon" not in source.read_text(encoding="utf-8"), source.name
