"""The measurement of what is open and chosen, simulated or read, made a moment after either has changed."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, prepare
from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import ProblemPictures, pictures_of_problem
from padis_gui.viewmodels.state._j_background__viewmodels_background import Background
from padis_gui.viewmodels.state.method import ChosenMethod

_DELAY_MS = 250
# Above this many matrix rows times pixels a problem is prepared by Run only, not after every change.
_CHEAP = 256 * 256 * 128


class Preparation(QObject):
    """``changed`` is emitted when :attr:`prepared` is another one: that of the choices, or that of a run which begins.

    ``pictures`` are what is to be seen of it; ``opened`` gives what is open now, ``method`` what is chosen.
    """

    changed = Signal()

    def __init__(
        self, background: Background, opened: Callable[[], Opened | None], method: ChosenMethod
    ) -> None:
        super().__init__(background)
        self._background, self._opened, self._method = background, opened, method
        self.pictures: ProblemPictures | None = None
        self._waits = False  # something was changed while the compute thread was occupied
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._prepare)
        background.occupied_changed.connect(self._follow_thread)

    @property
    def prepared(self) -> Prepared | None:
        """The problem itself."""
        return None if self.pictures is None else self.pictures.prepared

    @property
    def is_current(self) -> bool:
        """Whether what is prepared is what is open and chosen, whatever the seed of the noise."""
        opened = self._opened()
        return opened is not None and self.is_of(opened, self._method.now)

    def is_of(self, opened: Opened, method: Method) -> bool:
        """Whether what is prepared is that, whatever the seed of the noise."""
        prepared = self.prepared
        if prepared is None:
            return False
        return prepared.opened.same_as(opened) and prepared.method.measures_as(method)

    def soon(self) -> None:
        """Prepare what is chosen, once it has not been changed for a moment."""
        self._timer.start(_DELAY_MS)

    def now(self) -> None:
        """Prepare what is chosen as soon as the compute thread is free."""
        self._timer.start(0)

    def stop(self) -> None:
        """Prepare nothing any more, until something changes."""
        self._timer.stop()

    def keep(self, pictures: ProblemPictures) -> None:
        """This is what is measured now."""
        if pictures is not self.pictures:
            self.pictures = pictures
            self.changed.emit()

    def _follow_thread(self) -> None:
        if self._waits and not self._background.occupied_by:
            self._waits = False
            self.soon()

    def _prepare(self) -> None:
        background, opened, method = self._background, self._opened(), self._method.now
        if background.closed or opened is None:
            return
        if background.occupied_by:
            self._waits = True
        elif not self.is_of(opened, method) and _is_quick(opened, method):
            background.spawn(self._work(opened, method, self._method.seed or 0))

    async def _work(self, opened: Opened, method: Method, seed: int) -> None:
        def work() -> ProblemPictures:
            return pictures_of_problem(prepare(opened, method, seed))

        pictures = await self._background.compute(work)
        now = self._opened()
        if pictures is None or now is None:
            return
        if now.same_as(opened) and self._method.now.measures_as(method):
            self.keep(pictures)


def _is_quick(opened: Opened, method: Method) -> bool:
    """Whether a problem is prepared after every change: it is small, or takes no product with its operator."""
    image = opened.image
    if image is None:
        return True
    if image.measured is not None and image.window[0] == 0:
        return True  # the FBP of a real scan
    rows, columns = image.shape
    return int(getattr(method.problem, "views", 1)) * rows * columns <= _CHEAP
