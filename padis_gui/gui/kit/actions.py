"""The window's actions, and what can be done with the panes: names, shortcuts, icons and tips, each declared once."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QWidget

from padis_gui.core.runs.control import RunState
from padis_gui.gui.kit.theme import icon
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preparation import Stage


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action, an attribute ``name`` of its table's class; those of one ``group`` exclude each other."""

    name: str
    text: str
    keys: str
    tip: str
    icon: str = ""
    group: str = ""

    def make(self, owner: QWidget, prefix: str = "") -> QAction:
        """The action, with its keys in ``owner``'s window; its object has the name after the prefix."""
        action = QAction(self.text, owner, checkable=bool(self.group))
        if self.icon:
            action.setIcon(icon(self.icon))
        action.setObjectName(f"{prefix}{self.name}")
        action.setShortcut(QKeySequence(self.keys))
        action.setToolTip(f"{self.tip} ({self.keys})" if self.keys else self.tip)
        owner.addAction(action)
        return action


_OF_WINDOW = (
    ActionRecord("open_image", "&Open image…", "Ctrl+O", "Open an image", "open"),
    ActionRecord("open_folder", "Open &folder…", "Ctrl+Shift+O", "Open a folder of images, or a DICOM series in one"),
    ActionRecord("slices", "Pa&ges…", "Ctrl+G", "See all pages or slices of the open file, and open one"),
    ActionRecord("datasets", "Data se&ts…", "", "Read another data set, series or channel of the open file"),
    ActionRecord("open_demo", "Open &demo", "Ctrl+D", "The bundled image and prior of the chosen preset, ready to run"),
    ActionRecord("open_prior", "Open &checkpoint…", "Ctrl+P", "Open a prior", "prior"),
    ActionRecord(
        "export", "&Export…", "Ctrl+S",
        "Write the result, the iterates, an animation, the curves or a report, with the recipe and the seed", "export",
    ),
    ActionRecord(
        "send_napari", "Send to n&apari", "",
        "Open the result, and the iterates that are kept with their tilings, in napari; it is looked for on PATH, or "
        "chosen once",
    ),
    ActionRecord(
        "send_imagej", "Send to Image&J", "",
        "Open the result in ImageJ or Fiji; it is looked for on PATH, or chosen once",
    ),
    ActionRecord(
        "restore", "&Restore run…", "Ctrl+Shift+S", "Bring back the run that made an exported TIFF, ready to be repeated"
    ),
    ActionRecord(
        "restore_session", "Restore last sessio&n", "",
        "Bring back the settings and the runs of the last session, where that ended unexpectedly",
    ),
    ActionRecord(
        "preferences", "&Preferences…", "Ctrl+,", "Colours, how often iterates are shown, memory for their history"
    ),
    ActionRecord("quit", "&Quit", "Ctrl+Q", "Close the window"),
    ActionRecord("run", "&Run", "Ctrl+R", "Reconstruct with these settings", "run"),
    ActionRecord(
        "pause", "&Pause", "Space", "Pause after the patch batch in hand; again to go on", "pause"
    ),
    ActionRecord(
        "step", "&Step", "N", "One iterate, then pause; also starts a run", "step"
    ),
    ActionRecord(
        "finish", "&Finish now", "Ctrl+Return", "Stop and keep the current estimate", "finish"
    ),
    ActionRecord("cancel", "&Cancel", "Esc", "Stop and keep nothing of this run, or of what is being prepared", "cancel"),
    ActionRecord("show_running", "Sh&ow what runs", "Ctrl+Shift+L", "Show the run under way, whatever is open or shown"),
    ActionRecord(
        "enqueue", "&Add to queue", "Ctrl+Shift+R",
        "Run these settings after what runs and waits; a held queue collects them until it is started",
    ),
    ActionRecord(
        "save_preset", "Sa&ve as preset…", "", "Keep problem, solver and settings under a name, among the presets"
    ),
    ActionRecord(
        "samples", "Draw sa&mples…", "",
        "Several runs of these settings with different seeds: their mean, their deviation, and what it is worth",
    ),
    ActionRecord(
        "volume", "Slice &by slice…", "",
        "Reconstruct every slice of the open file by itself with these settings, in a process of its own that can be "
        "stopped and gone on with, and write them as one volume",
    ),
    ActionRecord("fit", "&Fit", "F", "Show the whole image in all panes"),
    ActionRecord("tiling", "&Tiling", "T", "Show the tiling of the shown step"),
    ActionRecord(
        "next_region", "&Next region", "F6",
        "Put the keyboard into the next part of the page: each section of settings, Run, pictures, panels",
    ),
    ActionRecord("previous_region", "Previous re&gion", "Shift+F6", "Put the keyboard into the part of the page before"),
    ActionRecord("reset_layout", "&Reset layout", "", "Put every panel back to where it was at first"),
    ActionRecord("shortcuts", "&Keys and mouse", "F1", "All keys and what the mouse does"),
    ActionRecord(
        "palette", "&Find an action…", "Ctrl+Shift+P", "All actions of the menus in one list, found by parts of a name"
    ),
    ActionRecord(
        "report", "&Report a problem…", "", "A report with versions, settings and the end of the log, to copy or save"
    ),
    ActionRecord("about", "&About padis_gui", "", "Version, licence and where things are kept"),
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
    send_napari: QAction
    send_imagej: QAction
    restore: QAction
    restore_session: QAction
    preferences: QAction
    quit: QAction
    run: QAction
    pause: QAction
    step: QAction
    finish: QAction
    cancel: QAction
    show_running: QAction
    enqueue: QAction
    save_preset: QAction
    samples: QAction
    volume: QAction
    fit: QAction
    tiling: QAction
    next_region: QAction
    previous_region: QAction
    reset_layout: QAction
    shortcuts: QAction
    palette: QAction
    report: QAction
    about: QAction

    def __init__(self, window: QMainWindow) -> None:
        for record in _OF_WINDOW:
            setattr(self, record.name, record.make(window))
        self.tiling.setCheckable(True)
        self.tiling.setChecked(True)
        # "?" is a second key of many keyboards' help
        self.shortcuts.setShortcuts([QKeySequence("F1"), QKeySequence("?")])
        self.restore_session.setEnabled(False)
        self.quit.setMenuRole(QAction.MenuRole.QuitRole)
        self.preferences.setMenuRole(QAction.MenuRole.PreferencesRole)
        self.about.setMenuRole(QAction.MenuRole.AboutRole)

    @property
    def files(self) -> list[QAction]:
        """What opens and writes files."""
        return [self.open_image, self.open_prior, self.export]

    @property
    def steering(self) -> list[QAction]:
        return [self.run, self.pause, self.step, self.finish, self.cancel]

    @property
    def queueing(self) -> list[QAction]:
        """What puts runs into the queue."""
        return [self.enqueue, self.samples]

    def allow(self, session: Session) -> None:
        """Enable exactly what can be done now. Whatever has the compute thread, the next run can be chosen and queued."""
        state = session.run.snapshot().state
        ready, steerable = (
            session.opened() is not None,
            state.active and state is not RunState.STOPPING,
        )
        for action in (self.pause, self.finish):
            action.setEnabled(steerable)
        preparing = not session.occupied_by and session.preparation.stage is Stage.PREPARING
        self.cancel.setEnabled(steerable or preparing or session.volume.loading is not None)
        self.show_running.setEnabled(state.active and session.shown.history is not session.run.history)
        busy = session.occupied_by if not state.active else "A run"
        self.slices.setEnabled(session.data.image is not None and session.data.image.pages > 1)
        self.datasets.setEnabled(session.data.image is not None)
        self.offer_run(busy)
        self.run.setEnabled(ready)
        self.step.setEnabled(ready and (steerable or not busy))
        for action in self.queueing:
            action.setEnabled(ready)
        exportable = session.shown.result is not None and (
            not state.active or session.shown.record is not None
        )
        for action in (self.export, self.send_napari, self.send_imagej):
            action.setEnabled(exportable)
        self.pause.setText("&Resume" if state is RunState.PAUSED else "&Pause")

    def offer_run(self, busy: str) -> None:
        """Run; or, while something is under way that ``busy`` names, queue what is chosen behind it."""
        keys = self.run.shortcut().toString()
        tip = "Reconstruct with these settings"
        if busy:
            tip = f"Put these settings at the end of the queue. {busy} is under way; they run after it"
        self.run.setText("&Queue next" if busy else "&Run")
        self.run.setToolTip(f"{tip} ({keys})")


def panel_action(
    panel: QWidget,
    name: str,
    text: str,
    tip: str,
    keys: str,
    do: Callable[[], object],
    within: QWidget | None,
) -> QAction:
    """An action of a panel. Its keys work while the keyboard is ``within`` a widget; None: in the whole window."""
    action = QAction(text, panel)
    action.setObjectName(name)
    action.setToolTip(f"{tip} ({keys})" if keys else tip)
    action.setShortcut(QKeySequence(keys))
    if within is not None:  # lists, trees and text fields elsewhere need such keys themselves
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        within.addAction(action)
    panel.addAction(action)
    action.triggered.connect(lambda _checked=False: do())
    return action


_OF_PANES = (
    ActionRecord("add", "Add pane", "Ctrl+T", "One more pane, with a source that is not shown yet"),
    ActionRecord("close", "Close pane", "Ctrl+W", "Close the framed pane"),
    ActionRecord("maximise", "Maximise pane", "M", "Show the framed pane alone, and all of them again"),
    ActionRecord("link", "Link pane", "K", "Link the framed pane's view and levels with the others', or unlink them"),
    ActionRecord("move", "Pan", "V", "Drag to pan; the wheel zooms the picture that was clicked, or with Ctrl any",
                 group="tool"),
    ActionRecord("profile", "Line profile", "L", "Drag a line, or type its ends: its values in every pane", group="tool"),
    ActionRecord("rectangle", "Rectangle", "R", "Drag a rectangle, or type its place: its statistics in every pane",
                 group="tool"),
    ActionRecord("ellipse", "Ellipse", "E", "Drag an ellipse, or type its place: its statistics in every pane",
                 group="tool"),
    ActionRecord("mask", "Paint mask", "P", "Paint what is missing on the image, for inpainting", group="tool"),
    ActionRecord("crop", "Crop…", "C", "Drag the region of the picture that is to be reconstructed, or type its place",
                 group="tool"),
    ActionRecord("crosshair", "Crosshair", "X", "Of a volume: click or drag where the three planes shall cut it",
                 group="tool"),
    ActionRecord("side", "Side by side", "S", "Compare two pictures side by side; again to leave", group="compare"),
    ActionRecord("wipe", "Wipe", "W", "Compare two pictures with a divider that can be dragged; again to leave",
                 group="compare"),
    ActionRecord("blink", "Blink", "B", "Compare two pictures in turn at one place; again to leave", group="compare"),
    ActionRecord("subtract", "Subtract", "D", "The signed difference of two pictures; again to leave", group="compare"),
)  # fmt: skip


class PaneActions:
    """One attribute for each action; ``tools`` and ``modes`` are those that exclude each other."""

    add: QAction
    close: QAction
    maximise: QAction
    link: QAction
    move: QAction
    profile: QAction
    rectangle: QAction
    ellipse: QAction
    mask: QAction
    crop: QAction
    crosshair: QAction
    side: QAction
    wipe: QAction
    blink: QAction
    subtract: QAction

    def __init__(self, owner: QWidget) -> None:
        self.tools, self.modes = QActionGroup(owner), QActionGroup(owner)
        self.modes.setExclusionPolicy(QActionGroup.ExclusionPolicy.ExclusiveOptional)
        self.panes: list[QAction] = []
        for record in _OF_PANES:
            action = record.make(owner, "view_")
            if record.name != "link":  # its icon is on the panes, and says whether they are linked
                action.setIcon(icon(record.name))
            action.setData(record.name)
            if record.group:
                (self.tools if record.group == "tool" else self.modes).addAction(action)
            else:
                self.panes.append(action)
            setattr(self, record.name, action)
        self.move.setChecked(True)
