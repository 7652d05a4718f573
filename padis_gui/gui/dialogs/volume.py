"""Reconstructing a whole stack: which slices, where to, how far it is; beside the window, which stays usable."""

import math
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QLabel,
    QLineEdit,
    QMainWindow,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.solvers.registry import find_solver
from padis_gui.core.volumes.request import VolumeSettings
from padis_gui.gui.kit.files import TIFFS, choose_to_write
from padis_gui.gui.kit.forms import FileLine, SettingsForm, show_value
from padis_gui.gui.kit.picture_wall import PictureWall, Tile
from padis_gui.gui.kit.plot import Line, Plot
from padis_gui.gui.kit.theme import BASELINE, CURVE, RUN_BUTTON
from padis_gui.gui.kit.widgets import (
    button_row,
    clock,
    column,
    form,
    labelled,
    progress_bar,
    push_button,
    row,
)
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences
from padis_gui.viewmodels.state.process import ProcessState
from padis_gui.viewmodels.volumes.volumes import Volumes

_WAITING = "Appears with the first finished slices"


class VolumeDialog(QDialog):
    """What is wanted on the left, what has come of it on the right."""

    def __init__(
        self, parent: QMainWindow, session: Session, volumes: Volumes, preferences: Preferences
    ) -> None:
        super().__init__(parent)
        self._session, self._volumes, self._preferences = session, volumes, preferences
        self.setWindowTitle("A volume slice by slice")
        self.resize(860, 460)
        left, right = QWidget(), QWidget()
        left.setFixedWidth(340)
        self._make_wishes(left)
        self._make_progress(right)
        across = row(self, spacing=14, margins=(12, 12, 12, 12))
        across.addWidget(left)
        across.addWidget(right, 1)
        volumes.changed.connect(self.refresh)
        volumes.progressed.connect(self._show_progress)
        volumes.pictured.connect(self._show_picture)
        self.refresh()
        self._show_progress()
        self._show_picture()

    def _make_wishes(self, left: QWidget) -> None:
        volumes = self._volumes
        self.about = QLabel(wordWrap=True)
        self.form = SettingsForm(VolumeSettings)
        self.form.edited.connect(self._set)
        pages = self.form.editors["pages"]
        assert isinstance(pages, QLineEdit)
        pages.setPlaceholderText("all")
        pages.setToolTip("Pages from 1, such as 1-100 or 4, 8, 11-21; empty takes all of them")
        more = form()
        tip = "The float32 TIFF to write; finished slices are kept beside it until then"
        self.out = FileLine("Result", tip)
        self.out.button.clicked.disconnect()
        self.out.button.clicked.connect(lambda _checked=False: self.choose_out())
        self.out.chosen.connect(lambda text: volumes.set_out(Path(text).expanduser() if text else None))
        self.workers = QLineEdit()
        self.workers.setToolTip(
            "Processes on this machine among which the slices are shared out, or a dask scheduler such as\n"
            "dask://host:8786, whose machines must see the files under the same paths"
        )
        self.workers.editingFinished.connect(lambda: volumes.set_workers(self.workers.text()))
        self.restart = QCheckBox("&Begin anew")
        self.restart.setToolTip("Throw away what an earlier attempt at this result has finished")
        self.restart.toggled.connect(volumes.set_restart)
        labelled(more, "Result", self.out, tip)
        labelled(more, "Workers", self.workers, self.workers.toolTip())
        more.addRow("", self.restart)
        self.plan = QLabel(wordWrap=True)
        self.start = push_button("&Start", "", self._start)
        self.start.setStyleSheet(RUN_BUTTON)
        self.pause = push_button("&Pause", "Hold after the patch batch in hand; again to go on", self._pause)
        self.stop = push_button(
            "S&top", "Stop; finished slices are kept, and Start goes on with the rest", volumes.stop
        )
        buttons = row(spacing=6)
        for button in (self.start, self.pause, self.stop):
            buttons.addWidget(button, 1)
        layout = column(left, spacing=10)
        layout.addWidget(self.about)
        layout.addWidget(self.form)
        layout.addLayout(more)
        layout.addWidget(self.plan)
        layout.addStretch(1)
        layout.addLayout(buttons)

    def _make_progress(self, right: QWidget) -> None:
        tip = "Slices finished, of all; smoothing along z passes through them once more"
        self.bar = progress_bar("Progress of the volume", tip)
        self.state, self.failures = QLabel(), QLabel(wordWrap=True)
        self.state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.curve = Plot("PSNR by page [dB]", tip="Of each finished slice, where the truth is known")
        self.curve.set_empty_text(_WAITING)
        self.wall = PictureWall()
        self.wall.setAccessibleName("The slice finished last")
        self.open_result = push_button(
            "&Open result", "Show the finished volume in the window, page by page", self._open
        )
        close = push_button("&Close", "Close this dialog; a volume under way goes on", self.close)
        layout = column(right, spacing=8)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        layout.addWidget(self.curve, 2)
        layout.addWidget(self.wall, 3)
        layout.addWidget(self.failures)
        layout.addLayout(button_row(self.open_result, close))

    # From the user ----------------------------------------------------------------------------------

    def choose_out(self, then_start: bool = False) -> None:
        """Ask where the volume goes."""

        def chosen(path: Path) -> None:
            self._preferences.went_to("export", path)
            self._volumes.set_out(path)
            if then_start:
                self._volumes.start()

        start = self._preferences.folder_of("export")
        choose_to_write(self, "Write the volume", TIFFS, self._volumes.proposed_name, chosen, start)

    def _set(self, name: str, value: object) -> None:
        """Here pages count from 1; in the settings, as on the command line, from 0."""
        self._volumes.set_pages(str(value)) if name == "pages" else self._volumes.set(name, value)

    def _start(self) -> None:
        if self._volumes.out is None:
            self.choose_out(then_start=True)
        else:
            self._volumes.start()

    def _pause(self) -> None:
        paused = self._volumes.state is ProcessState.PAUSED
        self._volumes.go_on() if paused else self._volumes.pause()

    def _open(self) -> None:
        self._session.spawn(self._volumes.open_result())

    # To the user ------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what is wanted, and what can be done."""
        volumes, session = self._volumes, self._session
        obstacle, state = volumes.obstacle(), volumes.state
        image, method = session.data.image, session.method
        if image is None:
            self.about.setText(obstacle)
        else:
            physics, solver = find_physics(method.physics).label, find_solver(method.solver).label
            self.about.setText(
                f"Every slice of <b>{image.name}</b> ({image.pages} pages), with the problem, prior and solver of the "
                f"left column: {physics}, {solver}."
            )
        self.form.show_settings(volumes.settings.model_copy(update={"pages": volumes.pages_from_1}))
        self.form.setEnabled(not volumes.active)
        show_value(self.out, "" if volumes.out is None else str(volumes.out))
        show_value(self.workers, volumes.workers)
        show_value(self.restart, volumes.restart)
        for editor in (self.out, self.workers, self.restart):
            editor.setEnabled(not volumes.active)
        self.plan.setText(self._plan_text(obstacle))
        self.start.setEnabled(not obstacle)
        self.start.setToolTip(
            obstacle or "Reconstruct these slices; what is finished already is not made again"
        )
        self.pause.setEnabled(state in (ProcessState.RUNNING, ProcessState.PAUSED))
        self.pause.setText("&Resume" if state is ProcessState.PAUSED else "&Pause")
        self.stop.setEnabled(state.active and state is not ProcessState.STOPPING)
        self.open_result.setEnabled(volumes.result is not None)
        self._show_state()

    def _plan_text(self, obstacle: str) -> str:
        volumes = self._volumes
        if volumes.active or self._session.data.image is None:
            return ""
        if obstacle:
            return obstacle
        count = volumes.count
        text = f"{count} slice{'s' * (count != 1)}"
        if volumes.seconds is not None:
            text += f", about {clock(volumes.seconds)} on this machine"
        return text + "."

    def _show_state(self) -> None:
        progress = self._volumes.progress
        parts = [self._volumes.state_text]
        if progress.current:
            parts.append(progress.current)
        if math.isfinite(progress.seconds_left):
            parts.append(f"{clock(progress.seconds_left)} left")
        if math.isfinite(progress.mean_psnr):
            before = progress.unsmoothed_psnr
            than = f" (before smoothing {before:.2f})" if math.isfinite(before) else ""
            parts.append(f"mean PSNR {progress.mean_psnr:.2f} dB{than}")
        self.state.setText(" · ".join(parts))

    def _show_progress(self) -> None:
        progress = self._volumes.progress
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.bar.setFormat(f"{progress.done} of {progress.total}" if progress.total else "")
        known = progress.psnr or progress.residual
        with_truth = bool(progress.psnr) or not progress.residual
        self.curve.set_title("PSNR by page [dB]" if with_truth else "Residual by page")
        pages = [page + 1 for page in sorted(known)]
        values = [known[page - 1] for page in pages]
        colour = CURVE["psnr"] if with_truth else BASELINE
        self.curve.set_lines([Line("slices", colour, pages, values, dots=True)] if pages else [])
        if progress.pages:
            self.curve.set_x_range(progress.pages[0] + 1, progress.pages[-1] + 1)
        failures = progress.failures
        more = f" … and {len(failures) - 1} more" if len(failures) > 1 else ""
        self.failures.setText(f"{failures[0]}{more}" if failures else "")
        self.failures.setVisible(bool(failures))
        self._show_state()

    def _show_picture(self) -> None:
        volumes = self._volumes
        self.wall.setVisible(volumes.picture is not None)
        if volumes.picture is not None:
            tip = "The slice finished last; black and white are those of the prior"
            self.wall.set_groups([[[Tile(f"page {volumes.picture_page + 1}", volumes.picture, tip)]]])


