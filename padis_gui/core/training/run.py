"""A whole training: read the data, split them, train, look, log; and its pace, in numbers that do not jump.

The command line and the window both drain it.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from padis_gui.core import torch
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.settings.files import reason, remove_all_leftovers
from padis_gui.core.settings.machine import Precision, describe_device, pick_device, precision_on
from padis_gui.core.training.dataset import TrainingData, load_training_data
from padis_gui.core.training.log import (
    DataRead,
    Done,
    Looked,
    Looking,
    Saved,
    Stepped,
    TrainEvent,
    TrainingLog,
    Validated,
    Warned,
    read_log,
)
from padis_gui.core.training.looks import LOOKS, Look, SightSettings, look, save_look, typical_image
from padis_gui.core.training.optimise import World, patches_a_step
from padis_gui.core.training.plan import TrainingRequest, check_resumption, save_request
from padis_gui.core.training.series import SliceRun
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.train import PRIOR_FILE, Training, TrainStep, train

_TIMED_STEPS = 3


class Pace:
    """Measures steps, and forgets old ones slowly, so that the estimate follows the machine but no single step.

    The first step of each patch size is left out as long as others are known: it allocates and compiles.
    """

    def __init__(self, half_life: float = 120.0) -> None:
        """``half_life`` is how many seconds of steps count half."""
        self._half_life = half_life
        self._steps = self._seconds = 0.0
        self._first = 0.0  # the mean of the first steps
        self._patches: set[int] = set()

    def step(self, seconds: float, patch: int) -> None:
        """A step with patches of that size took so long."""
        if patch not in self._patches:
            self._first = (self._first * len(self._patches) + seconds) / (len(self._patches) + 1)
            self._patches.add(patch)
            return
        kept = 0.5 ** (seconds / self._half_life)
        self._steps = self._steps * kept + 1
        self._seconds = self._seconds * kept + seconds

    @property
    def seconds_a_step(self) -> float:
        """The mean of late; 0 before the first step."""
        return self._seconds / self._steps if self._steps else self._first


def seconds_a_step(
    training: TrainingSettings,
    network: NetworkSettings,
    image_size: int,
    device: torch.device,
    precision: Precision,
) -> float:
    """Seconds that one training step takes on this machine: the fastest of a few, with noise for images."""
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(1 + network.slices, network.image_channels, image_size, image_size, generator=rng)
    both = tuple(range(len(images)))
    data = TrainingData(images, (both[:-1], both[-1:]), (0.0, 1.0), "", runs=(SliceRun(both[:-1], 1.0),))
    settings = training.model_copy(update={"steps": 1000, "checkpoint_every": 1000, "slice_steps": (1,)})
    with tempfile.TemporaryDirectory(prefix="padis_gui-pace-") as folder:
        # never closed: there is nothing worth saving
        steps = train(data, Path(folder), settings, network, device=device, precision=precision)
        next(steps)  # the first step warms up
        return min(_seconds_of(steps) for _ in range(_TIMED_STEPS))


def _seconds_of(steps: Training) -> float:
    began = time.perf_counter()
    next(steps)
    return time.perf_counter() - began


__all__ = ["TrainingRequest", "run_training"]

log = logging.getLogger(__name__)

# Which steps are logged: every so many, and one after so many seconds at the latest
_LOG_STEPS, _LOG_SECONDS = 10, 5.0

Check = Callable[[], None]


def run_training(
    request: TrainingRequest,
    folder: Path,
    *,
    world: World | None = None,
    reading: Callable[[int, int], None] | None = None,
    check: Check | None = None,
) -> Generator[TrainEvent, None, None]:
    """Train as ``request`` says, or resume what ``folder`` holds; every step is an event, others come between.

    The folder receives ``training.json``, the checkpoints of :func:`train`, and in the first process of ``world``
    ``log.jsonl``, ``looks/`` and ``tensorboard/``. Closing the generator saves a checkpoint, as waiting between two
    events is a pause. ``reading`` is called with the pages read and the pages in all; ``check`` before every patch
    batch of a look, which it ends by raising :class:`Interrupted`. Raises :class:`PadisError` for what the user can
    mend. Neither a look nor a log that fails ends the training, and neither changes its result.
    """
    folder, request = Path(folder), request.settled()
    world = world or World(device=pick_device(request.device))
    precision = precision_on(world.device, request.precision)
    check_resumption(request, folder)
    data = load_training_data(
        request.data, request.data_settings, seed=request.training.seed, progress=reading
    )
    grouped = partial(
        TrainingData.grouped, slices=request.network.slices, steps=request.training.slice_steps,
        reach=request.training.slice_reach, spacing=request.data_settings.slice_spacing,
    )  # fmt: skip
    data = grouped(data)  # so that each side of the split has some
    kept, aside = data.split(request.data_settings.validation, request.training.seed)
    if aside is not None and data.groups and not aside.runs:
        log.warning("Too few slices were kept aside to be neighbours; nothing is measured on them.")
        kept, aside = data.split(0.0)
    kept = kept.share(request.data_settings.subject_share, request.training.seed)
    training = train(
        kept, folder, request.training, request.network.model_copy(update={"image_channels": data.channels}),
        name=_name(request, folder), device=world.device, precision=precision, validation=aside,
        start_from=request.start_from, notes=_notes(request, kept, aside, world, precision), world=world,
        slice_spacing=request.data_settings.slice_spacing,
    )  # fmt: skip
    writer: TrainingLog | None = None
    with _Warnings() as warnings:
        try:
            if world.main:
                save_request(request, folder)
                remove_all_leftovers(folder / LOOKS)
                writer = TrainingLog(folder, tensorboard=request.sight.tensorboard, first_step=training.step)
            before = next((event for event in read_log(folder) if event["event"] == "data"), None)
            started = _data_read(request, folder, kept, aside, training, world, precision)
            if before is not None:
                _compare(before, started)
            looks = None
            if world.main:
                looks = _Looks(request.sight, grouped(kept if aside is None else aside), folder, check)
            for event in chain([started], _steps(training, looks)):
                yield from _told(writer, event)
                for message in warnings.since():
                    yield from _told(writer, Warned(step=event.step, message=message))
        finally:
            try:
                training.close()
            finally:
                if writer is not None:
                    writer.close()


def _told(writer: TrainingLog | None, event: TrainEvent) -> Iterator[TrainEvent]:
    if writer is not None:
        writer.write(event)
    yield event


class _Warnings(logging.Handler):
    """Hears what the program's own loggers warn of, so that it gets into the training's log, too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: list[str] = []

    def __enter__(self) -> Self:
        logging.getLogger("padis_gui").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("padis_gui").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the sentence."""
        self._heard.append(record.getMessage())

    def since(self) -> list[str]:
        """What has come since this was asked last."""
        heard, self._heard = self._heard, []
        return heard


def _steps(training: Training, looks: _Looks | None) -> Iterator[TrainEvent]:
    pace, noted_at, step = Pace(), -math.inf, training.step
    stopped, seconds = "", 0.0
    while True:
        began = time.perf_counter()
        try:
            made = next(training, None)
        except PadisError as error:  # the log should say how it ended, too
            yield Warned(step=step, message=str(error))
            raise
        if made is None:
            break
        now = time.perf_counter()
        pace.step(now - began, made.patch)
        step, stopped, seconds = made.step, made.stopped, made.seconds
        last = step == made.total or bool(stopped)
        noted = last or step % _LOG_STEPS == 0 or now - noted_at >= _LOG_SECONDS
        noted_at = now if noted else noted_at
        yield _stepped(made, training.settings, pace, looks, noted=noted)
        if made.validation is not None:
            yield Validated(step=step, loss=made.validation)
        if made.saved:
            yield Saved(step=step)
        if looks is not None:
            yield from looks.after(training, made, now - began, last=last)
    yield Done(step=step, stopped=stopped, prior=PRIOR_FILE, seconds=seconds)


def _stepped(
    made: TrainStep, settings: TrainingSettings, pace: Pace, looks: _Looks | None, *, noted: bool
) -> Stepped:
    a_step = pace.seconds_a_step
    left = (made.total - made.step) * a_step
    if looks is not None:
        left += looks.cost(made.total - made.step, left)
    # what the mixture of patch sizes comes to; counting the patches of late would depend on the sizes drawn
    total = sum(settings.patch_probabilities)
    patches = sum(
        p / total * patches_a_step(settings, size)
        for size, p in zip(settings.patch_sizes, settings.patch_probabilities, strict=True)
    )
    speed = patches / a_step if a_step else 0.0
    return Stepped(step=made.step, made=made, patches_per_second=speed, left=left, noted=noted)


class _Looks:
    """Looks when it is time to, with what fails told and survived."""

    def __init__(
        self, settings: SightSettings, data: TrainingData, folder: Path, check: Check | None
    ) -> None:
        self._settings, self._folder, self._check = settings, folder, check
        self._image, self._spacing = typical_image(data)
        self._due = False
        self._trained = 0.0  # seconds of training since the last look
        self._took = 0.0  # seconds of that look
        self._told: set[str] = set()

    def cost(self, steps: int, seconds: float) -> float:
        """Seconds of looks in so many further steps that take so many seconds."""
        every, share = self._settings.look_every, self._settings.look_share
        if not every:
            return 0.0
        whole = math.ceil(steps / every) * self._took
        return whole if share == 1 else min(whole, share / (1 - share) * seconds + self._took)

    def after(
        self, training: Training, made: TrainStep, seconds: float, *, last: bool
    ) -> Iterator[TrainEvent]:
        """The look after this step, which took ``seconds``, if one is due."""
        settings = self._settings
        self._trained += seconds
        if not settings.look_every:
            return
        self._due = self._due or last or made.step % settings.look_every == 0
        affordable = self._took <= settings.look_share * (self._trained + self._took)
        if not self._due or not (affordable or last):
            return
        self._due = False
        yield Looking(step=made.step)
        began = time.perf_counter()
        try:
            seen = self._look(training, made.step)
        except Interrupted:
            return
        except Exception as error:  # whatever it is, it must not end the training
            if not isinstance(error, PadisError):
                log.debug("A look failed.", exc_info=True)
            self._warn_once("The prior could not be looked at", str(error) or type(error).__name__)
            return
        finally:
            self._took, self._trained = time.perf_counter() - began, 0.0
        file = ""
        try:
            file = f"{LOOKS}/{save_look(seen, self._folder).name}"
        except OSError as error:
            self._warn_once("Looks cannot be saved", reason(error))
        yield Looked(step=made.step, look=seen, file=file)

    def _look(self, training: Training, step: int) -> Look:
        prior = training.prior()
        if self._check is not None:
            prior = prior.interrupted_by(self._check)
        # the same seed at every step: two looks differ by the prior only
        seed = training.settings.seed
        return look(prior, self._image, self._settings, seed, step=step, spacing=self._spacing)

    def _warn_once(self, what: str, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            log.warning("%s (%s); the training goes on.", what, reason)


def _name(request: TrainingRequest, folder: Path) -> str:
    return request.name or folder.resolve().name


def _notes(
    request: TrainingRequest,
    kept: TrainingData,
    aside: TrainingData | None,
    world: World,
    precision: Precision,
) -> dict[str, Any]:
    """What the prior's record says beside the settings of the training."""
    return {
        "data": ", ".join(path.name for path in request.data),
        # a prior is given away, and says nothing of where its files lay
        "data_settings": request.data_settings.model_dump(mode="json")
        | {"subjects": Path(request.data_settings.subjects).name},
        "images": len(kept.images),
        "subjects": len(kept.subjects),
        "validation_images": 0 if aside is None else len(aside.images),
        "skipped": len(kept.skipped),
        "device": describe_device(world.device),
        "processes": world.size,
        "precision": precision,
    }


def _data_read(
    request: TrainingRequest,
    folder: Path,
    kept: TrainingData,
    aside: TrainingData | None,
    training: Training,
    world: World,
    precision: Precision,
) -> DataRead:
    return DataRead(
        step=training.step, total=training.settings.steps, name=_name(request, folder),
        images=len(kept.images), subjects=len(kept.subjects),
        validation=0 if aside is None else len(aside.images),
        image_size=kept.image_size, channels=kept.channels, window=kept.window, unit=kept.unit,
        skipped=kept.skipped, parameters=sum(p.numel() for p in training.prior().network.parameters()),
        device=describe_device(world.device), precision=precision,
    )  # fmt: skip


def _compare(before: dict[str, Any], started: DataRead) -> None:
    """Warn where the data are no longer those that the training began with."""
    now = json.loads(started.line())
    names = ("images", "subjects", "validation", "window", "unit")
    if changed := [name for name in names if before.get(name) != now[name]]:
        log.warning(
            "The data are not those that this training began with (%s); it goes on with what there is now.",
            ", ".join(changed),
        )
