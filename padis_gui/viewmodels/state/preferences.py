"""What the window remembers from one start to the next: options, recent files, folders, its own arrangement; and where the
program keeps that, its log, the last session and measured times.

One JSON file in :func:`~padis_gui.viewmodels.state.preferences.user_folder`. A file that cannot be used never stops the
program: it is put aside, and the defaults are back.
"""

import logging
import os
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError
from PySide6.QtCore import QObject, QStandardPaths, QTimer, Signal

from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.settings.declarations import Settings, make, setting
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.files import HOME_VARIABLE, remove_leftovers, write_atomically
from padis_gui.core.settings.untrusted import read_json


def user_folder() -> Path:
    """The folder of everything that the program remembers; it need not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    standard = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(standard) / "padis_gui"


log = logging.getLogger(__name__)

RECENT_FILES = 10
_WRITE_DELAY_MS = 500

FileKind = Literal["image", "prior", "export", "mask"]


class Options(Settings):
    """What the user may choose about the window itself."""

    scheme: Literal["System", "Light", "Dark"] = setting(
        "System", label="Colours", help="Light or dark, or whatever the system has, also when that changes"
    )
    cadence: Literal["automatic", "steps", "milliseconds", "off"] = setting(
        "automatic", label="Show iterates",
        help="How often a running solver's iterate is painted: as often as costs at most 3 % of a core, every n steps, "
        "every n milliseconds, or only at the end",
    )  # fmt: skip
    every_steps: int = setting(
        5, ge=1, le=10_000, label="Every", unit="steps", help="Steps from one painted iterate to the next",
        when={"cadence": "steps"},
    )  # fmt: skip
    every_ms: int = setting(
        250, ge=20, le=60_000, label="Every", unit="ms", help="Time from one painted iterate to the next",
        when={"cadence": "milliseconds"},
    )  # fmt: skip
    history_mb: int = setting(
        256, ge=16, le=65_536, label="History", unit="MB",
        help="Memory for the kept iterates of all runs; where they are more, every second one goes",
    )  # fmt: skip


class _Remembered(Settings):
    """The file's content; what another version wrote beside it is left out."""

    model_config = ConfigDict(extra="ignore")
    format: Literal["padis-gui preferences"] = "padis-gui preferences"
    version: Literal[1] = 1
    options: dict[str, Any] = Field(default_factory=dict)
    device: str = "auto"
    recent: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    folders: dict[str, str] = Field(default_factory=dict)
    window: dict[str, str] = Field(default_factory=dict)
    export: dict[str, Any] = Field(default_factory=dict)


class Preferences(QObject):
    """``folder`` is where they are kept; None keeps them for this object's life only.

    ``changed`` is emitted after an option has changed, ``recent_changed`` after a list of recent files has.
    """

    changed = Signal()
    recent_changed = Signal()

    def __init__(self, folder: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self._kept, self.trouble = self._read()
        self.options = _usable(Options, self._kept.options)
        self._write_soon = QTimer(self, singleShot=True, interval=_WRITE_DELAY_MS)
        self._write_soon.timeout.connect(self.save)

    @property
    def path(self) -> Path | None:
        """The file, or None."""
        return None if self.folder is None else self.folder / "preferences.json"

    # Options --------------------------------------------------------------------------------------

    def set_option(self, name: str, value: Any) -> None:
        """Change one option; raises :class:`~padis_gui.core.settings.errors.SettingError` for a value out of range."""
        options = make(Options, self.options.model_dump() | {name: value})
        if options != self.options:
            self.options = options
            self._keep(options=options.model_dump(mode="json"))
            self.changed.emit()

    @property
    def device(self) -> str:
        """The device to compute on: "auto", or its name."""
        return self._kept.device

    def set_device(self, name: str) -> None:
        self._keep(device=name)

    # Files ----------------------------------------------------------------------------------------

    def recent(self, kind: FileKind) -> tuple[Path, ...]:
        """Files of that kind that were opened, the latest first."""
        return tuple(Path(name) for name in self._kept.recent.get(kind, ()))

    def opened(self, kind: FileKind, path: Path) -> None:
        """Put a file in front of the recent ones, and its folder where the next dialog begins."""
        name = str(Path(path).absolute())
        others = [other for other in self._kept.recent.get(kind, ()) if other != name]
        recent = self._kept.recent | {kind: (name, *others)[:RECENT_FILES]}
        self._keep(recent=recent, folders=self._kept.folders | {kind: str(Path(name).parent)})
        self.recent_changed.emit()

    def forget_recent(self, kind: FileKind) -> None:
        """Empty the list of recent files of that kind."""
        self._keep(recent={k: v for k, v in self._kept.recent.items() if k != kind})
        self.recent_changed.emit()

    def folder_of(self, kind: str) -> str:
        """Where the next dialog of that kind (or title) begins; empty for wherever the system wants."""
        return self._kept.folders.get(kind, "")

    def went_to(self, kind: str, path: Path) -> None:
        """Begin the next dialog of that kind where this file is."""
        self.begin_in(kind, Path(path).absolute().parent)

    def begin_in(self, kind: str, folder: Path) -> None:
        """Begin the next dialog of that kind in this folder."""
        self._keep(folders=self._kept.folders | {kind: str(folder)})

    @property
    def export(self) -> ExportSettings:
        """How results were exported last; the defaults where this version does not know that any more."""
        return _usable(ExportSettings, self._kept.export)

    def set_export(self, settings: ExportSettings) -> None:
        """Remember how results are exported."""
        self._keep(export=settings.model_dump(mode="json"))

    # The window -----------------------------------------------------------------------------------

    def window(self, name: str) -> str:
        """A remembered piece of the window's arrangement, empty where there is none."""
        return self._kept.window.get(name, "")

    def keep_window(self, **pieces: str) -> None:
        """Remember pieces of the window's arrangement, as text."""
        self._keep(window=self._kept.window | pieces)

    # The file -------------------------------------------------------------------------------------

    def _keep(self, **values: Any) -> None:
        self._kept = self._kept.model_copy(update=values)
        if self.folder is not None:
            self._write_soon.start()

    def save(self) -> None:
        """Write what has changed; a disk that refuses is logged, and nothing else happens."""
        self._write_soon.stop()
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, self._kept.model_dump_json(indent=2).encode())
        except OSError as error:
            log.warning("The preferences cannot be written to %s: %s", self.path, error)

    def _read(self) -> tuple[_Remembered, str]:
        """What the file holds, and a sentence where it is of no use."""
        path = self.path
        if path is not None:
            remove_leftovers(path)
        if path is None or not path.exists():
            return _Remembered(), ""
        try:
            return _Remembered.model_validate(read_json(path)), ""
        except (OSError, ValueError) as error:
            reason = "it does not hold them" if isinstance(error, ValidationError) else str(error)
            aside = path.with_suffix(".broken.json")
            try:
                path.replace(aside)
            except OSError:
                aside = path
            return _Remembered(), (
                f"The preferences in {path} cannot be used ({reason}), so the defaults are back; the old file is "
                f"now {aside.name}."
            )


T = TypeVar("T", bound=Settings)


def _usable(settings_type: type[T], kept: dict[str, Any]) -> T:
    """Remembered settings; those that this version doesn't know or allow have their defaults."""
    found = settings_type()
    for name, value in kept.items():
        try:
            found = make(settings_type, found.model_dump() | {name: value})
        except PadisError as error:  # whatever a hand or another version wrote there
            log.warning("The option %s is left at its default: %s", name, error)
    return found
