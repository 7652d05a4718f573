"""Settings of a training, stored whole in every checkpoint: its data, its network's size, its steps.

Two sizes were measured; settings that fit a budget of time follow from them.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import field_validator, model_validator

from padis_gui.core.prior.partition import tiles_and_pad
from padis_gui.core.prior.slices import LARGEST_SPACING, SMALLEST_SPACING
from padis_gui.core.settings.declarations import Registry, Settings, make, setting

# Above the deviation of images in [0, 1], which is some 0.2: measured, +1 dB after short trainings
SIGMA_DATA = 0.5
_MOVED_TO_DATA_SETTINGS = ("image_size", "crops", "shrink")


class TrainingSettings(Settings):
    """Settings of :func:`padis_gui.core.training.train.train`; defaults as measured best, not
    as published."""

    steps: int = setting(20_000, ge=1, label="Steps", help="Optimiser steps in all")
    patch_sizes: tuple[int, ...] = setting(
        (96, 56, 32, 16),
        label="Patch sizes",
        unit="px",
        symbol="P",
        help="One of these is drawn at each step",
    )
    patch_probabilities: tuple[float, ...] = setting(
        (0.6, 0.25, 0.1, 0.05), label="Patch probabilities", help="How often each patch size is drawn"
    )
    slice_steps: tuple[int, ...] = setting(
        (1, 2, 3, 4),
        label="Slice steps",
        advanced=True,
        help="Groups of slices for a prior across slices take every slice of a series, every second, … of these, so that "
        "it knows several distances",
    )
    slice_reach: float = setting(
        7.5,
        ge=SMALLEST_SPACING,
        le=LARGEST_SPACING,
        label="Widest slice step",
        unit="mm",
        advanced=True,
        help="Groups at a multiple of the data's distance lie no further apart than this; the data's own distance always "
        "counts",
    )
    pixels: int = setting(
        100_000,
        ge=256,
        label="Pixels a step",
        help="Each step takes as many patches as fit into this many pixels",
    )
    sigma_mean: float = setting(
        -1.6,
        ge=-8,
        le=4,
        label="Mean of ln σ",
        symbol="P_mean",
        help="Centre of the noise-level distribution",
    )
    sigma_std: float = setting(
        1.4,
        gt=0,
        le=5,
        label="Deviation of ln σ",
        symbol="P_std",
        help="Width of the noise-level distribution",
    )
    sigma_low: float = setting(
        0.002,
        gt=0,
        label="Lowest noise",
        symbol="σ",
        help="Drawn noise levels are clipped to this from below",
    )
    sigma_high: float = setting(
        20.0,
        gt=0,
        label="Highest noise",
        symbol="σ",
        help="Drawn noise levels are clipped to this from above",
    )
    sigma_data: float | None = setting(
        None,
        gt=0,
        le=100,
        label="Data deviation",
        symbol="σ_d",
        advanced=True,
        help="Well below this noise level the network learns the noise, well above it the image (EDM's "
        f"preconditioning); automatic is {SIGMA_DATA:g}, or what a prior that is trained further has",
    )
    learning_rate: float = setting(
        1e-3, gt=0, le=1, label="Learning rate", help="Peak rate of AdamW (betas 0.9, 0.99)"
    )
    flips: Literal["none", "horizontal", "vertical", "both"] = setting(
        "none",
        label="Flips",
        advanced=True,
        help="Mirrors half of the patches, and the positions of their pixels with them: each pixel keeps its true "
        "place, so left is not taken for right",
    )
    warmup: int = setting(
        500, ge=0, label="Warm-up", unit="steps", help="Steps of linear rise to the peak rate"
    )
    decay: float = setting(
        0.4, ge=0, le=1, label="Decay", help="The last part of the run, in which the rate falls linearly to 0"
    )
    clip: float = setting(
        1.0, gt=0, label="Gradient clip", advanced=True, help="Largest norm of the gradient"
    )
    ema: tuple[float, ...] = setting(
        (0.999, 0.998, 0.9998),
        label="EMA",
        advanced=True,
        help="Decays of the averaged weights, one average each; the prior is the average with the least validation "
        "loss so far, or the first where there is no validation",
    )
    validate_every: int = setting(
        500,
        ge=1,
        label="Validation every",
        unit="steps",
        advanced=True,
        help="The denoising loss on the data kept aside is measured this often, always on the same patches and noise",
    )
    patience: int = setting(
        0,
        ge=0,
        label="Patience",
        help="Training stops early after this many validations without a new best; 0 never stops early",
    )
    checkpoint_every: int = setting(
        500, ge=1, label="Checkpoint", unit="steps", help="A kill loses at most this many steps"
    )
    channels_last: bool = setting(
        True,
        label="Channels last",
        advanced=True,
        help="Layout of the network in memory; on a CPU with AVX-512 a step takes 10 % less time with it",
    )
    compile: bool = setting(
        False,
        label="Compile",
        advanced=True,
        help="Compiles the network with torch.compile, which needs a C++ compiler: a minute for each patch size on a "
        "CPU, where the steps then take as long as before; for long trainings on a GPU",
    )
    seed: int = setting(
        0, ge=0, le=2**32 - 1, label="Seed", help="Start of every random draw of the training"
    )

    @field_validator("ema", mode="before")
    @classmethod
    def _one_is_a_tuple(cls, value: Any) -> Any:
        """Trainings of the first version had one decay."""
        return (value,) if isinstance(value, (int, float, str)) else value

    @field_validator("ema")
    @classmethod
    def _decays(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(set(value)) == len(value) <= 8 or not all(0 <= e <= 0.999999 for e in value):
            raise ValueError("1 to 8 different decays of 0 to 0.999999 are wanted")
        return value

    @field_validator("slice_steps")
    @classmethod
    def _few_steps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(set(value)) == len(value) <= 16 or not all(1 <= step <= 1000 for step in value):
            raise ValueError("1 to 16 different steps of 1 to 1000 slices are wanted")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingSettings":
        if not self.patch_sizes or len(self.patch_sizes) != len(self.patch_probabilities):
            raise ValueError("as many patch probabilities as patch sizes are wanted")
        if any(p < 0 for p in self.patch_probabilities) or sum(self.patch_probabilities) <= 0:
            raise ValueError("patch probabilities are at least 0, and some must be positive")
        if any(p < 8 for p in self.patch_sizes):
            raise ValueError("patch sizes of at least 8 are wanted")
        if self.sigma_low >= self.sigma_high:
            raise ValueError("the lowest noise must lie below the highest")
        return self

    @classmethod
    def from_record(cls, values: dict[str, Any]) -> "TrainingSettings":
        """Settings as a prior or a training state of any version wrote them down."""
        return cls.model_validate({k: v for k, v in values.items() if k not in _MOVED_TO_DATA_SETTINGS})

    def pad(self, image_size: int) -> int:
        """Zero padding in training: the largest that any trained patch size needs at inference.

        A patch as large as the image makes a whole-image prior: one tile, no padding beyond what the patch
        itself is larger by.
        """
        return max(
            (p - image_size + 1) // 2 if p >= image_size else tiles_and_pad(image_size, p)[1]
            for p in self.patch_sizes
        )


class DataSettings(Settings):
    """Settings of :func:`padis_gui.core.training.dataset.load_training_data`."""

    image_size: int = setting(
        256, ge=32, le=4096, label="Image size", unit="px", help="Side of the images that the prior learns"
    )
    fit: Literal["crop", "resize", "pad"] = setting(
        "resize",
        label="Other sizes",
        when={"crops": 0},
        help="Images of another size: crop keeps their pixels and takes the middle, resize scales the shorter "
        "side and takes the middle, pad shrinks what is too large and surrounds the image by the lowest value",
    )
    crops: int = setting(
        0,
        ge=0,
        le=10_000,
        label="Crops of each image",
        help="Random squares taken from each large image; 0 takes the whole image, as said above",
    )
    shrink: float = setting(
        1.0,
        ge=1,
        le=64,
        label="Least reduction",
        advanced=True,
        help="Random squares are reduced by at least this factor, which removes the camera's noise and blur",
    )
    colour: Literal["grey", "colour"] = setting(
        "grey",
        label="Colour",
        help="Grey turns colour into luminance; colour repeats grey in all three channels",
    )
    window_low: float | None = setting(
        None,
        label="Window from",
        help="Intensity in the data's own unit that becomes 0; proposed from the data where none is given",
    )
    window_high: float | None = setting(
        None,
        label="Window to",
        help="Intensity in the data's own unit that becomes 1; proposed from the data where none is given",
    )
    dataset: str = setting(
        "",
        label="Data set",
        advanced=True,
        help="Name of the array in an NPZ, MATLAB or HDF5 file; empty takes the only or obvious one",
    )
    subjects: str = setting(
        "",
        label="Subjects",
        file=True,
        help="CSV table with the columns page (or file) and patient, which says whose page is whose; empty takes "
        "the one beside the data, if there is one, else what the files say",
    )
    slice_spacing: float | None = setting(
        None,
        ge=SMALLEST_SPACING,
        le=LARGEST_SPACING,
        label="Slice distance",
        unit="mm",
        advanced=True,
        help="Distance of neighbouring slices for a prior across slices, where neither the data nor the table of subjects "
        "(spacing_mm or slice_thickness_mm, and series) say it",
    )
    validation: float = setting(
        0.1,
        ge=0,
        le=0.9,
        label="Validation",
        help="Share of the subjects that is kept aside to measure on; 0 trains on all",
    )
    subject_share: float = setting(
        1.0,
        gt=0,
        le=1,
        label="Share of subjects",
        advanced=True,
        help="Share of the other subjects that is learned from, drawn with the seed; those of a smaller share are among "
        "those of a larger one",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "DataSettings":
        low, high = self.window_low, self.window_high
        if low is not None and high is not None and not low < high:
            raise ValueError("the window's lower end must lie below its upper end")
        return self

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 3 if self.colour == "colour" else 1


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
