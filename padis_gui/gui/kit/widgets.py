"""What panels are made of: layouts, labels, buttons, sections that fold, and numbers in words, each in one call."""

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyleOption,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QSignalDebouncer, QSignalThrottler

from padis_gui.gui.kit.theme import RUN_BUTTON

_Margins = tuple[int, int, int, int]
_NONE: _Margins = (0, 0, 0, 0)


def column(parent: QWidget | None = None, *, spacing: int = 0, margins: _Margins = _NONE) -> QVBoxLayout:
    """A vertical layout; margins are left, top, right, bottom."""
    layout = QVBoxLayout() if parent is None else QVBoxLayout(parent)
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def row(parent: QWidget | None = None, *, spacing: int = 4, margins: _Margins = _NONE) -> QHBoxLayout:
    """A horizontal layout."""
    layout = QHBoxLayout() if parent is None else QHBoxLayout(parent)
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def grid(parent: QWidget | None = None, *, spacing: int = 4, margins: _Margins = _NONE) -> QGridLayout:
    layout = QGridLayout() if parent is None else QGridLayout(parent)
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def form(parent: QWidget | None = None, *, spacing: int = 4) -> QFormLayout:
    """Rows of label and editor, without margins."""
    layout = QFormLayout() if parent is None else QFormLayout(parent)
    layout.setVerticalSpacing(spacing)
    layout.setContentsMargins(*_NONE)
    return layout


