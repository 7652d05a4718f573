"""What a training shows of itself: curves that grow, and looks at what the prior can do by now."""

import math
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QCheckBox, QLabel, QSizePolicy, QSplitter, QWidget

from padis_gui.core.training.history import TrainingHistory
from padis_gui.core.training.train import NOISE_BINS
from padis_gui.gui.kit.forms import Slider
from padis_gui.gui.kit.picture_wall import PictureWall, Tile
from padis_gui.gui.kit.plot import DrawQueue, Line, Plot
from padis_gui.gui.kit.theme import BASELINE, CURVE, SERIES, ramp
from padis_gui.gui.kit.widgets import clock, column, grid, muted, push_button, row, throttled
from padis_gui.viewmodels.training.images import LookPictures
from padis_gui.viewmodels.training.trainer import Trainer

_PAINT_MS = 300
_COLOURS = SERIES[1:]  # the first is for what others are measured against
_SHARES = (2, 3)  # of the height: curves, looks
_WAITING = "Appears with the first steps"


class TrainingCurves(QWidget):
    """Four plots over the step: loss by patch size, loss by noise level, validation, reconstruction."""

    def __init__(self) -> None:
        super().__init__()
        queue = DrawQueue(self)
        self.patches = Plot(
            "Loss by patch size", logarithmic=True, queue=queue,
            tip="Weighted denoising error of the training patches, running average, for each patch size",
        )  # fmt: skip
        self.levels = Plot(
            "Loss by noise level σ", logarithmic=True, queue=queue, legend="ends",
            tip="The same error by noise level: low levels are details, high ones the large shapes",
        )  # fmt: skip
        self.validation = Plot(
            "Validation loss", logarithmic=True, queue=queue,
            tip="The error on images that were kept aside; when it rises while the loss falls, stop",
        )  # fmt: skip
        self.psnr = Plot(
            "Reconstruction PSNR [dB]", queue=queue,
            tip="A quick reconstruction of an image kept aside, with the prior so far"
        )  # fmt: skip
        self.plots = (self.patches, self.levels, self.validation, self.psnr)
        across = grid(self, spacing=10, margins=(6, 4, 6, 4))
        for index, plot in enumerate(self.plots):
            across.addWidget(plot, 0, index)
            across.setColumnStretch(index, 1)
            plot.setMinimumWidth(120)
            plot.set_empty_text(_WAITING)

    def show_history(self, history: TrainingHistory) -> None:
        """Draw these curves."""
        steps = history.steps
        sizes = sorted(history.losses, reverse=True)
        self.patches.set_lines(
            [
                Line(f"{size} px", _COLOURS[n % len(_COLOURS)], steps, history.losses[size])
                for n, size in enumerate(sizes)
            ]
        )
        names = level_names(len(history.levels))
        self.levels.set_lines(
            [
                Line(name, colour, steps, values)
                for name, colour, values in zip(names, ramp(len(names)), history.levels, strict=True)
            ]
        )
        at, losses = [step for step, _ in history.validation], [loss for _, loss in history.validation]
        self.validation.set_lines([Line("kept aside", CURVE["sigma"], at, losses, dots=True)])
        looks = history.looks
        lines = [
            Line(
                "with this prior", CURVE["psnr"], [p.step for p in looks], [p.psnr for p in looks], dots=True
            )
        ]
        if looks and math.isfinite(looks[-1].baseline_psnr):
            name = looks[-1].baseline_name or "without it"
            ends = [0, max(history.total, history.step)]
            lines.append(Line(name, BASELINE, ends, [looks[-1].baseline_psnr] * 2, dashed=True))
        self.psnr.set_lines(lines)
        for plot in self.plots:
            plot.set_x_range(0, max(history.total, history.step, 1))
        self.validation.set_empty_text(
            "No image is kept aside" if history.data.get("validation") == 0 else "Measured every so often"
        )


def level_names(count: int) -> list[str]:
    """The noise-level bins in words, lowest first."""
    edges = [f"{edge:.2g}" for edge in NOISE_BINS]
    if count != len(edges) + 1:
        return [f"level {n + 1}" for n in range(count)]
    return [
        f"<{edges[0]}",
        *(f"{low}–{high}" for low, high in pairwise(edges)),
        f">{edges[-1]}",
    ]


class TrainingLooks(QWidget):
    """The pictures of one look, and a slider through all of them."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = trainer
        self.wall = PictureWall()
        self.wall.setAccessibleName("What the prior can do")
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Look")
        self.slider.setToolTip("Earlier looks at the same image; arrow keys step, Home and End jump")
        self.slider.setMaximumWidth(320)
        self.slider.valueChanged.connect(self._chosen)
        self.follow = QCheckBox("Follow the latest")
        self.follow.setChecked(True)
        self.follow.setToolTip("Show each new look as it comes")
        self.follow.toggled.connect(self._follow)
        self.caption = muted()
        self.caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.empty = muted("", wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        line = row(spacing=10)
        line.addWidget(QLabel("Look"))
        line.addWidget(self.slider, 1)
        line.addWidget(self.follow)
        line.addWidget(self.caption, 1)
        layout = column(self, spacing=4, margins=(6, 2, 6, 6))
        layout.addLayout(line)
        layout.addWidget(self.wall, 1)
        layout.addWidget(self.empty, 1)
        trainer.looks.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the chosen look."""
        trainer, look = self._trainer, self._trainer.looks.look
        looks = trainer.history.looks
        self.wall.setVisible(look is not None)
        self.empty.setVisible(look is None)
        self.empty.setText(self._what_is_missing())
        with QSignalBlocker(self.slider), QSignalBlocker(self.follow):
            self.slider.setRange(0, max(0, len(looks) - 1))
            self.slider.setEnabled(len(looks) > 1)
            if look is not None:
                steps = [point.step for point in looks]
                self.slider.setValue(steps.index(look.step) if look.step in steps else len(steps) - 1)
            self.follow.setChecked(trainer.looks.follows_latest)
        trouble = "" if look is None or not look.trouble else f"  {look.trouble}"
        self.caption.setText("" if look is None else f"step {look.step:,}{trouble}")
        self.caption.setToolTip(trouble.strip())
        if look is not None:
            self.wall.set_groups(_groups(look))

    def _what_is_missing(self) -> str:
        if self._trainer.shown is None:
            return "Start a training, or show an earlier one, to see what its prior can do."
        if not self._trainer.active:
            return "This training has left no looks."
        return (
            "The first look comes soon after the start: the prior denoises an image that was kept aside, reconstructs "
            "it from a simulated measurement, and makes one up."
        )

    def _chosen(self, index: int) -> None:
        latest = index == len(self._trainer.history.looks) - 1
        self._trainer.looks.choose(None if latest else index)

    def _follow(self, follow: bool) -> None:
        self._trainer.looks.choose(None if follow else self.slider.value())


