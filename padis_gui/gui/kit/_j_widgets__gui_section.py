"""A part of a column under a heading that folds it away."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from padis_gui.gui.kit._j_widgets__gui_layouts import column, muted, row


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
