"""The left column of the A/B page: A, what is different in B, the faults, steering, and the numbers of both."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QToolButton, QWidget

from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.pair import WHAT_IFS
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.files import SaveButtons
from padis_gui.gui.kit.focus import FocusKeys
from padis_gui.gui.kit.forms import ChoiceBox
from padis_gui.gui.kit.theme import SIDES
from padis_gui.gui.kit.widgets import (
    Section,
    allow,
    column,
    form,
    grid,
    muted,
    progress_bar,
    push_button,
    steering_button,
)
from padis_gui.viewmodels.laboratory.ab import NAMES, ABRun
from padis_gui.viewmodels.session.session import Session

_AS_A = "as in A"
_NUMBERS = (
    ("psnr", "PSNR [dB]", "{:.2f}"), ("ssim", "SSIM", "{:.4f}"), ("residual", "Residual", "{:.2e}"),
    ("seam_ratio", "Seam ratio", "{:.3f}"), ("seconds", "Seconds", "{:.1f}"), ("evaluations", "Denoiser calls", "{:.0f}"),
)  # fmt: skip


class ABControls(QWidget):
    """Steers the comparison and shows its numbers. ``view`` is what a saved PNG shows."""

    def __init__(
        self, session: Session, ab: ABRun, act: Actions, view: QWidget, write_tiff: Callable[[Path], object]
    ) -> None:
        super().__init__()
        self._session, self._ab = session, ab
        self.save = SaveButtons(session, "A/B", view, write_tiff)
        layout = column(self, spacing=2, margins=(8, 4, 10, 8))
        for section in (self._side_a(), self._side_b(), self._faults()):
            layout.addWidget(section)
        layout.addWidget(self._transport(act))
        layout.addWidget(self._numbers())
        layout.addStretch(1)
        session.prior.changed.connect(self._fill_patches)
        ab.changed.connect(self.refresh)
        self._fill_patches()
        self.refresh()

    # Making it ------------------------------------------------------------------------------------

    def _side_a(self) -> QWidget:
        section = Section("A: the present settings")
        self.a = QLabel(wordWrap=True)
        hint = muted("As they are on the Reconstruct page.")
        section.body.addWidget(self.a)
        section.body.addWidget(hint)
        return section

    def _side_b(self) -> QWidget:
        section = Section("B: the same, but")
        self.choices: dict[str, QComboBox] = {}
        rows = form()
        for name, label, tip, entries in (
            ("strategy", "Tiling", "Where the patch grid of B goes", [(t.label, t.name) for t in TILINGS]),
            ("patch", "Patch size P", "Side of the patches of B", []),
            ("solver", "Method", "How B brings prior and data together, with that method's own settings",
             [(s.label, s.name) for s in SOLVERS]),
            ("positions", "Positions", "Whether the network is told where a patch lies in B",
             [("told", True), ("not told", False)]),
        ):  # fmt: skip
            combo = ChoiceBox()
            combo.setAccessibleName(f"{label} of B")
            combo.setToolTip(tip)
            self.choices[name] = combo
            self._fill(combo, entries)
            combo.activated.connect(
                lambda index, name=name, combo=combo: self._ab.choose(name, combo.itemData(index))
            )
            rows.addRow(label, combo)
        section.body.addLayout(rows)
        self.b = muted(wordWrap=True)
        section.body.addWidget(self.b)
        return section

    @staticmethod
    def _fill(combo: QComboBox, entries: list[tuple[str, Any]]) -> None:
        with QSignalBlocker(combo):
            combo.clear()
            combo.addItem(_AS_A, None)
            for label, value in entries:
                combo.addItem(label, value)

    def _fill_patches(self) -> None:
        prior = self._session.prior.loaded
        sizes = [] if prior is None else sorted(prior.conventions.patch_sizes, reverse=True)
        self._fill(self.choices["patch"], [(f"{size} px", size) for size in sizes])
        if self._ab.choices.patch not in (None, *sizes):
            self._ab.choose("patch", None)
        self.refresh()

    def _faults(self) -> QWidget:
        section = Section("What if…")
        self.faults: dict[str, QPushButton] = {}
        for fault in WHAT_IFS:
            tip = f"{fault.summary}. Runs the present settings against it"
            button = push_button(fault.label, tip, partial(self._ab.what_if, fault.name))
            said = muted(fault.summary, wordWrap=True)
            section.body.addWidget(button)
            section.body.addWidget(said)
            self.faults[fault.name] = button
        return section

    def _transport(self, act: Actions) -> QWidget:
        ab = self._ab
        box = QWidget()
        layout = column(box, spacing=6, margins=(0, 8, 0, 4))
        self.buttons: dict[str, QToolButton] = {}
        cells = grid()
        for index, (action, text, tip, slot) in enumerate(
            (
                (act.run, "Run A/B", "Run both from the same noise, in step", lambda: ab.start()),
                (act.pause, "Pause", "Pause after the patch batch in hand; again to go on", self._pause),
                (act.step, "Step", "One iterate of each side, then pause", ab.step),
                (act.finish, "Finish", "Stop and keep both estimates", ab.finish),
                (act.cancel, "Cancel", "Stop and keep nothing", ab.cancel),
            )
        ):
            name, first = action.objectName(), index == 0
            button = steering_button(f"ab_{name}", main=first)
            FocusKeys.spare(button)
            button.setText(text)
            button.setToolTip(f"{tip} ({action.shortcut().toString()})")
            button.setIcon(action.icon())
            button.clicked.connect(lambda _checked=False, slot=slot: slot())
            cells.addWidget(button, 0 if first else 1, 0 if first else index - 1, 1, 4 if first else 1)
            self.buttons[name] = button
        self.bar = progress_bar("Progress of the comparison", "Steps of both sides so far")
        self.state = QLabel()
        layout.addLayout(cells)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        return box

    def _numbers(self) -> QWidget:
        section = Section("Results")
        cells = grid(spacing=3)
        self.numbers: dict[tuple[str, int], QLabel] = {}
        for side, name in enumerate(NAMES):
            head = QLabel(f"<b style='color:{SIDES[side]}'>{name}</b>", alignment=Qt.AlignmentFlag.AlignRight)
            cells.addWidget(head, 0, side + 1)
        for line, (key, label, _) in enumerate(_NUMBERS, start=1):
            cells.addWidget(QLabel(label), line, 0)
            for side in range(len(NAMES)):
                value = self.numbers[key, side] = QLabel("–", alignment=Qt.AlignmentFlag.AlignRight)
                cells.addWidget(value, line, side + 1)
        self.keep = push_button(
            "Keep both as runs",
            "Put both results into the list of runs, where they can be compared, repeated and exported",
            self._ab.keep,
        )
        section.body.addLayout(cells)
        section.body.addWidget(self.keep)
        section.body.addWidget(self.save)
        return section

    # From the view model --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the choices, what can be done, how far it is and the numbers."""
        ab, sides, state = self._ab, self._ab.sides(), self._ab.state
        self.a.setText("–" if sides is None else ab.describe(sides[0]))
        same = sides is not None and sides[0] == sides[1]
        self.b.setText("–" if sides is None else "The same as A" if same else ab.describe(sides[1]))
        for name, combo in self.choices.items():
            with QSignalBlocker(combo):
                combo.setCurrentIndex(max(0, combo.findData(getattr(ab.choices, name))))
            combo.setEnabled(not state.active)
        going = state.active and state is not RunState.STOPPING
        why_not = self._obstacle(state.active, sides is not None)
        begins = why_not or ("A and B are the same." if same else "")
        allow(self.buttons["run"], begins)
        allow(self.buttons["step"], "" if going else begins)
        for name in ("pause", "finish", "cancel"):
            self.buttons[name].setEnabled(going)
        self.buttons["pause"].setText("Resume" if state is RunState.PAUSED else "Pause")
        for button in self.faults.values():
            allow(button, why_not)
        self._show_progress()
        self._show_numbers()
        self.keep.setEnabled(ab.keepable)
        self.save.tiff.setEnabled(all(result is not None for result in ab.results))

    def _obstacle(self, active: bool, complete: bool) -> str:
        """Why no comparison can begin now; empty where one can."""
        if active:
            return "This comparison is under way."
        if self._session.occupied_by:
            return f"{self._session.occupied_by} is under way; a comparison needs its thread. Finish or cancel it first."
        return "" if complete else "Open an image and a prior first."

    def _show_progress(self) -> None:
        points = [history.points for history in self._ab.histories]
        total = sum(history.total for history in self._ab.histories)
        self.bar.setMaximum(max(1, total))
        self.bar.setValue(sum(p[-1].step for p in points if p))
        steps = " / ".join(str(p[-1].step if p else 0) for p in points)
        self.bar.setFormat(
            f"steps {steps} of {' / '.join(str(h.total) for h in self._ab.histories)}" if total else ""
        )
        spent = [sum(point.seconds for point in p) for p in points]
        pace = "" if not total else f", {spent[0]:.1f} + {spent[1]:.1f} s"
        self.state.setText(f"{self._ab.state.value}{pace}")

    def _show_numbers(self) -> None:
        for side in range(len(NAMES)):
            result, point = self._ab.results[side], self._ab.point(side)
            found = dict.fromkeys((key for key, _, _ in _NUMBERS), math.nan)
            if point is not None:
                found |= {key: getattr(point, key) for key in ("psnr", "ssim", "residual", "seam_ratio")}
            if result is not None and self._ab.at is None:
                found |= result.metrics | {
                    "seconds": result.seconds,
                    "evaluations": float(result.evaluations),
                }
            for key, _, text in _NUMBERS:
                value = found[key]
                self.numbers[key, side].setText("–" if math.isnan(value) else text.format(value))

    def _pause(self) -> None:
        self._ab.resume() if self._ab.state is RunState.PAUSED else self._ab.pause()
