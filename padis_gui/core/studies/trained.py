"""Priors that a study trains itself, on equal budgets, before its runs.

Each is a training in a folder of its own, which can be stopped and goes on; one that is done is not trained again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.studies.request import StudyTraining
from padis_gui.core.training.history import read_history
from padis_gui.core.training.log import Stepped
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.plan import TrainingRequest
from padis_gui.core.training.run import run_training
from padis_gui.core.training.settings import DataSettings, TrainingSettings, find_size
from padis_gui.core.training.state import PRIOR_FILE

PRIORS = "priors"
PATCHES, WHOLE = "patches", "whole"


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A training of the study is at ``step`` of ``total``."""

    name: str
    step: int
    total: int


def patches_or_whole(
    data: tuple[Path, ...], shares: tuple[float, ...], steps: int, *, base: TrainingRequest | None = None
) -> tuple[StudyTraining, ...]:
    """Trainings on patches and on whole images by the share of the subjects, all with as many pixels a step and steps.

    Data, network, image size and all else are those of ``base``, or the defaults. Raises :class:`SettingError`.
    """
    base = base or TrainingRequest(
        data=data, network=make(NetworkSettings, dict(find_size("small").network)),
        sight=make(SightSettings, {"look_every": 0}), data_settings=make(DataSettings, {"validation": 0}),
    )  # fmt: skip
    side = base.data_settings.image_size
    found = []
    for share in shares:
        if not 0 < share <= 1:
            raise SettingError(
                f"Shares of the subjects above 0, up to 1, were wanted, but {share:g} was given; use 0.3 for 30 %."
            )
        data_settings = make(DataSettings, base.data_settings.model_dump() | {"subject_share": share})
        for name, sizes in ((PATCHES, {}), (WHOLE, {"patch_sizes": (side,), "patch_probabilities": (1.0,)})):
            training = make(
                TrainingSettings,
                base.training.model_dump()
                | sizes
                | {"steps": steps, "warmup": min(base.training.warmup, steps // 5)},
            )
            request = base.model_copy(
                update={"data": data, "data_settings": data_settings, "training": training}
            )
            found.append(StudyTraining(name=f"{name}-{100 * share:.4g}", training=request))
    return tuple(found)


def prior_of(training: StudyTraining, folder: Path) -> Path:
    """Where the prior of a training of a study in ``folder`` lies."""
    return folder / PRIORS / training.name / PRIOR_FILE


def train_priors(
    trainings: tuple[StudyTraining, ...], folder: Path, check: Callable[[], None] = lambda: None
) -> Iterator[TrainingStep]:
    """Train what is not trained yet, one after the other; ``check`` is called after each step and may raise
    :class:`Interrupted`, which saves the training in hand.

    Raises :class:`PadisError` for data that cannot be learned from, and where a training ended without a prior.
    """
    for training in trainings:
        path = prior_of(training, folder)
        steps = training.training.training.steps
        if path.is_file() and (history := read_history(path.parent)).finished and history.step >= steps:
            yield TrainingStep(training.name, steps, steps)
            continue
        check()
        events = run_training(training.training, path.parent, check=check)
        try:
            for event in events:
                if isinstance(event, Stepped):
                    yield TrainingStep(training.name, event.step, steps)
                    check()
        finally:
            events.close()
        if not path.is_file():
            raise InputError(
                f"A prior was wanted from the training {training.name}, but it left none in {path.parent}."
            )
