"""Pictures whose every pixel is known, and what the canvas makes of them."""

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt, QTimer
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from tests import waiting

ROWS, COLUMNS = 40, 60


def ramp(scale=1.0, offset=0.0, rows=ROWS, columns=COLUMNS):
    """offset + scale * (row * columns + column): no two pixels alike."""
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    return (offset + scale * values).astype(np.float32)


def flat(value, rows=ROWS, columns=COLUMNS):
    """One value everywhere."""
    return np.full((rows, columns), value, dtype=np.float32)


def settle():
    """Let layouts, and timers that go off once, do what they are about to."""
    wait_for(lambda: not any(timer.isActive() for timer in _single_shots()))
    for _ in range(4):
        QApplication.processEvents()


def _single_shots():
    return [
        timer
        for widget in QApplication.topLevelWidgets()
        for timer in widget.findChildren(QTimer)
        if timer.isSingleShot()
    ]


def wait_for(condition):
    """Let events pass until the condition holds."""
    waiting.wait_for(condition, QApplication.processEvents)


def place_of(canvas, x, y):
    """Where a point of the image lies on the canvas' viewport."""
    return canvas.mapFromScene(canvas.box.mapViewToScene(QPointF(x, y)))


def click_at(plot, x):
    """Click at a place on the horizontal axis of a plot, at half its height."""
    view = plot.view
    at = view.mapFromScene(view.box.mapViewToScene(QPointF(x, view.box.viewRect().center().y())))
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)


def hover_at(plot, x):
    """Move the mouse over a place on the horizontal axis of a plot, at half its height."""
    view = plot.view
    at = view.mapFromScene(view.box.mapViewToScene(QPointF(x, view.box.viewRect().center().y())))
    _move(view.viewport(), at, Qt.MouseButton.NoButton)


def colour_at(canvas, x, y):
    """The colour that is seen at a point of the image."""
    settle()
    return QColor(QWidget.grab(canvas).toImage().pixel(place_of(canvas, x, y)))


def drag(canvas, start, end, steps=6, button=Qt.MouseButton.LeftButton):
    """Drag with the mouse from one point of the image to another, as a hand would: in several moves."""
    places = [
        place_of(canvas, *(a + (b - a) * i / steps for a, b in zip(start, end, strict=True)))
        for i in range(steps + 1)
    ]
    viewport = canvas.viewport()
    QTest.mouseMove(viewport, places[0])
    QTest.mousePress(viewport, button, pos=places[0])
    for place in places[1:]:
        _move(viewport, place, button)
        settle()
    QTest.mouseRelease(viewport, button, pos=places[-1])
    settle()


def hover(canvas, x, y):
    """Move the mouse over a point of the image."""
    _move(canvas.viewport(), place_of(canvas, x, y), Qt.MouseButton.NoButton)
    settle()


def _move(viewport, place, buttons):
    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(place), QPointF(viewport.mapToGlobal(place)), Qt.MouseButton.NoButton, buttons,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QApplication.sendEvent(viewport, event)
