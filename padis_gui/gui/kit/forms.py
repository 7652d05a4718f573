"""Forms made from declared settings, and their fields.

Fields of a form: numbers and choices that leave the wheel and the window's keys alone.

A field in a column that scrolls must not change because the wheel turns over it; and a number has no use for a
letter, so that the window's one-letter keys work while a number is being edited.

A form made from declared settings: one row each, everything in it from the declaration.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPalette, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QStylePainter,
    QToolButton,
    QWidget,
)

from padis_gui.core.settings.declarations import Settings, SettingSpec, specs
from padis_gui.gui.kit.files import ANY_FILE, choose_to_open
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import Mark, MarkedLabel, column, form, row

if TYPE_CHECKING:

    class _Widget(QWidget): ...

else:
    _Widget = object


_OF_WHOLE_NUMBERS = "0123456789+-"
_OF_NUMBERS = f"{_OF_WHOLE_NUMBERS}.,eE"
_ROUND_CHOICE = 6  # px around a choice that is explained
_Index = QModelIndex | QPersistentModelIndex
_SHORTEST_NUMBER = 8  # letters, the arrows among them
_SHORTEST_CHOICE, _NARROWEST_CHOICE = 7, 80  # letters that a choice asks for; px that it makes do with


class LeavesWheel(_Widget):
    """The wheel turns over a field that does not have the keyboard: whatever it lies in scrolls."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _TakesNumbers(LeavesWheel):
    """Leaves the keys alone that a number could not take: letters, and the space bar.

    Qt would have it wide enough for every number that it may take; it is as narrow as its column.
    """

    taken = _OF_NUMBERS

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return QSize(
            min(hint.width(), self.fontMetrics().averageCharWidth() * _SHORTEST_NUMBER), hint.height()
        )

    def event(self, event: QEvent) -> bool:
        box: Any = self
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape and box.lineEdit().isModified():
            event.accept()  # what is typed is taken back; the window's Cancel is for the next Esc
            if event.type() is QEvent.Type.KeyPress:
                box.setValue(box.value())
                box.selectAll()
            return True
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = event.modifiers() in (
                Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
            )  # fmt: skip
            if plain and event.text().isprintable() and event.text() and event.text() not in self.taken:
                event.ignore()
                return False
        return super().event(event)


class WholeBox(_TakesNumbers, QSpinBox):
    """A whole number; takes what is typed when it is finished."""

    taken = _OF_WHOLE_NUMBERS

    def __init__(self, minimum: int = 0, maximum: int = 99, *, prefix: str = "", suffix: str = "") -> None:
        super().__init__(minimum=minimum, maximum=maximum, prefix=prefix, suffix=suffix)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)


class NumberBox(_TakesNumbers, QDoubleSpinBox):
    """Shows 0.005 and 180, not 180.000000; takes what is typed when it is finished; steps by its magnitude."""

    def __init__(self, minimum: float = -1e9, maximum: float = 1e9) -> None:
        super().__init__(minimum=minimum, maximum=maximum, decimals=6)
        self.setKeyboardTracking(False)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def textFromValue(self, value: float) -> str:
        return self.locale().toString(value, "g", 6)


class Slider(LeavesWheel, QSlider):
    """A slider that leaves the wheel to whatever scrolls around it."""