def small_button(text: str, tip: str, do: Callable[[], object]) -> QToolButton:
    """A button as wide as its text, where a push button would make a panel too wide for a small screen."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    button.clicked.connect(lambda _checked=False: do())
    return button


def push_button(text: str, tip: str, do: Callable[[], object] | None = None) -> QPushButton:
    """A button with its tooltip; ``do`` is called when it is pressed."""
    button = QPushButton(text)
    button.setToolTip(tip)
    if do is not None:
        button.clicked.connect(lambda _checked=False: do())
    return button


def action_button(action: QAction) -> QToolButton:
    """A flat button for an action, which says what it is called to a screen reader."""
    button = QToolButton(autoRaise=True)
    button.setDefaultAction(action)
    button.setAccessibleName(action.iconText())
    button.setObjectName(f"{action.objectName()}_button")
    return button


def steering_button(name: str, action: QAction | None = None, *, main: bool = False) -> QToolButton:
    """A button that steers a run, as wide as its cell; the ``main`` one is green, with its text beside its icon."""
    button = QToolButton()
    if action is not None:
        button.setDefaultAction(action)
    button.setObjectName(f"{name}_button")
    button.setToolButtonStyle(
        Qt.ToolButtonStyle.ToolButtonTextBesideIcon if main else Qt.ToolButtonStyle.ToolButtonTextUnderIcon
    )
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    if main:
        button.setStyleSheet(RUN_BUTTON)
    return button


def progress_bar(name: str, tip: str) -> QProgressBar:
    """How far something is; empty at first."""
    bar = QProgressBar(textVisible=True, minimum=0, maximum=1)
    bar.setAccessibleName(name)
    bar.setToolTip(tip)
    return bar


def button_row(*buttons: QWidget, before: QWidget | None = None) -> QHBoxLayout:
    """Buttons at the right end of a row, after what may stand before them."""
    layout = row(spacing=6)
    if before is None:
        layout.addStretch(1)
    else:
        layout.addWidget(before, 1)
    for button in buttons:
        layout.addWidget(button)
    return layout


def muted(text: str = "", parent: QWidget | None = None, **properties: Any) -> QLabel:
    """A grey label; ``properties`` are those of a QLabel, such as ``wordWrap``."""
    label = QLabel(text, parent, **properties)
    label.setProperty("muted", True)
    return label


def remark(text: str = "") -> QLabel:
    """A grey remark of several lines that can be copied."""
    label = muted(text, wordWrap=True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def labelled(rows: QFormLayout, label: str, editor: QWidget, tooltip: str) -> None:
    """A row of a form: an editor with its label, tooltip and accessible name."""
    text = QLabel(label)
    text.setBuddy(editor)
    for widget in (text, editor):
        widget.setToolTip(tooltip)
    editor.setAccessibleName(label)
    rows.addRow(text, editor)


def value_cells(names: Mapping[str, tuple[str, str]]) -> tuple[QWidget, dict[str, QLabel]]:
    """Names side by side, each with its value below: for each key its name and tooltip. The values are labels."""
    box, values = QWidget(), {}
    cells = grid(box, spacing=2)
    for index, (key, (name, tip)) in enumerate(names.items()):
        head, value = muted(name), QLabel("–")
        for line, label in enumerate((head, value)):
            label.setToolTip(tip)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            cells.addWidget(label, line, index)
        values[key] = value
    return box, values


def scrolled(content: QWidget) -> QScrollArea:
    """A column that scrolls up and down where it is too tall."""
    area = QScrollArea(widgetResizable=True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    return area


def throttled(owner: QObject, milliseconds: int, do: Callable[[], object]) -> QSignalThrottler:
    """Its ``throttle`` asks for ``do``, which is called at most once in so many milliseconds, and after the last."""
    made = QSignalThrottler(QSignalThrottler.EmissionPolicy.Trailing, owner)
    made.setTimeout(milliseconds)
    made.triggered.connect(do)
    return made


def debounced(owner: QObject, milliseconds: int, do: Callable[[], object]) -> QSignalDebouncer:
    """Its ``throttle`` asks for ``do``, which is called once nobody has asked for so many milliseconds."""
    made = QSignalDebouncer(QSignalDebouncer.EmissionPolicy.Trailing, owner)
    made.setTimeout(milliseconds)
    made.triggered.connect(do)
    return made


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def number_text(value: float) -> str:
    """A number with a true minus sign."""
    return f"{value:g}".replace("-", "−")


class ElidedLabel(QLabel):
    """One line; the whole text is its tooltip.

    Unlike superqt's label it keeps its contents margins, follows its font, and tells a screen reader the whole text.
    """

    def __init__(self, text: str = "", *, muted: bool = False) -> None:
        super().__init__(text)
        self.setProperty("muted", muted)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setTextFormat(Qt.TextFormat.PlainText)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def setText(self, text: str) -> None:
        if text != self.text():
            super().setText(text)
            self.setToolTip(text)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QPainter(self), QStyleOption()
        option.initFrom(self)
        shown = QFontMetrics(self.font()).elidedText(
            self.text(), Qt.TextElideMode.ElideRight, self.contentsRect().width()
        )
        self.style().drawItemText(
            painter, self.contentsRect(), int(self.alignment()), option.palette, self.isEnabled(), shown,
            self.foregroundRole(),
        )  # fmt: skip


class Section(QWidget):
    """A heading and a body. Folded, the heading is followed by ``brief``: what the body holds, in a line.

    superqt's QCollapsible has no such line, hides where the keyboard is, and cuts bodies whose texts wrap anew.
    """

    folded = Signal(bool)

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.heading = QToolButton(autoRaise=True)
        self.heading.setCheckable(True)
        self.heading.setChecked(True)
        self.heading.setText(title)
        self.heading.setProperty("heading", True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setAccessibleName(f"Section {title}")
        self.heading.setToolTip(f"Fold or unfold the section {title}")
        self.brief = muted()
        # as narrow as it must be: a long one is cut, and never widens the column
        self.brief.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.content = QWidget()
        self.body: QVBoxLayout = column(self.content, spacing=4, margins=(6, 0, 0, 4))
        top = row(spacing=6)
        top.addWidget(self.heading)
        top.addWidget(self.brief, 1)
        top.addStretch(0)
        layout = column(self)
        layout.addLayout(top)
        layout.addWidget(self.content)
        self.heading.toggled.connect(self._show_body)
        self._show_body(True)

    def fold(self, folded: bool) -> None:
        """Hide or show the body."""
        self.heading.setChecked(not folded)

    @property
    def is_folded(self) -> bool:
        """Whether the body is hidden."""
        return not self.heading.isChecked()

    def _show_body(self, shown: bool) -> None:
        self.heading.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self.content.setVisible(shown)
        self.brief.setVisible(not shown)
        self.folded.emit(not shown)
