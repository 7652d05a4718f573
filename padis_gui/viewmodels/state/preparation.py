"""What is open and chosen, made ready to be seen: the picture of the image at once, its measurement a moment later."""

import threading
from collections.abc import Callable
from enum import Enum

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.images.image import Image
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Measuring, Opened, Prepared, preparation_cost, prepare
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.settings.watch import Standing, Watch, asked_between_operations
from padis_gui.viewmodels.pictures.frames import (
    ImagePicture,
    ProblemPictures,
    picture_of_image,
    pictures_of_problem,
)
from padis_gui.viewmodels.state.background import Background, Failure
from padis_gui.viewmodels.state.method import ChosenMethod
from padis_gui.viewmodels.state.opened import OpenData, OpenPrior

_DELAY_MS = 250


class Stage(Enum):
    """How far a preparation is; ``AT_RUN`` waits for Run or for :meth:`Preparation.compute_now`."""

    NOTHING = "nothing is open"
    PREPARING = "preparing"
    AFTER_RUN = "after the run"
    AT_RUN = "at Run"
    FAILED = "failed"
    READY = "ready"


class _Work:
    """One preparation in the compute thread; ``stop`` is called from any."""

    def __init__(self, wanted: Measuring) -> None:
        self.wanted = wanted
        self.made: ProblemPictures | None = None  # there before the UI thread has heard of it
        self.standing = Standing()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Give up soon."""
        self._stopped.set()

    def check(self) -> None:
        """Raise :class:`Interrupted` where nobody wants it any more."""
        if self._stopped.is_set():
            raise Interrupted


class Preparation(QObject):
    """``changed`` is emitted when something else is wanted, and whenever :attr:`picture`, :attr:`pictures` or
    :attr:`stage` are others; ``progressed`` when :attr:`progress` is.

    What is here is always of what is open and chosen now: as soon as that changes, what was made before is dropped,
    and what is being made is given up.
    """

    changed = Signal()
    progressed = Signal()
    _went_on = Signal(object, float, str)

    def __init__(
        self, background: Background, data: OpenData, prior: OpenPrior, method: ChosenMethod
    ) -> None:
        super().__init__(background)
        self._background, self._data, self._prior, self._method = background, data, prior, method
        self.picture: ImagePicture | None = None
        self.pictures: ProblemPictures | None = None
        self.stage = Stage.NOTHING
        self.trouble = ""  # why it failed
        self.progress: tuple[float, str] = 0.0, ""  # the share of the work that is done, and at what it is
        self._pictured: tuple[object, ...] = ()  # what the picture is of, or will be
        self._wanted: Measuring | None = None
        self._volume: Callable[[], Image | None] | None = None  # that is open in the place of a slice
        self._work: _Work | None = None
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._begin)
        self._went_on.connect(self._take_progress)
        background.occupied_changed.connect(self._follow_thread)
        data.opened.connect(lambda: self.follow(0))
        prior.changed.connect(lambda: self.follow(0))
        method.problem_changed.connect(self.follow)

    @property
    def prepared(self) -> Prepared | None:
        """The problem itself."""
        return None if self.pictures is None else self.pictures.prepared

    def opened(self) -> Opened | None:
        """What is open, as far as the chosen physics needs it; None while data or prior are missing."""
        data, prior, imageless = self._data, self._prior, self._method.now.imageless
        image = data.image if self._volume is None else self._volume()
        if prior.loaded is None or prior.path is None or (image is None and not imageless):
            return None
        across = prior.across if image is not None and image.is_volume and not imageless else None
        return Opened(
            image=None if imageless else image, data_path=None if imageless else data.path, prior=prior.loaded,
            prior_path=prior.path, across=across, across_path=None if across is None else prior.across_path,
        )  # fmt: skip

    def made(self, opened: Opened, method: Method) -> ProblemPictures | None:
        """The pictures of that, where they are made, also if this thread has not heard of it; from any thread."""
        work, pictures = self._work, self.pictures
        if work is not None and work.made is not None and work.wanted.is_of(opened, method):
            return work.made
        return pictures if pictures is not None and pictures.prepared.is_of(opened, method) else None

    def follow(self, delay: int = _DELAY_MS) -> None:
        """Something was opened or chosen: prepare that after ``delay`` ms without another change."""
        opened, method, before = self.opened(), self._method.now, self._wanted
        self._follow_image()
        if opened is not None and before is not None and before.is_of(opened, method):
            return
        self._give_up()
        self._wanted = None if opened is None else Measuring(opened=opened, method=method)
        self.pictures, self.trouble = None, ""
        if opened is None:
            self._stand(Stage.NOTHING)
        elif self._volume is not None or not preparation_cost(opened, method).quick:
            self._stand(Stage.AT_RUN)
        else:
            self._soon(delay)

    def follow_volume(self, volume: Callable[[], Image | None] | None) -> None:
        """What is open is the volume that this gives, not the slice of it; a run prepares it, and keeps it here."""
        if volume != self._volume:
            self._volume, self._wanted, self._pictured = volume, None, ()
        self.follow(0)

    def compute_now(self) -> None:
        """Prepare also what would wait for Run, or failed."""
        if self.stage in (Stage.AT_RUN, Stage.FAILED):
            self._soon(0)

    def cancel(self) -> None:
        """Give up what is being prepared; it waits for Run then, or to be asked for."""
        if self.stage in (Stage.PREPARING, Stage.AFTER_RUN):
            self._give_up()
            self._stand(Stage.AT_RUN)

    def let_run_stop(self) -> None:
        """A run is to stop that may wait for what is being prepared: prepare it afterwards."""
        wanted = self._wanted
        if self.stage is Stage.PREPARING and wanted is not None:
            self._give_up()
            quick = preparation_cost(wanted.opened, wanted.method).quick
            self._stand(Stage.AFTER_RUN if quick else Stage.AT_RUN)

    def stop(self) -> None:
        """Prepare nothing any more; for shutting down."""
        self._give_up()

    def make_way(self, opened: Opened, method: Method) -> None:
        """A run of that begins: what is prepared for another is given up, what it can use goes on."""
        work = self._work
        if work is not None and not work.wanted.is_of(opened, method):
            self._give_up()
            self._stand(Stage.AFTER_RUN)

    def keep(self, pictures: ProblemPictures) -> None:
        """A run has prepared this; ignored where something else is open or chosen by now."""
        wanted = self._wanted
        if wanted is not None and pictures.prepared.is_of(wanted.opened, wanted.method):
            self._give_up()
            if pictures is not self.pictures:
                self.pictures, self.trouble = pictures, ""
                self._stand(Stage.READY)

    # The image --------------------------------------------------------------------------------------

    def _follow_image(self) -> None:
        """Make the picture of what is open in the I/O thread: it needs no operator, and no device."""
        image, prior, method = self._data.image, self._prior.loaded, self._method.now
        if image is None or method.imageless or self._volume is not None:
            self._pictured = ()
            if self.picture is not None:
                self.picture = None
                self.changed.emit()
            return
        of = (image, prior, method.physics, method.problem)
        same = [a is b for a, b in zip(of, self._pictured, strict=False)]
        if same == [True] * len(of):
            return
        self._pictured = of
        if same[:2] != [True, True]:  # another problem shows the same image in nearly the same way
            self.picture = None
            self.changed.emit()

        def work(check: Callable[[], None]) -> ImagePicture:
            return picture_of_image(image, prior, method.problem)

        def done(found: ImagePicture | Failure | None) -> None:
            if self._pictured is of and isinstance(found, ImagePicture):
                self.picture = found
                self.changed.emit()

        self._background.io_requests.ask("picture of the image", work, done)

    # The measurement --------------------------------------------------------------------------------

    def _stand(self, stage: Stage) -> None:
        self.stage = stage
        self.changed.emit()

    def _soon(self, delay: int) -> None:
        self.progress = 0.0, ""
        if self._background.occupied_by:
            self._timer.stop()
            self._stand(Stage.AFTER_RUN)
        else:
            self._timer.start(delay)
            self._stand(Stage.PREPARING)

    def _give_up(self) -> None:
        self._timer.stop()
        if self._work is not None:
            self._work.stop()
            self._work = None

    def _follow_thread(self) -> None:
        occupied = bool(self._background.occupied_by)
        if self.stage is Stage.AFTER_RUN and not occupied:
            self._soon(_DELAY_MS)
        elif self.stage is Stage.PREPARING and occupied and self._timer.isActive():
            self._timer.stop()
            self._stand(Stage.AFTER_RUN)

    def _begin(self) -> None:
        wanted = self._wanted
        if self._background.closed or wanted is None:
            return
        work = self._work = _Work(wanted)
        self._background.spawn(self._prepare(work, self._method.seed or 0))

    async def _prepare(self, work: _Work, seed: int) -> None:
        opened, method = work.wanted.opened, work.wanted.method

        def check() -> None:
            work.check()
            self._background.compute_requests.do_waiting(work.check)  # what is small does not wait for it

        def tell(done: float, stage: str) -> None:
            if work.standing.tell(done, stage):
                self._went_on.emit(work, done, stage)

        def make() -> ProblemPictures | Failure | None:
            try:
                work.check()
                with asked_between_operations(work.check, opened.prior.device):
                    prepared = prepare(opened, method, seed, watch=Watch(check, tell))
                work.check()
                work.made = pictures_of_problem(prepared)
            except Interrupted:
                return None
            except PadisError as error:
                return Failure(str(error))
            return work.made

        made = await self._background.compute(make)
        if self._work is not work:  # something else is wanted by now
            return
        if isinstance(made, ProblemPictures):
            self.pictures, self._work = made, None  # in this order: a run that begins may ask in its thread
            self._stand(Stage.READY)
            return
        self._work = None
        if isinstance(made, Failure):
            self.trouble = made.sentence
            self._background.message.emit("error", made.sentence, "")
        self._stand(Stage.FAILED)

    def _take_progress(self, work: object, share: float, doing: str) -> None:
        if work is self._work:
            self.progress = share, doing
            self.progressed.emit()
