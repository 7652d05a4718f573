"""What panels are made of: layouts, labels, buttons, sections that fold, and numbers in words, each in one call."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from PySide6.QtCore import QObject, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAction, QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLayoutItem,
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

from padis_gui.gui.kit.theme import MARKS, RUN_BUTTON

_Margins = tuple[int, int, int, int]
_NONE: _Margins = (0, 0, 0, 0)
_WIDEST_LABEL, _BESIDE_LABEL = "Highest noise σ_max", 6  # px between a label and its field


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


class Rows(QFormLayout):
    """Rows of label and field. Labels are as wide here as in every other form, so that the fields of all sections
    of a column stand below each other; a longer label takes two lines.
    """

    def addRow(self, *parts: Any) -> None:
        super().addRow(*parts)
        item = self.itemAt(self.rowCount() - 1, QFormLayout.ItemRole.LabelRole)
        label = None if item is None else item.widget()
        if isinstance(label, QLabel):
            label.setWordWrap(True)
            label.setFixedWidth(label_width(label))


def label_width(widget: QWidget) -> int:
    """px that the labels of forms are wide: as the longest of those that are often seen."""
    return widget.fontMetrics().horizontalAdvance(_WIDEST_LABEL) + 1


def form(parent: QWidget | None = None, *, spacing: int = 4) -> Rows:
    """Rows of label and editor, without margins."""
    layout = Rows() if parent is None else Rows(parent)
    layout.setVerticalSpacing(spacing)
    layout.setHorizontalSpacing(_BESIDE_LABEL)
    layout.setContentsMargins(*_NONE)
    return layout


class Flow(QLayout):
    """Widgets beside each other, in as many lines as the width asks for: a bar of many never makes a panel wide.

    Those that a line has room for are as wide as they want; what is left over belongs to texts that are cut.
    """

    def __init__(self, parent: QWidget | None = None, *, spacing: int = 4, margins: _Margins = _NONE) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setSpacing(spacing)
        self.setContentsMargins(*margins)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation.Horizontal

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), really=False)

    def minimumSize(self) -> QSize:
        shown = [item.minimumSize() for item in self._items if not item.isEmpty()]
        size = QSize(
            max((size.width() for size in shown), default=0),
            max((size.height() for size in shown), default=0),
        )
        return size.grownBy(self.contentsMargins())

    def sizeHint(self) -> QSize:
        """All in one line."""
        shown = [_wanted(item) for item in self._items if not item.isEmpty()]
        wide = sum(size.width() for size in shown) + self.spacing() * max(0, len(shown) - 1)
        high = max((size.height() for size in shown), default=0)
        return QSize(wide, high).grownBy(self.contentsMargins())

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, really=True)

    def _place(self, rect: QRect, *, really: bool) -> int:
        """The height that the lines take in this width; with ``really`` they go there."""
        inside = rect.marginsRemoved(self.contentsMargins())
        lines: list[list[tuple[QLayoutItem, QSize]]] = [[]]
        taken = 0
        for item in self._items:
            if item.isEmpty():
                continue
            size = _wanted(item)
            if lines[-1] and taken + size.width() > inside.width():
                lines.append([])
                taken = 0
            lines[-1].append((item, size))
            taken += size.width() + self.spacing()
        y = inside.y()
        for line in lines:
            height = max((size.height() for _, size in line), default=0)
            if really:
                self._place_line(line, QRect(inside.x(), y, inside.width(), height))
            y += height + self.spacing()
        return y - self.spacing() - rect.y() + self.contentsMargins().bottom()

    def _place_line(self, line: Sequence[tuple[QLayoutItem, QSize]], rect: QRect) -> None:
        free = rect.width() - sum(size.width() for _, size in line) - self.spacing() * max(0, len(line) - 1)
        greedy = [item for item, _ in line if _is_cut(item)]
        x = rect.x()
        for item, size in line:
            width = min(size.width(), rect.width()) + (max(0, free) // len(greedy) if item in greedy else 0)
            item.setGeometry(QRect(x, rect.y() + (rect.height() - size.height()) // 2, width, size.height()))
            x += width + self.spacing()


def _is_cut(item: QLayoutItem) -> bool:
    """Whether it takes whatever width there is."""
    widget = item.widget()
    return widget is not None and widget.sizePolicy().horizontalPolicy() is QSizePolicy.Policy.Ignored


def _wanted(item: QLayoutItem) -> QSize:
    size = item.sizeHint().expandedTo(item.minimumSize()).boundedTo(item.maximumSize())
    return QSize(item.minimumSize().width(), size.height()) if _is_cut(item) else size


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


def allow(control: QWidget | QAction, why_not: str) -> None:
    """Enable a button or an action; or disable it, with the reason behind its tooltip for as long."""
    own = control.property("own_tip")
    if own is None:
        own = control.toolTip()
        control.setProperty("own_tip", own)
    control.setEnabled(not why_not)
    control.setToolTip(f"{own}\n{why_not}" if why_not else own)


class Mark(Enum):
    """Which run a field acts on, while one is under way; the value is what its tooltip adds."""

    NONE = ""
    NOW = "Acts at the next iterate of the running solver."
    NEXT = "For the next run: the running one has another."


class MarkedLabel(QLabel):
    """A field's label with room for a mark behind the text: a dot acts now, a ring is for the next run."""

    _SIDE = 7

    def __init__(self, text: str, buddy: QWidget) -> None:
        super().__init__(text)
        self.setBuddy(buddy)
        self.setContentsMargins(0, 0, self._SIDE + 3, 0)
        self._own = "", ""  # the tooltips of label and field, without the mark's
        self.mark = Mark.NONE

    def show_mark(self, mark: Mark) -> None:
        """Show this mark from now on, and say in the tooltips what it means."""
        if mark is self.mark:
            return
        field = self.buddy()
        if self.mark is Mark.NONE:
            self._own = self.toolTip(), field.toolTip()
        self.mark = mark
        for widget, tip in zip((self, field), self._own, strict=True):
            widget.setToolTip(f"{tip}\n{mark.value}" if mark.value else tip)
        field.setAccessibleDescription(mark.value)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.mark is Mark.NONE:
            return
        painter, side = QPainter(self), self._SIDE
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(MARKS[self.mark is Mark.NOW])
        painter.setPen(QPen(colour, 1.6))
        painter.setBrush(colour if self.mark is Mark.NOW else Qt.BrushStyle.NoBrush)
        left = min(self.fontMetrics().horizontalAdvance(self.text()) + 3, self.width() - side - 1)
        painter.drawEllipse(QRectF(left, (self.height() - side) / 2, side, side))


def labelled(rows: QFormLayout, label: str, editor: QWidget, tooltip: str) -> MarkedLabel:
    """A row of a form: an editor with its label, which is returned, tooltip and accessible name."""
    text = MarkedLabel(label, editor)
    for widget in (text, editor):
        widget.setToolTip(tooltip)
    editor.setAccessibleName(label)
    rows.addRow(text, editor)
    return text


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
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it scrolls to the control that has the keyboard
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    return area


def below(stacked: QVBoxLayout, *parts: QWidget) -> None:
    """Parts under what scrolls in a column whose width is given: they wrap their words at that width, whatever they want.

    Qt asks a part how tall it is at the width that it wants at least, and were that more than the column has, lines that
    wrap would get their height from the buttons around them.
    """
    for part in parts:
        part.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        stacked.addWidget(part)


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
        self.body: QVBoxLayout = column(self.content, spacing=4, margins=(4, 0, 0, 4))
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
