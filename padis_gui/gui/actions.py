"""The window's actions: names, shortcuts, icons and tips in one table."""

from dataclasses import dataclass

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow

from padis_gui.gui.viewers.icons import icon
from padis_gui.viewmodels.run import RunState
from padis_gui.viewmodels.session import Session


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    text: str
    keys: str
    tip: str
    icon: str = ""


_TABLE = (
    _Record("open_image", "&Open image…", "Ctrl+O", "Open an image", "open"),
    _Record("open_folder", "Open &folder…", "Ctrl+Shift+O", "Open a folder of images, or a DICOM series in one"),
    _Record("slices", "Pa&ges…", "Ctrl+G", "See all pages or slices of the open file, and open one"),
    _Record("datasets", "Data se&ts…", "", "Read another data set, series or channel of the open file"),
    _Record("open_demo", "Open &demo", "Ctrl+D", "The bundled image and prior of the chosen preset, ready to run"),
    _Record("open_prior", "Open &checkpoint…", "Ctrl+P", "Open a prior", "prior"),
    _Record(
        "export", "&Export…", "Ctrl+S",
        "Write the result, the iterates, an animation, the curves or a report, with the recipe and the seed", "export",
    ),
    _Record(
        "restore", "&Restore run…", "Ctrl+Shift+S", "Bring back the run that made an exported TIFF, ready to be repeated"
    ),
    _Record("preferences", "&Preferences…", "Ctrl+,", "Colours, how often iterates are shown, memory for their history"),
    _Record("quit", "&Quit", "Ctrl+Q", "Close the window"),
    _Record("run", "&Run", "Ctrl+R", "Reconstruct with these settings", "run"),
    _Record(
        "pause", "&Pause", "Space", "Pause after the patch batch in hand; again to go on", "pause"
    ),
    _Record(
        "step", "&Step", "N", "One iterate, then pause; also starts a run", "step"
    ),
    _Record(
        "finish", "&Finish now", "Ctrl+Return", "Stop and keep the current estimate", "finish"
    ),
    _Record("cancel", "&Cancel", "Esc", "Stop and keep nothing of this run", "cancel"),
    _Record(
        "enqueue", "&Add to queue", "Ctrl+Shift+R", "Run these settings after what runs and waits"
    ),
    _Record(
        "samples", "Draw sa&mples…", "",
        "Several runs of these settings with different seeds: their mean, their deviation, and what it is worth",
    ),
    _Record(
        "volume", "Run &volume…", "",
        "Reconstruct every slice of the open file with these settings, and write them as one volume",
    ),
    _Record("fit", "&Fit", "F", "Show the whole image in all panes"),
    _Record("tiling", "&Tiling", "T", "Show the tiling of the shown step"),
    _Record("next_panel", "&Next panel", "F6", "Put the keyboard into the next panel"),
    _Record("reset_layout", "&Reset layout", "", "Put every panel back to where it was at first"),
    _Record("shortcuts", "&Keys and mouse", "F1", "All keys and what the mouse does"),
    _Record("report", "&Report a problem…", "", "A report with versions, settings and the end of the log, to copy or save"),
    _Record("about", "&About padis_gui", "", "Version, licence and where things are kept"),
)  # fmt: skip


class Actions:
    """One attribute for each action; the window connects them."""

    open_image: QAction
    open_folder: QAction
    slices: QAction
    datasets: QAction
    open_demo: QAction
    open_prior: QAction
    export: QAction
    restore: QAction
    preferences: QAction
    quit: QAction
    run: QAction
    pause: QAction
    step: QAction
    finish: QAction
    cancel: QAction
    enqueue: QAction
    samples: QAction
    volume: QAction
    fit: QAction
    tiling: QAction
    next_panel: QAction
    reset_layout: QAction
    shortcuts: QAction
    report: QAction
    about: QAction

    def __init__(self, window: QMainWindow) -> None:
        for record in _TABLE:
            action = QAction(record.text, window)
            if record.icon:
                action.setIcon(icon(record.icon))
            action.setObjectName(record.name)
            action.setShortcut(QKeySequence(record.keys))
            action.setToolTip(f"{record.tip} ({record.keys})" if record.keys else record.tip)
            window.addAction(action)
            setattr(self, record.name, action)
        self.tiling.setCheckable(True)
        self.tiling.setChecked(True)
        # "?" is a second key of many keyboards' help
        self.shortcuts.setShortcuts([QKeySequence("F1"), QKeySequence("?")])
        self.quit.setMenuRole(QAction.MenuRole.QuitRole)
        self.preferences.setMenuRole(QAction.MenuRole.PreferencesRole)
        self.about.setMenuRole(QAction.MenuRole.AboutRole)

    @property
    def files(self) -> list[QAction]:
        """What opens and writes files."""
        return [self.open_image, self.open_prior, self.export]

    @property
    def steering(self) -> list[QAction]:
        """What steers a run."""
        return [self.run, self.pause, self.step, self.finish, self.cancel]

    @property
    def queueing(self) -> list[QAction]:
        """What puts runs into the queue."""
        return [self.enqueue, self.samples]

    def allow(self, session: Session) -> None:
        """Enable exactly what can be done now."""
        state = session.run.snapshot().state
        ready, steerable = session.job() is not None, state.active and state is not RunState.STOPPING
        for action in (self.pause, self.finish, self.cancel):
            action.setEnabled(steerable)
        free = not state.active and not session.occupied_by
        for action in (self.restore, self.open_image, self.open_folder, self.open_demo, self.open_prior):
            action.setEnabled(free)
        self.slices.setEnabled(session.data.image is not None and session.data.image.pages > 1)
        self.datasets.setEnabled(free and session.data.image is not None)
        self.run.setEnabled(ready and free)
        self.step.setEnabled(ready and (steerable or free))
        for action in self.queueing:
            action.setEnabled(ready)
        self.export.setEnabled(session.shown.result is not None and not state.active)
        self.pause.setText("&Resume" if state is RunState.PAUSED else "&Pause")