class VolumeNote(QToolButton):
    """Says in the status bar how far a volume is; a click brings its dialog."""

    def __init__(self, volumes: Volumes, dialog: QAction) -> None:
        """``dialog`` brings the dialog."""
        super().__init__(autoRaise=True)
        self._volumes = volumes
        self.setAccessibleName("Volume under way")
        self.setToolTip("Show the volume")
        self.clicked.connect(dialog.trigger)
        volumes.changed.connect(self.refresh)
        volumes.progressed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show where the volume stands; nothing without one."""
        volumes, progress = self._volumes, self._volumes.progress
        self.setVisible(volumes.active)
        if not volumes.active:
            return
        done = f" {progress.done} of {progress.total}" if progress.total else ""
        left = f", {clock(progress.seconds_left)} left" if math.isfinite(progress.seconds_left) else ""
        state = "" if volumes.state is ProcessState.RUNNING else f", {volumes.state_text.lower()}"
        self.setText(f"Volume{done}{state}{left}")


def show_volume_dialog(
    window: QMainWindow, session: Session, volumes: Volumes, preferences: Preferences
) -> VolumeDialog:
    """The dialog of the volume, with the keyboard in it; there is one of them."""
    dialog = window.findChild(VolumeDialog) or VolumeDialog(window, session, volumes, preferences)
    dialog.show()
    dialog.raise_()
    dialog.activateWindow()
    dialog.form.editors["pages"].setFocus(Qt.FocusReason.OtherFocusReason)
    return dialog
