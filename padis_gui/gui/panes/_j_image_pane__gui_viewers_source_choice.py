"""Choosing one of the gallery's sources: a list under headings that all choices share."""

from PySide6.QtCore import QObject, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy, QStyle, QStyleOptionComboBox

from padis_gui.viewmodels.pictures.pictures import Gallery
from padis_gui.viewmodels.pictures.sources import PaneSource

FALLBACK = "estimate"
_KEY = Qt.ItemDataRole.UserRole


class SourceModel(QStandardItemModel):
    """The gallery's sources under their headings; ``renewed`` comes after they have changed."""

    renewed = Signal()
    settled = Signal()  # after every choice has found its source again, or another

    def __init__(self, gallery: Gallery, parent: QObject) -> None:
        super().__init__(parent)
        self._gallery = gallery
        self._keys: list[str] = []
        gallery.listed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        sources = list(self._gallery.sources)
        keys = [source.key for source in sources]
        if keys != self._keys:
            self._keys = keys
            self._make(sources)
        labels = {source.key: source for source in sources}
        for row in range(self.rowCount()):
            item = self.item(row)
            source = labels.get(item.data(_KEY))
            if source is not None and item.text() != source.label:
                item.setText(source.label)
                item.setToolTip(source.help)
        self.renewed.emit()
        self.settled.emit()

    def _make(self, sources: list[PaneSource]) -> None:
        self.clear()
        heading = None
        for source in sources:
            if source.origin is not heading:
                heading = source.origin
                item = QStandardItem(heading.value)
                item.setFlags(Qt.ItemFlag.NoItemFlags)
                font = item.font()
                font.setBold(True)
                item.setFont(font)
                self.appendRow(item)
            item = QStandardItem(source.label)
            item.setData(source.key, _KEY)
            item.setToolTip(source.help)
            self.appendRow(item)


class SourceChoice(QComboBox):
    """``chosen`` carries the key of another source: the user has picked it, or the one before is gone.

    The wheel is for zooming, not for this.
    """

    chosen = Signal(str)

    def __init__(self, model: SourceModel, key: str, name: str) -> None:
        super().__init__()
        self.key, self._lost = key, False
        self.setModel(model)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMaxVisibleItems(24)
        self.view().setMinimumWidth(230)
        model.renewed.connect(self._reselect)
        model.settled.connect(self._say_loss)
        self.activated.connect(self._choose)
        self._reselect()

    def select(self, key: str) -> None:
        """Show this source as the chosen one."""
        self.key = key
        self._reselect()

    def _reselect(self) -> None:
        if self.findData(self.key) < 0:
            self.key, self._lost = FALLBACK, True
        with QSignalBlocker(self):
            self.setCurrentIndex(self.findData(self.key))
        self.updateGeometry()
        self.setToolTip(str(self.currentData(Qt.ItemDataRole.ToolTipRole) or "What is shown here"))

    def _say_loss(self) -> None:
        if self._lost:
            self._lost = False
            self.chosen.emit(self.key)

    def sizeHint(self) -> QSize:
        """As wide as the chosen name, however long the others are."""
        hint, option = super().sizeHint(), QStyleOptionComboBox()
        self.initStyleOption(option)
        text = self.fontMetrics().size(0, self.currentText())
        wanted = self.style().sizeFromContents(QStyle.ContentsType.CT_ComboBox, option, text, self)
        return QSize(wanted.width() + 8, hint.height())

    def _choose(self, index: int) -> None:
        key = self.itemData(index)
        if isinstance(key, str) and key != self.key:
            self.select(key)
            self.chosen.emit(key)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()
