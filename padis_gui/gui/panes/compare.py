"""Two pictures compared: side by side, under a divider, in turn, or subtracted; and the controls for it."""

from typing import Any, Literal, get_args

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QCheckBox, QLabel, QPushButton, QToolButton, QWidget

from padis_gui.core.images.image import Pixels
from padis_gui.gui.kit.forms import NumberBox
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import ElidedLabel, Flow, column, row
from padis_gui.gui.panes.canvas import Canvas
from padis_gui.gui.panes.image_pane import SourceChoice, SourceModel, group_of, is_square
from padis_gui.gui.panes.layers import Layer
from padis_gui.gui.panes.links import Links
from padis_gui.viewmodels.laboratory.laboratory import Overlay
from padis_gui.viewmodels.pictures.levels import reach_of, signed_difference, size_text
from padis_gui.viewmodels.pictures.pictures import DIVERGING, Appearance, PictureSet
from padis_gui.viewmodels.pictures.sources import PaneSource, Scale

SLOWEST, FASTEST, USUAL = 0.2, 8.0, 1.5  # changes a second


class CompareBar(QWidget):
    """Widgets only; the comparison connects them."""

    def __init__(self, model: SourceModel) -> None:
        super().__init__()
        self.first = SourceChoice(model, "truth", "First picture")
        self.second = SourceChoice(model, "estimate", "Second picture")
        self.swap = QToolButton(autoRaise=True)
        self.swap.setIcon(icon("swap"))
        self.swap.setAccessibleName("Swap")
        self.swap.setToolTip("Swap the two pictures")
        self.rate = NumberBox(SLOWEST, FASTEST)
        self.rate.setStepType(NumberBox.StepType.DefaultStepType)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(USUAL)
        self.rate.setSuffix(" /s")
        self.rate.setAccessibleName("Blink rate")
        self.rate.setToolTip("How often the pictures change places, in changes a second")
        self.reach = NumberBox(minimum=0.0)
        self.reach.setPrefix("± ")
        self.reach.setAccessibleName("Levels of the difference")
        self.reach.setToolTip("The difference is shown from minus to plus this value")
        self.fit_reach = QPushButton("Auto")
        self.fit_reach.setToolTip(
            "Levels that saturate 0.35 % of the difference; they do not move by themselves"
        )
        self.tiling = QCheckBox("Tiling")
        self.tiling.setToolTip("Draw the tiling of the shown step over the pictures")
        self.said = ElidedLabel(muted=True)
        self.leave = QToolButton(autoRaise=True)
        self.leave.setIcon(icon("close"))
        self.leave.setAccessibleName("Leave the comparison")
        self.leave.setToolTip("Back to the panes")
        bar = Flow(self, margins=(2, 2, 2, 2))
        for widget in (
            self.first,
            self.swap,
            self.second,
            self.rate,
            self.reach,
            self.fit_reach,
            self.tiling,
        ):
            bar.addWidget(widget)
        bar.addWidget(self.said)
        bar.addWidget(self.leave)

    def show_mode(self, *, blinking: bool, subtracting: bool) -> None:
        """Show what this way of comparing needs."""
        self.rate.setVisible(blinking)
        for widget in (self.reach, self.fit_reach):
            widget.setVisible(subtracting)

    def show_reach(self, reach: float) -> None:
        """Show how far the difference's levels reach."""
        with QSignalBlocker(self.reach):
            self.reach.setValue(reach)


Mode = Literal["side", "wipe", "blink", "subtract"]
MODES: tuple[str, ...] = get_args(Mode)
_DIVIDER, _KEY_STEP = "#ffd84d", 0.02
_TAG = "background: rgba(16, 18, 20, 190); color: #e6e6e6; border-radius: 4px; padding: 2px 6px;"