def _groups(look: LookPictures) -> list[list[list[Tile]]]:
    levels = [
        [
            Tile(f"σ = {level:g}", noisy, f"An image kept aside, with noise of σ = {level:g}"),
            Tile("denoised", denoised, f"What the prior makes of the noise of σ = {level:g}"),
        ]
        for level, noisy, denoised in zip(look.levels, look.noisy, look.denoised, strict=True)
    ]
    original = [
        Tile("clean", look.clean, "The image as it is"),
        Tile(
            "made up", look.sample, "Drawn from the prior alone, in few steps: it should resemble your images"
        ),
    ]
    if look.sample is None:
        original = original[:1]
    groups = [[*levels, original]]
    if look.baseline is not None or look.reconstruction is not None:
        groups.append(
            [
                [
                    Tile(f"{look.baseline_name} {_decibels(look.baseline_psnr)}", look.baseline, look.problem),
                    Tile(
                        f"this prior {_decibels(look.psnr)}", look.reconstruction,
                        f"{look.problem}, in few steps with the prior so far",
                    ),
                ]
            ]
        )  # fmt: skip
    return groups


def _decibels(value: float) -> str:
    return f"{value:.1f} dB" if math.isfinite(value) else ""


class TrainingProgress(QWidget):
    """The shown training: how it stands and what can be done with it, its curves, its looks."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = trainer
        self.verdict = QLabel()
        self.verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.use = push_button(
            "Use this prior", "Open the prior of this training in the reconstruction view",
            lambda: self._with_shown(trainer.use),
        )  # fmt: skip
        self.resume = push_button(
            "Resume", "Go on from the last checkpoint", lambda: self._with_shown(trainer.resume)
        )
        self.prolong = push_button(
            "Train longer", "Go on for as long as the left column says, with the learning rate raised again",
            lambda: self._with_shown(trainer.prolong),
        )  # fmt: skip
        self.curves, self.looks = TrainingCurves(), TrainingLooks(trainer)
        top = row(spacing=6, margins=(8, 6, 8, 2))
        top.addWidget(self.verdict, 1)
        for button in (self.resume, self.prolong, self.use):
            top.addWidget(button)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.curves)
        self.splitter.addWidget(self.looks)
        for index, share in enumerate(_SHARES):
            self.splitter.setStretchFactor(index, share)
        self.splitter.setSizes([100 * share for share in _SHARES])
        layout = column(self)
        layout.addLayout(top)
        layout.addWidget(self.splitter, 1)
        refresh = throttled(self, _PAINT_MS, self.refresh)
        trainer.progressed.connect(refresh.throttle)
        trainer.state_changed.connect(self.refresh)
        trainer.trainings_changed.connect(refresh.throttle)
        self.refresh()

    def _with_shown(self, what: object) -> None:
        if self._trainer.shown is not None:
            self._trainer.session.spawn(what(self._trainer.shown))  # type: ignore[operator]

    def refresh(self) -> None:
        """Show the shown training as it is now."""
        trainer, history = self._trainer, self._trainer.history
        running = trainer.active and trainer.shown == trainer.running
        shown, resting = trainer.shown is not None, trainer.shown is not None and not trainer.active
        self.use.setEnabled(shown and (history.saved_step > 0 or not running))
        self.resume.setVisible(resting and not history.finished)
        self.prolong.setVisible(resting and history.finished)
        self.verdict.setText(verdict(trainer.shown, history, trainer.state.value if running else ""))
        self.curves.show_history(history)


def verdict(folder: Path | None, history: TrainingHistory, state: str) -> str:
    """A line on a training: its name, how far it is, how good."""
    if folder is None:
        return "No training yet"
    words = state or ("Done" if history.finished else "Stopped")
    parts = [f"<b>{folder.name}</b>", words]
    if history.total:
        parts.append(f"step {history.step:,} of {history.total:,}")
    if history.seconds:
        parts.append(clock(history.seconds[-1]))
    measured = [loss for _, loss in history.validation if math.isfinite(loss)]
    if measured:
        parts.append(f"validation {measured[-1]:.4f}")
    if history.looks and math.isfinite(history.looks[-1].psnr):
        look = history.looks[-1]
        than = f" ({look.baseline_name or 'without'} {look.baseline_psnr:.1f})"
        parts.append(f"{look.psnr:.1f} dB{than}")
    return " &nbsp;·&nbsp; ".join(parts)
