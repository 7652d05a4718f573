"""The main window: actions, layout, and the wiring between the session and the widgets."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
)
from PySide6.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFileDialog,
    QLabel,
    QMainWindow,
    QScrollArea,
    QStyle,
    QToolBar,
    QWidget,
)

from padis_gui import __version__
from padis_gui.gui.layouts import column
from padis_gui.gui.message_bar import MessageBar
from padis_gui.gui.panels.setup import DataSection, PriorSection, ProblemSection, SolverSection
from padis_gui.gui.panels.transport import Transport
from padis_gui.gui.theme import SCHEMES, set_scheme
from padis_gui.gui.viewers.curves import Curves
from padis_gui.gui.viewers.pane_grid import PaneGrid
from padis_gui.viewmodels.frames import Frame
from padis_gui.viewmodels.run import RunState
from padis_gui.viewmodels.session import Session

FRAME_INTERVAL_MS = 33
CURVE_EVERY_FRAMES = 3
IMAGE_FILTER = "Images (*.png *.jpg *.jpeg *.bmp *.tif *.tiff *.npy *.dcm);;All files (*)"
PRIOR_FILTER = "Priors (*.safetensors);;All files (*)"
# Window presets in Hounsfield units, as radiologists set them: (low, high)
HU_LEVELS = {"Soft tissue": (-160.0, 240.0), "Lung": (-1350.0, 150.0), "Bone": (-500.0, 1300.0)}
FULL, ROBUST = "Full range", "1–99 % of truth"


class MainWindow(QMainWindow):
    """Everything a run needs on one screen."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.closed = asyncio.Event()
        self._closing = False
        self._frames_shown = 0
        self._frame: Frame | None = None
        self.setWindowTitle(f"padis_gui {__version__}")
        self.resize(1440, 900)
        self.setAcceptDrops(True)
        self._make_actions()
        self._lay_out()
        self._make_menus()
        self._paint = QTimer(self, singleShot=True, interval=FRAME_INTERVAL_MS)
        self._paint.timeout.connect(self._paint_latest)
        session.run.dirty.connect(self._ask_for_paint)
        session.run.changed.connect(self._show_run)
        session.settings_changed.connect(self._show_state)
        session.data_changed.connect(self._show_data)
        session.prior_changed.connect(self._show_state)
        session.prepared_changed.connect(self._show_prepared)
        session.result_changed.connect(self._show_state)
        session.message.connect(self.messages.show_message)
        self._show_data()
        self._show_run()

    # Making the window ----------------------------------------------------------------------------

    def _action(
        self,
        name: str,
        text: str,
        icon: QStyle.StandardPixmap | None,
        keys: str,
        tip: str,
        slot: Callable[[], object],
    ) -> QAction:
        action = QAction(text, self)
        if icon is not None:
            action.setIcon(self.style().standardIcon(icon))
        action.setObjectName(name)
        action.setShortcut(QKeySequence(keys))
        action.setToolTip(f"{tip} ({QKeySequence(keys).toString()})" if keys else tip)
        action.triggered.connect(lambda _checked=False: slot())
        self.addAction(action)
        return action

    def _make_actions(self) -> None:
        run, icons = self.session.run, QStyle.StandardPixmap
        self.act_open = self._action(
            "open_image",
            "Open image…",
            icons.SP_DialogOpenButton,
            "Ctrl+O",
            "Open an image",
            self._choose_image,
        )
        self.act_prior = self._action(
            "open_prior", "Open checkpoint…", icons.SP_FileDialogDetailedView, "Ctrl+P", "Open a prior",
            self._choose_prior,
        )  # fmt: skip
        self.act_export = self._action(
            "export", "Export TIFF…", icons.SP_DialogSaveButton, "Ctrl+S",
            "Write the result as float32 TIFF that carries its recipe and seed", self._choose_export,
        )  # fmt: skip
        self.act_run = self._action(
            "run", "Run", icons.SP_MediaPlay, "Ctrl+R", "Reconstruct with these settings", self.session.start
        )
        self.act_pause = self._action(
            "pause", "Pause", icons.SP_MediaPause, "Space", "Pause after the patch batch in hand; again to go on",
            self._pause_or_resume,
        )  # fmt: skip
        self.act_step = self._action(
            "step",
            "Step",
            icons.SP_MediaSkipForward,
            "N",
            "One iterate, then pause (also starts a run)",
            self._step,
        )
        self.act_finish = self._action(
            "finish", "Finish now", icons.SP_DialogApplyButton, "Ctrl+Return", "Stop and keep the current estimate",
            run.finish,
        )  # fmt: skip
        self.act_cancel = self._action(
            "cancel", "Cancel", icons.SP_MediaStop, "Esc", "Stop and keep nothing of this run", run.cancel
        )
        self.act_fit = self._action(
            "fit", "Fit", None, "F", "Show the whole image in all panes", lambda: self.panes.fit()
        )
        self.act_tiling = self._action(
            "tiling", "Tiling", None, "T", "Show the tiling of the shown step", self._toggle_tiling
        )
        self.act_tiling.setCheckable(True)
        self.act_tiling.setChecked(True)

    def _lay_out(self) -> None:
        self.messages = MessageBar()
        self.panes = PaneGrid()
        self.panes.hovered.connect(self._show_cursor)
        centre = QWidget()
        layout = column(centre)
        layout.addWidget(self.messages)
        layout.addWidget(self.panes, 1)
        self.setCentralWidget(centre)

        self.transport = Transport(
            self.act_run, self.act_pause, self.act_step, self.act_finish, self.act_cancel
        )
        self.data = DataSection(self.session, self._choose_image)
        self.problem = ProblemSection(self.session)
        self.prior = PriorSection(self.session, self._choose_prior)
        self.solver = SolverSection(self.session)
        setup = QWidget()
        sections = column(setup, spacing=10, margins=(8, 4, 8, 8))
        for section in (self.data, self.problem, self.prior, self.solver):
            sections.addWidget(section)
        sections.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(setup)
        left = QWidget()
        stacked = column(left)
        stacked.addWidget(scroll, 1)
        stacked.addWidget(self.transport)
        left.setMinimumWidth(310)
        self._dock("Setup", left, Qt.DockWidgetArea.LeftDockWidgetArea)
        self.curves = Curves()
        right = self._dock("Curves", self.curves, Qt.DockWidgetArea.RightDockWidgetArea)
        self.resizeDocks([right], [290], Qt.Orientation.Horizontal)

        self.levels = QComboBox()
        self.levels.setAccessibleName("Levels")
        self.levels.setToolTip(
            "Intensities shown black and white, the same in every pane; they never move by themselves"
        )
        self.levels.currentIndexChanged.connect(self._set_levels)
        bar = QToolBar("Main", movable=False)
        bar.setObjectName("main_toolbar")
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for action in (self.act_open, self.act_prior, self.act_export):
            bar.addAction(action)
        bar.addSeparator()
        for action in (self.act_fit, self.act_tiling):
            bar.addAction(action)
        bar.addSeparator()
        bar.addWidget(QLabel(" Levels "))
        bar.addWidget(self.levels)
        bar.addSeparator()
        self.verdict = QLabel()
        self.verdict.setContentsMargins(8, 0, 8, 0)
        bar.addWidget(self.verdict)
        self.addToolBar(bar)
        self.cursor_text = QLabel("Point at a pane to read its values")
        self.statusBar().addWidget(self.cursor_text, 1)
        self.device_text = QLabel()
        self.statusBar().addPermanentWidget(self.device_text)

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(title.lower())
        dock.setWidget(widget)
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
        self.addDockWidget(area, dock)
        return dock

    def _make_menus(self) -> None:
        file, run, view = (self.menuBar().addMenu(name) for name in ("&File", "&Run", "&View"))
        file.addActions([self.act_open, self.act_prior, self.act_export])
        file.addSeparator()
        file.addAction(self._action("quit", "Quit", None, "Ctrl+Q", "Close the window", self.close))
        run.addActions([self.act_run, self.act_pause, self.act_step, self.act_finish, self.act_cancel])
        view.addActions([self.act_fit, self.act_tiling])
        view.addSeparator()
        for dock in self.findChildren(QDockWidget):
            view.addAction(dock.toggleViewAction())
        schemes = view.addMenu("Colours")
        group = QActionGroup(self)
        for name in SCHEMES:
            action = QAction(name, self, checkable=True, checked=name == "System")
            action.triggered.connect(lambda _checked=False, name=name: set_scheme(name))
            group.addAction(action)
            schemes.addAction(action)

    # From the session to the widgets --------------------------------------------------------------

    def _ask_for_paint(self) -> None:
        if not self._paint.isActive():
            self._paint.start()

    def _paint_latest(self) -> None:
        """Paint the newest frame, if one came; curves and text follow at a third of the rate."""
        frame = self.session.run.take_frame()
        if frame is None:
            return
        self._frame = frame
        self.panes.set_pictures(
            {
                "estimate": frame.estimate, "state": frame.state, "denoised": frame.denoised,
                "difference": frame.difference,
            }
        )  # fmt: skip
        self.panes.set_partition(frame.partition)
        self._frames_shown += 1
        if self._frames_shown % CURVE_EVERY_FRAMES == 0 or frame.step == frame.total:
            self._show_progress()

    def _show_progress(self) -> None:
        points = self.session.run.points()
        snapshot = self.session.run.snapshot()
        self.transport.show_snapshot(snapshot)
        self.curves.set_points(points, snapshot.total)
        if points:
            last = points[-1]
            self.panes.set_captions(
                {
                    "estimate": f"step {last.step}, {last.psnr:.2f} dB",
                    "state": f"σ = {last.sigma:.3g}",
                    "difference": "−10 % to +10 % of the levels",
                }
            )

    def _show_run(self) -> None:
        state = self.session.run.snapshot().state
        if state is RunState.PREPARING:
            self.messages.hide()
            cleared = ("estimate", "state", "denoised", "difference")
            self.panes.set_pictures(dict.fromkeys(cleared))
            self.panes.set_partition(None)
            self.panes.set_captions(dict.fromkeys(cleared, ""))
            self._frame = None
        if not state.active:
            self._paint_latest()
        self._show_progress()
        self._show_state()

    def _show_state(self) -> None:
        """Enable what can be done now; say whether the shown result is stale."""
        run = self.session.run
        snapshot = run.snapshot()
        active = snapshot.state.active
        stopping = snapshot.state is RunState.STOPPING
        ready = self.session.job() is not None
        self.act_run.setEnabled(ready and not active)
        self.act_pause.setEnabled(active and not stopping)
        self.act_pause.setText("Resume" if snapshot.state is RunState.PAUSED else "Pause")
        self.act_step.setEnabled(ready and not stopping)
        self.act_finish.setEnabled(active and not stopping)
        self.act_cancel.setEnabled(active and not stopping)
        self.act_export.setEnabled(self.session.result is not None and not active)
        self.act_prior.setEnabled(not active)
        for section in (self.data.open, self.data.page):
            section.setEnabled(not active)
        self.act_open.setEnabled(not active)
        self.device_text.setText(f"Device: {self.session.device_text}")
        self._show_verdict(active)

    def _show_verdict(self, active: bool) -> None:
        result = self.session.result
        if active:
            text = "Running…"
        elif self.session.stale:
            text = "⚠ Stale: the settings have changed since this result; press Run"
        elif result is not None:
            m = result.metrics
            text = (
                f"PSNR {m['psnr']:.2f} dB, SSIM {m['ssim']:.3f}   (FBP {m['psnr_baseline']:.2f} dB, "
                f"{m['ssim_baseline']:.3f})   {result.seconds:.1f} s   seed {result.recipe.seed}"
            )
        else:
            text = "Ready: press Run" if self.session.job() is not None else "Opening…"
        self.verdict.setText(text)

    def _show_data(self) -> None:
        image = self.session.image
        with_units = image is not None and image.unit == "HU"
        names = [FULL, *(HU_LEVELS if with_units else ()), ROBUST]
        if [self.levels.itemText(i) for i in range(self.levels.count())] != names:
            self.levels.blockSignals(True)
            self.levels.clear()
            self.levels.addItems(names)
            self.levels.blockSignals(False)
        nothing = "Open an image: drop a file here, or Ctrl+O" if image is None else ""
        self.panes.set_empty_texts(
            {
                "truth": nothing,
                "baseline": nothing,
                "estimate": nothing or "Press Run (Ctrl+R)\nto reconstruct",
                "difference": "Appears with the first step",
            }
        )
        if image is not None:
            self.setWindowTitle(f"{image.name} (page {image.page}) — padis_gui {__version__}")
            self._set_levels()
        self._show_state()

    def _show_prepared(self) -> None:
        prepared = self.session.prepared
        if prepared is None:
            return
        previous = self.panes.pixels("truth")
        self.panes.set_pictures(
            {"truth": prepared.truth, "baseline": prepared.baseline, "sinogram": prepared.sinogram}
        )
        views, bins = prepared.sinogram.shape[:2]
        metrics = prepared.baseline_metrics
        self.panes.set_captions(
            {
                "truth": prepared.image.unit,
                "baseline": f"{prepared.job.problem.fbp_filter}, {metrics['psnr']:.2f} dB",
                "sinogram": f"{views} views × {bins} bins",
            }
        )
        self.curves.set_baseline(metrics["psnr"])
        if previous is None or previous.shape != prepared.truth.shape:
            self.panes.fit()
        self._set_levels()
        self._show_state()

    def _set_levels(self) -> None:
        prepared = self.session.prepared
        image = prepared.image if prepared is not None else self.session.image
        if image is None:
            return
        name = self.levels.currentText()
        if name in HU_LEVELS:
            self.panes.set_levels(HU_LEVELS[name])
        elif name == ROBUST:
            self.panes.set_levels(image.robust_range())
        else:
            self.panes.set_levels(image.window)

    def _show_cursor(self, row: int, column: int) -> None:
        if row < 0:
            self.cursor_text.setText("Point at a pane to read its values")
            return
        image = self.session.image
        where = f"row {row}, column {column}"
        if image is not None and image.spacing:
            where += f"  ({row * image.spacing[0]:.1f}, {column * image.spacing[1]:.1f} mm)"
        unit = f" {image.unit}" if image is not None and image.unit else ""
        values = "   ".join(f"{name} {text}{unit}" for name, text in self.panes.values_at(row, column))
        tile = ""
        if self._frame is not None and (found := self._frame.partition.tile_at(row, column)) is not None:
            tile = f"   tile {found[0]}, {found[1]} px to the nearest seam"
        self.cursor_text.setText(f"{where}   {values}{tile}")

    # From the user to the session -----------------------------------------------------------------

    def _pause_or_resume(self) -> None:
        run = self.session.run
        run.resume() if run.snapshot().state is RunState.PAUSED else run.pause()

    def _step(self) -> None:
        if self.session.run.active:
            self.session.run.step()
        else:
            self.session.start(paused=True)

    def _toggle_tiling(self) -> None:
        self.panes.show_tiling(self.act_tiling.isChecked())

    def _choose(self, title: str, filters: str, chosen: Callable[[Path], object], *, save: str = "") -> None:
        dialog = QFileDialog(self, title, save, filters)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if save:
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            dialog.setDefaultSuffix("tif")
            dialog.selectFile(save)
        else:
            dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda name: chosen(Path(name)))
        dialog.open()

    def _choose_image(self) -> None:
        self._choose("Open image", IMAGE_FILTER, lambda p: self.session.spawn(self.session.open_image(p)))

    def _choose_prior(self) -> None:
        self._choose(
            "Open checkpoint", PRIOR_FILTER, lambda p: self.session.spawn(self.session.open_prior(p))
        )

    def _choose_export(self) -> None:
        result = self.session.result
        if result is None:
            return
        stem = Path(result.recipe.data.file).stem
        name = (
            f"{stem}_p{result.recipe.data.page}_{result.recipe.solver}_{result.recipe.problem.views}views.tif"
        )
        self._choose(
            "Export TIFF",
            "TIFF (*.tif *.tiff)",
            lambda p: self.session.spawn(self.session.export(p)),
            save=name,
        )

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() and not self.session.run.active:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        urls = [url for url in event.mimeData().urls() if url.isLocalFile()]
        if not urls:
            return
        path = Path(urls[0].toLocalFile())
        session = self.session
        opening = session.open_prior if path.suffix == ".safetensors" else session.open_image
        session.spawn(opening(path))
        event.acceptProposedAction()

    # Leaving --------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Cancel the run, let its thread end, then go: the window hides at once, the process follows."""
        if self.closed.is_set():
            event.accept()
            return
        event.ignore()
        if not self._closing:
            self._closing = True
            self.session.spawn(self._leave())

    async def _leave(self) -> None:
        self.hide()
        self._paint.stop()
        await self.session.close()
        self.closed.set()
