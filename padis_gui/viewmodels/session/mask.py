"""Painting the mask of an inpainting problem; what is painted goes to a file, so that a recipe can name it."""

import contextlib
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.files.read import read_named_picture
from padis_gui.core.images.image import Mask, fill_box, stamp, write_mask
from padis_gui.core.physics.pixelwise import Inpainting, InpaintingSettings
from padis_gui.core.runs.inputs import check_run_outputs
from padis_gui.core.settings.declarations import specs
from padis_gui.core.settings.errors import PadisError
from padis_gui.viewmodels.session.session import Session

_UNDOABLE = 50
_SETTLE_MS = 250
_FOLDER = "masks"
_SETTING = "mask_file"

Place = tuple[float, float]


class MaskEditor(QObject):
    """``missing`` is the mask while it is painted, True where a pixel is missing; None otherwise.

    ``changed`` is emitted when pixels have changed, ``toggled`` when painting begins and ends. A little after each
    change the mask is written to ``folder`` under a name made from its content (so that the masks of earlier runs
    stay), and the problem takes it from there.
    """

    changed = Signal()
    toggled = Signal(bool)
    prepared = Signal()  # another problem is: `marked` may be another

    def __init__(self, session: Session, folder: Path | None = None) -> None:
        super().__init__(session)
        self._session = session
        self._own_folder = (
            None if folder is not None else tempfile.TemporaryDirectory(prefix="padis_gui-masks-")
        )
        self._folder = (
            Path(self._own_folder.name) if self._own_folder is not None else Path(folder or "") / _FOLDER
        )
        self.missing: Mask | None = None
        self._done: list[Mask] = []
        self._undone: list[Mask] = []
        self._soon = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._soon.timeout.connect(self._give)
        session.preparation.changed.connect(self.prepared)
        session.data.changed.connect(self._follow_data)
        session.method.changed.connect(self._follow_physics)

    @property
    def possible(self) -> bool:
        """Whether there is an image and a problem whose mask can be painted."""
        session = self._session
        return session.data.image is not None and isinstance(session.method.problem, InpaintingSettings)

    @property
    def marked(self) -> Mask | None:
        """Where the prepared problem has no measurement, (rows, columns); None where it has one everywhere, and while
        another mask is painted."""
        prepared = self._session.preparation.prepared
        operator = None if prepared is None else prepared.problem.operator
        if self.missing is not None or not isinstance(operator, Inpainting):
            return None
        return ~operator.known.cpu().numpy()

    def begin(self) -> None:
        """Paint on the present mask from now on; on an empty one where it cannot be had."""
        image, problem = self._session.data.image, self._session.method.problem
        if image is None or not isinstance(problem, InpaintingSettings) or self.missing is not None:
            return
        try:
            self.missing = ~problem.known(*image.shape, read_named_picture(problem)).numpy()
        except PadisError:  # one that belongs to another image, or covers all of it
            self.missing = np.zeros(image.shape, dtype=np.bool_)
        self._done, self._undone = [], []
        self.toggled.emit(True)
        self.changed.emit()

    def end(self) -> None:
        """Stop painting; what was painted is the problem's mask."""
        if self.missing is None:
            return
        if self._soon.isActive() and isinstance(self._session.method.problem, InpaintingSettings):
            self._give()
        self._soon.stop()
        self.missing = None
        self.toggled.emit(False)

    # Changing it ----------------------------------------------------------------------------------

    def remember(self) -> None:
        """What follows is one change: :meth:`undo` takes it back as a whole."""
        if self.missing is not None:
            self._done = [*self._done, self.missing.copy()][-_UNDOABLE:]
            self._undone = []

    def stroke(self, start: Place, end: Place, diameter: float, *, erase: bool) -> None:
        """Draw from (row, column) to (row, column) with a round brush; part of one change."""
        if self.missing is not None:
            stamp(self.missing, start, end, diameter / 2, value=not erase)
            self._changed()

    def box(self, corner: Place, opposite: Place, *, erase: bool) -> None:
        """Fill the box between two corners, in the place of what the change in hand has drawn so far."""
        if self.missing is not None:
            if self._done:
                self.missing[:] = self._done[-1]
            fill_box(self.missing, corner, opposite, value=not erase)
            self._changed()

    def invert(self) -> None:
        """What was known is missing, and the other way round."""
        if self.missing is not None:
            self.remember()
            np.logical_not(self.missing, out=self.missing)
            self._changed()

    def clear(self) -> None:
        """Nothing is missing."""
        if self.missing is not None:
            self.remember()
            self.missing[:] = False
            self._changed()

    def undo(self) -> None:
        """Take the last change back."""
        if self.missing is not None and self._done:
            self._undone.append(self.missing)
            self.missing = self._done.pop()
            self._changed()

    def redo(self) -> None:
        """Make it again."""
        if self.missing is not None and self._undone:
            self._done.append(self.missing)
            self.missing = self._undone.pop()
            self._changed()

    @property
    def undoable(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._done)

    @property
    def redoable(self) -> bool:
        """Whether there is one to make again."""
        return bool(self._undone)

    @property
    def share(self) -> float:
        """The share of missing pixels."""
        return 0.0 if self.missing is None else float(self.missing.mean())

    # Files ----------------------------------------------------------------------------------------

    def load(self, path: Path) -> None:
        """Go on with the mask in a file; a message says why where it cannot be."""
        if self.missing is None:
            return
        try:
            named = InpaintingSettings(mask="file", mask_file=str(path))
            rows, columns = self.missing.shape
            read = ~named.known(rows, columns, read_named_picture(named)).numpy()
        except PadisError as error:
            self._session.message.emit("error", str(error), "")
            return
        self.remember()
        self.missing = read
        self._changed()

    def save(self, path: Path) -> None:
        """Write the mask where the user wants it; the problem names that file from now on."""
        if self.missing is None:
            return
        with contextlib.suppress(OSError):  # said by the check
            path.parent.mkdir(parents=True, exist_ok=True)
        try:  # over an earlier mask it may be
            check_run_outputs([self._session.data.path, self._session.prior.path], [path])
        except PadisError as error:
            self._session.message.emit("error", str(error), "")
            self._session.elsewhere_wanted.emit(path, self.save)
            return
        self._soon.stop()
        self._write(path)

    def _changed(self) -> None:
        self._soon.start()
        self.changed.emit()

    def _give(self) -> None:
        if self.missing is not None:
            digest = hashlib.sha256(np.packbits(self.missing).tobytes() + repr(self.missing.shape).encode())
            self._write(self._folder / f"mask-{digest.hexdigest()[:16]}.png")

    def _write(self, path: Path) -> None:
        if self.missing is None:
            return
        try:
            write_mask(path, self.missing)
        except PadisError as error:
            self._session.message.emit("error", str(error), "")
            return
        spec = next(s for s in specs(InpaintingSettings) if s.name == _SETTING)
        for name, value in ((_SETTING, str(path)), *((c.name, c.wanted) for c in spec.conditions)):
            if getattr(self._session.method.problem, name) != value:
                self._session.method.set_problem(name, value)

    def _follow_data(self) -> None:
        """Another image of the same size keeps the mask; one of another size has none yet."""
        image = self._session.data.image
        if self.missing is not None and (image is None or image.shape != self.missing.shape):
            self._soon.stop()
            self.missing = None
            self.toggled.emit(False)

    def _follow_physics(self) -> None:
        if self.missing is not None and not isinstance(self._session.method.problem, InpaintingSettings):
            self._soon.stop()
            self.missing = None
            self.toggled.emit(False)