class CompareView(QWidget):
    """Shows any two of the sources there are. ``left`` comes from its close button."""

    left = Signal()
    shown_changed = Signal()

    def __init__(self, picture_set: PictureSet, model: SourceModel, links: Links) -> None:
        super().__init__()
        self._picture_set, self._links = picture_set, links
        self.mode: Mode = "side"
        self.difference: Pixels | None = None
        self._reach: float | None = None  # of the difference's levels, None until there is a difference
        self._divided = 0.5  # where the divider stands, as a share of the width
        self._second_shown = False
        self._overlay: Overlay | None = None
        self.bar = bar = CompareBar(model)
        for choice in (bar.first, bar.second):
            choice.chosen.connect(lambda _key: self._show_others())
        bar.swap.clicked.connect(self._swap)
        bar.rate.valueChanged.connect(self._set_rate)
        bar.reach.valueChanged.connect(self._set_reach)
        bar.fit_reach.clicked.connect(self._reach_from_picture)
        bar.tiling.toggled.connect(lambda _on: self.set_overlay(self._overlay))
        bar.leave.clicked.connect(self.left)
        self.canvases = (Canvas("First picture"), Canvas("Second picture"))
        self._over = Layer()
        self._over.setZValue(1)
        main = self.canvases[0]
        main.box.addItem(self._over, ignoreBounds=True)
        self._divider = pg.InfiniteLine(
            angle=90, movable=True, pen=pg.mkPen(_DIVIDER, width=2), hoverPen=pg.mkPen(_DIVIDER, width=4)
        )
        self._divider.setZValue(40)
        self._divider.sigPositionChanged.connect(self._divide)
        main.box.addItem(self._divider, ignoreBounds=True)
        self._tags = [QLabel("", canvas) for canvas in (main, self.canvases[1], main)]
        for tag in self._tags:
            tag.setStyleSheet(_TAG)
            tag.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        pictures = row(spacing=4)
        for canvas in self.canvases:
            pictures.addWidget(canvas, 1)
        main.installEventFilter(self)  # its width changes when the second picture comes and goes
        layout = column(self, spacing=2)
        layout.addWidget(bar)
        layout.addLayout(pictures, 1)
        self._turn = QTimer(self)
        self._turn.timeout.connect(self._take_turns)
        picture_set.changed.connect(self._follow)
        picture_set.captioned.connect(self._follow)
        picture_set.restyled.connect(self.refresh)
        picture_set.told.connect(self.refresh)
        picture_set.listed.connect(self.refresh)
        self._set_rate(USUAL)

    # What is compared -----------------------------------------------------------------------------

    @property
    def keys(self) -> tuple[str, str]:
        return self.bar.first.key, self.bar.second.key

    @property
    def as_source(self) -> PaneSource:
        """What the difference is, to name its values."""
        first, second = (self._picture_set.sources[key] for key in self.keys)
        scale = Scale.MISFIT if first.scale in (Scale.MEASURED, Scale.MISFIT) else Scale.SIGNED
        name = f"{first.short} − {second.short}"
        return PaneSource(key="compared", label=name, short=name, origin=first.origin, scale=scale)

    def show_mode(self, mode: Mode, first: str | None = None, second: str | None = None) -> None:
        """Compare in this way; sources that are not named stay."""
        self.mode = mode
        for choice, key in ((self.bar.first, first), (self.bar.second, second)):
            if key in self._picture_set.sources:
                choice.select(str(key))
        self._show_others()

    def _show_others(self) -> None:
        self._reach = None
        self.refresh()
        self.shown_changed.emit()

    def _swap(self) -> None:
        first, second = self.keys
        self.bar.first.select(second)
        self.bar.second.select(first)
        self.refresh()
        self.shown_changed.emit()

    def _follow(self, keys: tuple[str, ...]) -> None:
        if set(keys) & set(self.keys):
            self.refresh()

    def refresh(self) -> None:
        """Show the two as the picture set has them now; nothing happens while nobody can see it."""
        if not self.isVisible():
            return
        sources = [self._picture_set.sources[key] for key in self.keys]
        pictures = [self._picture_set.pixels(key) for key in self.keys]
        looks = [self._picture_set.look(source) for source in sources]
        a, b = pictures
        fits = a is not None and b is not None and a.shape[:2] == b.shape[:2]
        over = self.mode in ("wipe", "blink")
        self.difference = None
        shown = a
        if self.mode == "subtract":
            shown = self.difference = signed_difference(a, b) if a is not None and b is not None else None
            looks[0] = self._signed_look()
        main, beside = self.canvases
        beside.setVisible(self.mode == "side")
        main.set_picture(shown, looks[0], square=is_square(sources[0]), legend=self.mode == "subtract")
        self._links.place(main, group_of(sources[0], shown))
        if self.mode == "side":
            beside.set_picture(b, looks[1], square=is_square(sources[1]))
            self._links.place(beside, group_of(sources[1], b))
        self._over.show_pixels(b if over and fits else None, looks[1])
        self._over.clip_from(self._column() if self.mode == "wipe" else None)
        self._over.setVisible(self.mode == "wipe" or self._second_shown)
        self._divider.setVisible(self.mode == "wipe" and fits)
        if fits and a is not None and self.mode == "wipe":
            with QSignalBlocker(self._divider):
                self._divider.setBounds((0, a.shape[1]))
                self._divider.setPos(self._column())
        self._say(pictures, fits=fits)
        self._time()

    def _signed_look(self) -> Appearance:
        if self._reach is None and self.difference is not None:
            self._reach = reach_of(self.difference)
        reach = self._reach or 1.0
        self.bar.show_reach(reach)
        return Appearance((-reach, reach), DIVERGING)

    # What is said about it ------------------------------------------------------------------------

    def _say(self, pictures: list[Pixels | None], *, fits: bool) -> None:
        names = [self._name(key) for key in self.keys]
        main, beside = self.canvases
        self.bar.show_mode(blinking=self.mode == "blink", subtracting=self.mode == "subtract")
        missing = [self._picture_set.empty_text(key) for key in self.keys]
        main.set_empty_text(missing[0] or (missing[1] if self.mode != "side" else ""))
        beside.set_empty_text(missing[1])
        a, b = pictures
        apart = a is not None and b is not None and not fits and self.mode != "side"
        self.bar.said.setText(
            f"These pictures differ in size: {size_text(a)} and {size_text(b)}; compare them side by side"
            if apart and a is not None and b is not None
            else "  ".join(filter(None, (self._picture_set.caption(key) for key in self.keys)))
        )
        self._name_tags(names)

    def _name(self, key: str) -> str:
        """A source's name, and whether its picture belongs to other choices than the present ones."""
        label = self._picture_set.sources[key].label
        return f"{label} (stale)" if self._picture_set.stale_text(key) else label

    def _name_tags(self, names: list[str]) -> None:
        first, second, right = self._tags
        texts = {
            "side": (names[0], names[1], ""),
            "wipe": (names[0], "", names[1]),
            "blink": (names[1] if self._second_shown else names[0], "", ""),
            "subtract": (f"{names[0]} − {names[1]}", "", ""),
        }[self.mode]
        for tag, text in zip((first, second, right), texts, strict=True):
            tag.setText(text)
            tag.adjustSize()
            tag.setVisible(bool(text))
            left = 6 if tag is not right else max(6, self.canvases[0].width() - tag.width() - 6)
            tag.move(left, 6)

    def set_overlay(self, overlay: Overlay | None) -> None:
        """The tiling of the shown step; drawn where it is wanted."""
        self._overlay = overlay
        for canvas in self.canvases:
            canvas.set_overlay(overlay if self.bar.tiling.isChecked() else None)

    # Divider, turns, levels -----------------------------------------------------------------------

    def _column(self) -> float:
        pixels = self.canvases[0].pixels
        return 0.0 if pixels is None else self._divided * pixels.shape[1]

    def _divide(self) -> None:
        pixels = self.canvases[0].pixels
        if pixels is not None and self.mode == "wipe":
            self._divided = min(max(float(self._divider.value()) / pixels.shape[1], 0.0), 1.0)
            self._over.clip_from(self._column())

    def _set_rate(self, changes: float) -> None:
        self._turn.setInterval(round(1000 / changes))

    def _time(self) -> None:
        wanted = self.mode == "blink" and self.isVisible()
        if wanted and not self._turn.isActive():
            self._turn.start()
        elif not wanted:
            self._turn.stop()

    def _take_turns(self) -> None:
        """Both pictures are painted already: only the upper one comes and goes, so nothing flashes."""
        self._second_shown = not self._second_shown
        self._over.setVisible(self._second_shown)
        self._name_tags([self._picture_set.sources[key].label for key in self.keys])

    def _set_reach(self, reach: float) -> None:
        if reach > 0:
            self._reach = reach
            self.refresh()

    def _reach_from_picture(self) -> None:
        self._reach = None
        self.refresh()

    # Events and state -----------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """[ and ] move the divider."""
        step = {Qt.Key.Key_BracketLeft: -_KEY_STEP, Qt.Key.Key_BracketRight: _KEY_STEP}.get(
            Qt.Key(event.key())
        )
        if step is None or self.mode != "wipe":
            super().keyPressEvent(event)
            return
        self._divided = min(max(self._divided + step, 0.0), 1.0)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._turn.stop()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the names in the corners of the first picture."""
        if event.type() == QEvent.Type.Resize and watched is self.canvases[0]:
            self._name_tags([self._picture_set.sources[key].label for key in self.keys])
        return super().eventFilter(watched, event)

    def state(self) -> dict[str, Any]:
        """What is compared and how, as plain JSON."""
        return {
            "first": self.keys[0],
            "second": self.keys[1],
            "mode": self.mode,
            "rate": self.bar.rate.value(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Compare as :meth:`state` said; what cannot be read is left as it is."""
        if state.get("mode") in MODES:
            self.mode = state["mode"]
        rate = state.get("rate")
        if isinstance(rate, int | float):
            self.bar.rate.setValue(min(max(float(rate), SLOWEST), FASTEST))
        for choice, key in ((self.bar.first, state.get("first")), (self.bar.second, state.get("second"))):
            if key in self._picture_set.sources:
                choice.select(str(key))
