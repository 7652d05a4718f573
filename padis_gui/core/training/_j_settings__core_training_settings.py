"""What a training run can be told; stored whole in every checkpoint."""

from typing import Any, Literal

from pydantic import field_validator, model_validator

from padis_gui.core.prior.partition import tiles_and_pad
from padis_gui.core.settings._j_declarations__core_settings import Settings, setting

# Above the deviation of images in [0, 1], which is some 0.2: measured, +1 dB after short trainings
SIGMA_DATA = 0.5
_MOVED_TO_DATA_SETTINGS = ("image_size", "crops", "shrink")


class TrainingSettings(Settings):
    """Settings of :func:`padis_gui.core.training._j_train__core_training_train.train`; defaults as measured best, not
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