class _Explained(QStyledItemDelegate):
    """A choice, and under it in grey what it is: the tooltip of its item, one line."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        hint = super().sizeHint(option, index)
        said = option.fontMetrics.horizontalAdvance(str(index.data(Qt.ItemDataRole.ToolTipRole) or ""))
        return QSize(
            max(hint.width(), said + 2 * _ROUND_CHOICE), 2 * option.fontMetrics.height() + _ROUND_CHOICE
        )

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        self.initStyleOption(option, index)
        text, option.text = option.text, ""
        style = option.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        name = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        said = name if chosen else QPalette.ColorRole.PlaceholderText
        inside = option.rect.adjusted(_ROUND_CHOICE, _ROUND_CHOICE // 2, -_ROUND_CHOICE, -_ROUND_CHOICE // 2)
        upper, lower = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        painter.save()
        for role, where, line in (
            (name, upper, text), (said, lower, str(index.data(Qt.ItemDataRole.ToolTipRole) or ""))
        ):  # fmt: skip
            painter.setPen(option.palette.color(role))
            painter.drawText(inside, where | Qt.AlignmentFlag.AlignLeft, line)
        painter.restore()


class ChoiceBox(LeavesWheel, QComboBox):
    """As narrow as its column: a choice that is longer is cut with an ellipsis, and whole in the list.

    ``unfolding`` comes before the list is shown: what is offered may be brought up to date.
    """

    unfolding = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(_SHORTEST_CHOICE)

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), _NARROWEST_CHOICE), hint.height())

    def explain_choices(self) -> None:
        """Say under each choice of the list, in a line, what it is; the tips they were offered with."""
        self.setItemDelegate(_Explained(self))

    def showPopup(self) -> None:
        """The list is wide enough for its longest choice, however narrow the field is."""
        self.unfolding.emit()
        self.view().setMinimumWidth(self.view().sizeHintForColumn(0) + 2 * self.view().frameWidth())
        super().showPopup()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        style = self.style()
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        if not self.currentText():
            option.currentText = self.placeholderText()
            option.palette.setBrush(QPalette.ColorRole.ButtonText, option.palette.placeholderText())
        room = field.width() - (0 if option.currentIcon.isNull() else option.iconSize.width() + 4)
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def offer(self, label: str, value: object, tip: str = "") -> None:
        """One more choice."""
        self.addItem(label, value)
        self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)


_INT_LIMIT = 2**31 - 1


def _int_box(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    box = WholeBox()
    low = int(spec.minimum) if spec.minimum is not None else -_INT_LIMIT
    high = int(min(spec.maximum, _INT_LIMIT)) if spec.maximum is not None else _INT_LIMIT
    if spec.optional:
        low -= 1
        box.setSpecialValueText("automatic")
    box.setRange(low, high)
    box.valueChanged.connect(lambda value: changed(None if spec.optional and value == low else value))
    return box


def _float_box(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    box = NumberBox()
    smallest = spec.minimum if spec.minimum is not None else -1e9
    if spec.optional:  # one step below what is allowed stands for None
        smallest -= 1.0
        box.setSpecialValueText("automatic")
    box.setRange(smallest, spec.maximum if spec.maximum is not None else 1e9)
    box.valueChanged.connect(lambda value: changed(None if spec.optional and value == smallest else value))
    return box


def _choice_box(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    box = ChoiceBox()
    for choice in spec.choices:
        box.addItem(str(choice), choice)
    box.currentIndexChanged.connect(lambda index: changed(box.itemData(index)))
    return box


def _check_box(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    box = QCheckBox()
    box.toggled.connect(changed)
    return box


def _numbers_line(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    line = QLineEdit(placeholderText="automatic" if not spec.default else "")
    line.editingFinished.connect(
        lambda: changed([part.strip() for part in line.text().split(",") if part.strip()])
    )
    return line


class FileLine(QWidget):
    """The path of a file, typed or chosen."""

    chosen = Signal(str)

    def __init__(self, label: str, tooltip: str) -> None:
        super().__init__()
        self.line = QLineEdit(placeholderText="none")
        self.line.setAccessibleName(label)
        self.button = QToolButton()
        self.button.setIcon(icon("menu"))
        self.button.setAccessibleName(f"Choose {label}")
        self.line.setToolTip(tooltip)
        self.button.setToolTip(f"Choose the {label.lower()} in a dialog")
        self.setFocusProxy(self.line)
        layout = row(self)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.button)
        self.line.editingFinished.connect(lambda: self.chosen.emit(self.line.text().strip()))
        self.button.clicked.connect(
            lambda: choose_to_open(self, label, ANY_FILE, lambda path: self.chosen.emit(str(path)))
        )


def _file_line(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    editor = FileLine(spec.label, spec.tooltip)
    editor.chosen.connect(changed)
    return editor


def _text_line(spec: SettingSpec, changed: Callable[[Any], None]) -> QWidget:
    line = QLineEdit(placeholderText="automatic" if not spec.default else "")
    line.editingFinished.connect(lambda: changed(line.text().strip()))
    return line


_MAKERS = {
    "int": _int_box,
    "float": _float_box,
    "choice": _choice_box,
    "bool": _check_box,
    "numbers": _numbers_line,
    "text": _text_line,
    "file": _file_line,
}


def show_value(widget: QWidget, value: Any) -> None:
    """Put a value into an editor without announcing it."""
    with QSignalBlocker(widget):
        match widget:
            case QCheckBox():
                widget.setChecked(bool(value))
            case QComboBox():
                widget.setCurrentIndex(widget.findData(value))
            case QSpinBox():
                widget.setValue(widget.minimum() if value is None else int(value))
            case QDoubleSpinBox():
                widget.setValue(widget.minimum() if value is None else float(value))
            case QLineEdit():
                widget.setText(value if isinstance(value, str) else ", ".join(f"{v:g}" for v in value))
            case FileLine():
                widget.line.setText(str(value))


class SettingsForm(QWidget):
    """Edits one settings class; emits (name, value) and shows what it is told."""

    edited = Signal(str, object)

    def __init__(
        self, settings_type: type[Settings], skip: tuple[str, ...] = (), basic: tuple[str, ...] | None = None
    ) -> None:
        """``basic`` settings stay unfolded, all others are folded away; by default the declarations say which."""
        super().__init__()
        self._basic_names = basic
        self.editors: dict[str, QWidget] = {}
        self._specs: dict[str, SettingSpec] = {}
        self.labels: dict[str, MarkedLabel] = {}
        self._shown: Settings | None = None
        layout = column(self, spacing=4)
        self._basic, self._folded = QWidget(), QWidget()
        self._rows = {False: form(self._basic), True: form(self._folded)}
        for spec in specs(settings_type):
            if spec.name not in skip and spec.kind in _MAKERS:
                self._add(spec)
        self.more = QToolButton(autoRaise=True)
        self.more.setText("More settings")
        self.more.setToolTip("Show or hide the settings that are seldom changed")
        self.more.setCheckable(True)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.toggled.connect(self._unfold)
        self._folded.hide()
        layout.addWidget(self._basic)
        layout.addWidget(self.more)
        layout.addWidget(self._folded)
        self.more.setVisible(self._rows[True].rowCount() > 0)

    def _add(self, spec: SettingSpec) -> None:
        editor = _MAKERS[spec.kind](spec, partial(self.edited.emit, spec.name))
        editor.setToolTip(spec.tooltip)
        editor.setAccessibleName(spec.label)
        editor.setObjectName(spec.name)
        if isinstance(editor, QSpinBox | QDoubleSpinBox) and spec.unit:
            editor.setSuffix(f" {spec.unit}")
        label = MarkedLabel(f"{spec.label} {spec.symbol}".strip(), editor)
        label.setToolTip(spec.tooltip)
        self._rows[self._folds(spec)].addRow(label, editor)
        self.editors[spec.name], self.labels[spec.name] = editor, label
        self._specs[spec.name] = spec

    def _folds(self, spec: SettingSpec) -> bool:
        """Whether a setting is folded away."""
        return spec.advanced if self._basic_names is None else spec.name not in self._basic_names

    def _unfold(self, unfolded: bool) -> None:
        self._folded.setVisible(unfolded)
        self.more.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)

    def show_settings(self, settings: Settings, without: tuple[str, ...] = ()) -> None:
        """Show these values without announcing them, and only the rows that mean something beside them.

        Those ``without`` a meaning for another reason, by name, are left out too.
        """
        unfoldable, self._shown = False, settings
        for name, editor in self.editors.items():
            spec = self._specs[name]
            applies = spec.applies(settings) and name not in without
            show_value(editor, getattr(settings, name))
            self._rows[self._folds(spec)].setRowVisible(editor, applies)
            unfoldable |= applies and self._folds(spec)
        self.more.setVisible(unfoldable)
        self._folded.setVisible(unfoldable and self.more.isChecked())

    def set_running(self, running: Settings | None, acting: Collection[str] = ()) -> None:
        """Mark the fields while a run with the settings ``running`` is under way; None: without one, or of another kind.

        Those that are ``acting`` reach that run; the others are for the next one, once they differ from it.
        """
        for name, label in self.labels.items():
            if running is None:
                mark = Mark.NONE
            elif name in acting:
                mark = Mark.NOW
            else:
                mark = next_if(getattr(self._shown, name) != getattr(running, name))
            label.show_mark(mark)


def next_if(differs: bool) -> Mark:
    """The mark of a field that never acts on the run under way."""
    return Mark.NEXT if differs else Mark.NONE
