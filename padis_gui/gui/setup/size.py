"""The size of what is reconstructed, in the left column: what it is, the ways to change it, previews, what memory wants."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QMenu, QToolButton, QWidget

from padis_gui.core.images.size import size_in_words
from padis_gui.gui.kit.widgets import column, row, small_button
from padis_gui.viewmodels.session.planner import Planner
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.sizing import Sizing, factor_that_fits

_PARTS = {2: "Half", 4: "A quarter"}
_IN_PIXELS = "settings in px, such as a blur's width or a mask, keep their numbers"
_USABLE = 0.8  # of the free memory


class SizeRow(QWidget):
    """Says how large the image is that will be reconstructed; has Crop…, Whole picture and Preview."""

    def __init__(self, session: Session, sizing: Sizing, crop: QAction) -> None:
        super().__init__()
        self._session, self.sizing = session, sizing
        self.says = QLabel(wordWrap=True)
        self.crop = QToolButton()
        self.crop.setDefaultAction(crop)
        self.crop.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.whole = small_button(
            "Whole picture", "All of the picture, at the size that it has in its file", sizing.take_whole
        )
        self.preview = QToolButton()
        self.preview.setText("Preview")
        self.preview.setToolTip(
            "Run on a region or at reduced size first, and then at full size with the same method"
        )
        self.preview.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu("Previe&w", self)
        self.menu.setToolTipsVisible(True)
        self.reduced = {by: self._reduced(by) for by in _PARTS}
        region = self.menu.addAction("Run on a &region…")
        region.setToolTip("Drag a box on a pane and press Preview in the strip above the panes")
        region.triggered.connect(crop.trigger)
        crop.changed.connect(lambda: region.setEnabled(crop.isEnabled()))
        region.setEnabled(crop.isEnabled())
        self.preview.setMenu(self.menu)
        buttons = row()
        for button in (self.crop, self.whole, self.preview):
            buttons.addWidget(button)
        buttons.addStretch(1)
        layout = column(self, spacing=4)
        layout.addWidget(self.says)
        layout.addLayout(buttons)
        for signal in (
            sizing.changed,
            session.occupied_changed,
            session.prior.changed,
            session.method.changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def _reduced(self, by: int) -> QAction:
        action = self.menu.addAction(_PARTS[by])
        action.setToolTip(f"The same field of view with larger pixels; {_IN_PIXELS}")
        action.triggered.connect(partial(self._preview, by))
        return action

    def _preview(self, by: int, _checked: bool = False) -> None:
        self.sizing.preview_reduced(by)

    def refresh(self) -> None:
        """Show the size of what is open."""
        image = self.sizing.image
        self.setVisible(image is not None)
        if image is None:
            return
        text = size_in_words(image)
        self.says.setText(text[0].upper() + text[1:])
        self.whole.setVisible(not self.sizing.is_whole)
        self.crop.setVisible(not image.is_scan)
        self.preview.setEnabled(self._session.opened() is not None)
        for by, action in self.reduced.items():
            size = self.sizing.size_by(by)
            part = f"Run at {_PARTS[by].lower()} of the size"
            action.setText(part + ("" if size is None else f", {size} px"))
            action.setEnabled(size is not None)


class SizeOffers(QWidget):
    """Below the plan of a run: what helps where memory is short, and the way back from a preview."""

    def __init__(self, session: Session, sizing: Sizing, planner: Planner, crop: QAction) -> None:
        super().__init__()
        self._session, self._sizing, self._planner, self._crop = session, sizing, planner, crop
        self.crop = small_button("Crop…", "Take a region of the picture only", crop.trigger)
        self.reduce = small_button(
            "Reduce", f"The same field of view with larger pixels; {_IN_PIXELS}", self._reduce
        )
        self.fewer = small_button(
            "Fewer slices",
            "Only so many slices around the one at the crosshair, which fit into the memory",
            self._take_fewer,
        )
        self.full = small_button(
            "Run at full size", "End the preview and run on all of the image, with the method as it is now",
            sizing.run_full,
        )  # fmt: skip
        self.says = QLabel(wordWrap=True)
        self._short, self._preview = QWidget(), QWidget()
        short, preview = row(self._short), row(self._preview)
        for button in (self.fewer, self.crop, self.reduce):
            short.addWidget(button)
        short.addStretch(1)
        preview.addWidget(self.says, 1)
        preview.addWidget(self.full)
        layout = column(self, spacing=2)
        for part in (self._short, self._preview):
            layout.addWidget(part)
        for signal in (sizing.changed, planner.changed, session.occupied_changed):
            signal.connect(self.refresh)
        self.refresh()

    @property
    def factor(self) -> int | None:
        """By what the sides are divided so that a run fits; 2 where the plan does not tell, None where nothing helps."""
        planner, plan = self._planner, self._planner.plan
        if plan is None or not planner.free_mb:
            return 2 if self._sizing.size_by(2) is not None else None
        by = factor_that_fits(plan.memory_mb, plan.batch_mb, _USABLE * planner.free_mb)
        return by if by is not None and self._sizing.size_by(by) is not None else None

    def refresh(self) -> None:
        """Show what can be done now."""
        short, full = self._planner.short, self._sizing.full
        by = self.factor if short else None
        slices = self._planner.fitting_slices
        self.fewer.setVisible(slices is not None)
        if slices is not None:
            self.fewer.setText(f"Take {slices} slices")
        self._short.setVisible(short and (slices is not None or by is not None or self._sizing.croppable))
        self.crop.setVisible(self._sizing.croppable)
        self.reduce.setVisible(by is not None)
        if by is not None:
            self.reduce.setText(f"Reduce to {self._sizing.size_by(by)}")
        self._preview.setVisible(full is not None)
        if full is not None:
            self.says.setText(f"Preview of {full.size} px")
        self.setVisible(not self._short.isHidden() or not self._preview.isHidden())

    def _reduce(self) -> None:
        if (by := self.factor) is not None:
            self._sizing.reduce(by)

    def _take_fewer(self) -> None:
        volume, count = self._session.volume, self._planner.fitting_slices
        if count is not None:
            first = min(max(volume.place.slice - count // 2, 0), len(volume.pages) - count)
            volume.take_slices(volume.pages[first], volume.pages[first + count - 1])

    def against(self, remedy: str) -> list[tuple[str, str, Callable[[], object]]]:
        """Buttons for a message whose error this remedy mends: text, tip, what it does."""
        sizing, tried = self._sizing, self._session.data.tried
        if remedy in ("elsewhere", "newer"):  # whoever writes offers the one, and nobody here the other
            return []
        if remedy == "replace":
            tip = "Open it with the median of the finite numbers around in the place of each of the others"
            return [] if tried is None else [("Replace them", tip, lambda: sizing.replace_in(tried))]
        if remedy == "links":
            tip = "Open it with the data in other files of its folder, to which it links"
            return [] if tried is None else [("Follow the links", tip, lambda: sizing.follow_links_in(tried))]
        if tried is not None:
            tip = "Open it with the mean of so many by so many pixels in the place of each"
            return [
                (f"Open at {what.lower()} of the size", tip, partial(sizing.open_smaller, tried, by))
                for by, what in _PARTS.items()
            ]
        offers: list[tuple[str, str, Callable[[], object]]] = []
        if (slices := self._planner.fitting_slices) is not None:
            offers.append((f"Take {slices} slices", self.fewer.toolTip(), self._take_fewer))
        if sizing.croppable:
            offers.append(("Crop…", self.crop.toolTip(), self._crop.trigger))
        if (by := self.factor) is not None:
            offers.append((f"Reduce to {sizing.size_by(by)}", self.reduce.toolTip(), self._reduce))
        return offers
