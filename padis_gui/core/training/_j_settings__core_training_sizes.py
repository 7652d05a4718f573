"""How large a prior to train and for how long: two sizes that were measured, and settings that fit a budget of time."""

from dataclasses import dataclass, field
from typing import Any

from padis_gui.core.settings._j_declarations__core_settings import make
from padis_gui.core.settings._j_declarations__core_settings_registry import Registry
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings

# The share of a budget that is left to training beside looks, validation, checkpoints and the start
_TRAINING_SHARE = 0.85
_LEAST_STEPS = 100
_LOOKS = 12
_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """A network under one name; what is not named keeps its default."""

    name: str
    label: str
    summary: str
    network: dict[str, Any] = field(default_factory=dict)


SIZES = Registry("size", (
    Size(
        "small", "Small: fast on a CPU",
        "Trains and reconstructs in about half the time; the choice where there is no GPU",
        {"width": 32, "multipliers": (1.0, 3.0, 6.0)},
    ),
    Size(
        "medium", "Medium: better, with time or a GPU",
        "Nearly twice the work in every step, of training and of reconstruction; better where there is time for it",
        {"width": 64, "multipliers": (1.0, 2.0, 3.0)},
    ),
))  # fmt: skip
find_size = SIZES.find


def steps_within(seconds: float, pace: float) -> int:
    """How many steps of ``pace`` seconds fit into a budget, to two digits; at least a hundred."""
    steps = max(_LEAST_STEPS, seconds * _TRAINING_SHARE / pace)
    digit = 10 ** max(0, len(str(int(steps))) - 2)
    return int(steps // digit * digit)


def fitted_to(
    training: TrainingSettings, steps: int, image_size: int, pace: float | None
) -> TrainingSettings:
    """The settings for a training of that many steps on images of that size.

    The warm-up is at most a tenth of it, validation is measured a dozen times, patches are no larger than the
    images, and a checkpoint is written about once a minute where the pace is known. ``pace`` is in seconds a step.
    """
    sizes = [
        (size, share)
        for size, share in zip(training.patch_sizes, training.patch_probabilities, strict=True)
        if size <= image_size
    ]
    changes: dict[str, Any] = {"steps": steps, "warmup": min(training.warmup, max(1, steps // 10))}
    changes["validate_every"] = look_interval(steps)
    if sizes and sum(share for _, share in sizes) > 0:
        changes["patch_sizes"], changes["patch_probabilities"] = zip(*sizes, strict=True)
    if pace is not None:
        changes["checkpoint_every"] = max(10, round(_CHECKPOINT_SECONDS / pace, -1 if pace < 5 else 0))
    return make(TrainingSettings, training.model_dump() | changes)


def look_interval(steps: int) -> int:
    """Steps between two looks or validations, about a dozen in all, at a round number."""
    every = max(1, steps // _LOOKS)
    digit = 10 ** max(0, len(str(every)) - 1)
    return int(max(1, every // digit * digit))
