"""Looks: what one sees of a prior in training. It denoises, it makes something up, it reconstructs.

A :class:`Look` costs a few seconds and uses the ordinary solvers with few denoiser calls, so its PSNR lies somewhat
below what the prior can do; what counts is how it grows. All its randomness comes from its own seed: the training's
random stream is not touched, and two looks with the same seed differ by the prior only.
"""

import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from padis_gui.core import Tensor, torch
from padis_gui.core.images.metrics import as_json, psnr, ssim
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.problem import Problem, simulate
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.stack import StackPrior, stacked
from padis_gui.core.prior.tiling import TilingSettings, make_tiling, strategy_and_patch
from padis_gui.core.runs.engine import iterates_of
from padis_gui.core.runs.method import Method
from padis_gui.core.settings.declarations import Settings, setting
from padis_gui.core.settings.errors import DivergenceError, InputError, SettingError
from padis_gui.core.settings.files import write_atomically
from padis_gui.core.settings.untrusted import parse_json
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.training.dataset import TrainingData

_GAP = 4  # pixels between the images, in a grey that neither air nor bone has
_GREY = 96


def contact_sheet(images: Sequence[Tensor], columns: int, cell: int | None = None) -> NDArray[np.uint8]:
    """Images (C, N, N) on the [0, 1] scale side by side, ``columns`` in a row, as bytes to show or to save.

    Returns (rows, columns) for grey images and (rows, columns, 3) for colour; values outside [0, 1] are clipped, NaN
    is black. ``cell`` is the largest side that an image may have on the sheet, in pixels; larger ones are reduced.
    """
    small = [_reduced(image.detach().float().cpu(), cell) for image in images]
    channels, height, width = small[0].shape
    columns = min(columns, len(small))
    rows = -(-len(small) // columns)
    shape = (channels, rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP)
    sheet = torch.full(shape, _GREY, dtype=torch.uint8)
    for n, image in enumerate(small):
        top, left = n // columns * (height + _GAP), n % columns * (width + _GAP)
        sheet[:, top : top + height, left : left + width] = _as_bytes(image)
    pixels: NDArray[np.uint8] = (sheet[0] if channels == 1 else sheet.permute(1, 2, 0)).contiguous().numpy()
    return pixels


def _reduced(image: Tensor, cell: int | None) -> Tensor:
    larger = max(image.shape[1:])
    if cell is None or larger <= cell:
        return image
    size = [max(1, round(n * cell / larger)) for n in image.shape[1:]]
    return torch.nn.functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def _as_bytes(image: Tensor) -> Tensor:
    return torch.nan_to_num(image, nan=0.0).clamp(0, 1).mul(255).round().to(torch.uint8)


LOOKS = "looks"  # folder, beside the checkpoints
MOST_LEVELS = 8
# Blended windows at the last levels, as "auto" has them, are four times the cost.
_TILING = TilingSettings(strategy="random")
_CG_STEPS = 8  # of 20 that the solver has: costs less than 0.05 dB at 20 views
_SAMPLE = {"sigma_max": 10.0, "temperature": 1.0, "zeta": 0.2}  # as the preset "generate", from less noise


class SightSettings(Settings):
    """What is looked at during a training, and how often."""

    look_every: int = setting(
        250, ge=0, le=10**9, label="Look every", unit="steps",
        help="Denoise, sample and reconstruct with the prior so far, this often and at the end; 0 never does",
    )  # fmt: skip
    look_share: float = setting(
        0.1, gt=0, le=1, label="Share for looking", advanced=True,
        help="Most of the time that looks may take; a look that is due waits for it. 1 never waits",
    )  # fmt: skip
    levels: tuple[float, ...] = setting(
        (0.05, 0.2, 0.8, 3.0), label="Shown noise levels", symbol="σ", advanced=True,
        help="Noise levels at which a validation image is denoised",
    )  # fmt: skip
    problem: Literal["auto", "ct-parallel", "super-resolution", "deblur"] = setting(
        "auto", label="Quick reconstruction", advanced=True,
        help="What a validation image is reconstructed from: automatic is CT for data in HU, else 4× "
        "super-resolution",
    )  # fmt: skip
    views: int = setting(
        20, ge=2, le=2000, label="Views", advanced=True, when={"problem": ("auto", "ct-parallel")},
        help="Views of the quick reconstruction, for CT",
    )  # fmt: skip
    evaluations: int = setting(
        16, ge=0, le=1000, label="Denoiser calls", advanced=True,
        help="Denoiser calls of the quick reconstruction; 0 leaves it out",
    )  # fmt: skip
    sample_steps: int = setting(
        16, ge=0, le=1000, label="Steps of the sample", advanced=True,
        help="Denoiser calls of the unconditional sample; 0 leaves it out",
    )  # fmt: skip
    tensorboard: bool = setting(
        True, label="TensorBoard", advanced=True, help="Also write TensorBoard event files beside the log"
    )

    @field_validator("levels")
    @classmethod
    def _bounded(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(value) <= MOST_LEVELS or not all(0 < level <= 1000 for level in value):
            raise ValueError(f"1 to {MOST_LEVELS} noise levels above 0 are wanted")
        return value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What a prior could do at a step; images are (C, N, N) on the [0, 1] scale, on the CPU.

    ``clean``, ``noisy`` and ``denoised`` are (levels, C, N, N), one for each noise level in ``levels``. ``sample``
    is an unconditional sample; ``reconstruction`` and ``baseline`` come from a simulated measurement of ``truth``,
    which ``problem`` names. What was left out or diverged is None (NaN dB), and ``trouble`` says why.
    """

    step: int
    levels: tuple[float, ...]
    clean: Tensor
    noisy: Tensor
    denoised: Tensor
    sample: Tensor | None = None
    problem: str = ""
    baseline_name: str = ""
    reconstruction: Tensor | None = None
    baseline: Tensor | None = None
    truth: Tensor | None = None
    psnr: float = math.nan
    ssim: float = math.nan
    baseline_psnr: float = math.nan
    baseline_ssim: float = math.nan
    seconds: float = 0.0
    trouble: str = ""


def typical_image(data: TrainingData) -> tuple[Tensor, float | None]:
    """The image (C, N, N) of median contrast: neither an empty slice nor the busiest.

    Of data in groups of slices it is that of a group's middle, with its neighbours, (D, N, N), and their distance in mm.
    """
    contrast = data.images.flatten(1).std(dim=1)
    if data.groups:
        groups = [group for of_subject in data.groups for group in of_subject]
        groups.sort(key=lambda group: float(contrast[group.middle]))
        chosen = groups[len(groups) // 2]
        return data.images[list(chosen.images), 0], chosen.spacing
    return data.images[int(contrast.argsort()[len(contrast) // 2])], None


def look(
    prior: PatchPrior,
    image: Tensor,
    settings: SightSettings,
    seed: int = 0,
    *,
    step: int = 0,
    spacing: float | None = None,
) -> Look:
    """Look at ``prior`` with an image (C, N, N) in [0, 1] that it was not trained on.

    A prior across slices is looked at with D of them, (D, N, N), ``spacing`` mm apart; what is seen is the middle one.
    A sample or a reconstruction that diverges, as those of young priors may, is left out. Raises
    :class:`SettingError` for a problem that these images cannot have, and
    :class:`~padis_gui.core.settings.errors.Interrupted` where the prior's ``interrupt`` does.
    """
    began = time.perf_counter()
    seen = slice(None)
    if prior.slices > 1:
        seen = slice(prior.slices // 2, prior.slices // 2 + 1)
        prior = stacked(prior, None, StackSettings(), spacing)
    shown = image[seen]
    levels = _denoise_levels(prior, image, settings.levels, seed)
    clean, noisy, denoised = (pictures[:, seen] for pictures in levels)
    found: dict[str, Any] = {}
    troubles = []
    if settings.sample_steps:
        method = _method(prior, "nothing", {}, "diffpir", _SAMPLE | {"steps": settings.sample_steps})
        blank = Problem(
            operator=_operator(method, image, prior), measurement=torch.zeros(0, device=prior.device)
        )
        try:
            found["sample"] = _last_estimate(method, blank, prior, seed)[seen]
        except DivergenceError as error:
            troubles.append(f"The sample is left out: {error}")
    if settings.evaluations:
        physics, values, words = _problem(settings, prior.conventions.unit, shown)
        found |= {"problem": words, "baseline_name": find_physics(physics).baseline}
        quick = {"steps": settings.evaluations, "cg_steps": _CG_STEPS}
        method = _method(prior, physics, values, "fast", quick)
        operator = _operator(method, image, prior)
        problem = simulate(operator, image, method.problem, torch.Generator().manual_seed(seed))
        baseline = operator.pinv(problem.measurement).cpu()[seen]
        found |= {"truth": shown, "baseline": baseline} | _quality(baseline, shown, "baseline_")
        try:
            estimate = _last_estimate(method, problem, prior, seed)[seen]
            found |= {"reconstruction": estimate} | _quality(estimate, shown)
        except DivergenceError as error:
            troubles.append(f"The reconstruction is left out: {error}")
    return Look(
        step=step, levels=settings.levels, clean=clean, noisy=noisy, denoised=denoised,
        seconds=time.perf_counter() - began, trouble=" ".join(troubles), **found,
    )  # fmt: skip


def _method(
    prior: PatchPrior, physics: str, problem: dict[str, Any], solver: str, settings: dict[str, Any]
) -> Method:
    return Method.of(
        physics=physics, problem=problem, solver=solver, settings=settings, tiling=_TILING,
        positions=prior.positions,
    )  # fmt: skip


def _operator(method: Method, image: Tensor, prior: PatchPrior) -> LinearOperator:
    channels, rows, columns = image.shape
    return find_physics(method.physics).make((channels, rows, columns), method.problem, prior.device)


def _last_estimate(method: Method, problem: Problem, prior: PatchPrior, seed: int) -> Tensor:
    """(C, rows, columns) on [0, 1], on the CPU."""
    rng = torch.Generator().manual_seed(seed)
    return drain(iterates_of(method, problem, prior, rng)).estimate.cpu()


@torch.no_grad()
def _denoise_levels(
    prior: PatchPrior, image: Tensor, levels: tuple[float, ...], seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One noise, scaled to each level, and what the prior makes of it."""
    _, rows, columns = image.shape
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(image.shape, generator=rng)
    strategy, patch = strategy_and_patch(_TILING, (rows, columns), prior)
    tiling = make_tiling(strategy, (rows, columns), patch, prior.conventions.frame)
    if isinstance(prior, StackPrior):
        tiling = prior.tiling(tiling, len(image), StackSettings())
    noisy = torch.stack([image + level * noise for level in levels])
    denoised = [
        prior.denoise(x.to(prior.device), level, tiling.draw(rng, level), rng).cpu()
        for x, level in zip(noisy, levels, strict=True)
    ]
    return image.expand_as(noisy), noisy, torch.stack(denoised)


def _problem(settings: SightSettings, unit: str, image: Tensor) -> tuple[str, dict[str, Any], str]:
    """The physics of the quick reconstruction, its settings, and both in words."""
    name: str = settings.problem
    if name == "auto":
        name = "ct-parallel" if unit == "HU" and len(image) == 1 else "super-resolution"
    if name == "ct-parallel":
        if len(image) > 1:
            raise SettingError(
                "A quick reconstruction for colour images was wanted, but CT sees one intensity; choose "
                "super-resolution or deblur."
            )
        return name, {"views": settings.views}, f"CT, {settings.views} views"
    if name == "super-resolution":
        return name, {"factor": 4}, "Super-resolution 4×"
    return name, {"noise": 0.01}, "Deblurring 9 × 9"


def _quality(estimate: Tensor, truth: Tensor, prefix: str = "") -> dict[str, float]:
    return {f"{prefix}psnr": psnr(estimate, truth), f"{prefix}ssim": ssim(estimate, truth)}


def look_path(folder: Path, step: int) -> Path:
    """Where the look at a step lies in a training's folder."""
    return Path(folder) / LOOKS / f"{step:06d}.npz"


class _LookMeta(BaseModel):
    """What a look's file says beside its arrays; what is not finite is null."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["padis-gui look"] = "padis-gui look"
    step: int
    levels: tuple[float, ...]
    problem: str
    baseline_name: str
    psnr: float | None
    ssim: float | None
    baseline_psnr: float | None
    baseline_ssim: float | None
    seconds: float
    trouble: str


def save_look(look: Look, folder: Path) -> Path:
    """Write a look into a training's folder, atomically; returns the file. Raises OSError.

    Arrays are stored in half precision, which is finer than any screen, and ``clean`` once.
    """
    values = {field.name: getattr(look, field.name) for field in fields(Look)}
    arrays = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    arrays["clean"] = look.clean[:1]
    rest = {name: value for name, value in values.items() if name in _LookMeta.model_fields}
    rest |= as_json({name: value for name, value in rest.items() if isinstance(value, float)})
    text = _LookMeta(**rest).model_dump_json().encode()
    members: dict[str, Any] = {
        name: array.detach().cpu().numpy().astype(np.float16) for name, array in arrays.items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.frombuffer(text, dtype=np.uint8), **members)
    path = look_path(folder, look.step)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return path


def load_look(path: Path) -> Look:
    """Read a look, its images as float32. Raises :class:`InputError` for a file that is none."""
    try:
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            meta = _LookMeta.model_validate(parse_json(file["meta"].tobytes()))
            arrays: dict[str, Any] = {
                name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files if name != "meta"
            }
        _check_shapes(arrays, len(meta.levels))
        arrays["clean"] = arrays["clean"].expand_as(arrays["noisy"])
        rest: dict[str, Any] = {
            name: math.nan if value is None else value for name, value in meta if name != "format"
        }
        return Look(**rest, **arrays)
    except Exception as error:  # a damaged archive may fail in many ways
        reason = str(error).split("\n")[0][:100]
        raise InputError(
            f"A look at a training was wanted, but {path} is damaged or none ({reason}); choose another."
        ) from None


def _check_shapes(arrays: dict[str, Any], levels: int) -> None:
    noisy, single = arrays["noisy"], arrays["noisy"].shape[1:]
    shapes = {"clean": (1, *single), "noisy": (levels, *single), "denoised": (levels, *single)}
    if noisy.ndim != 4 or any(x.shape != shapes.get(name, single) for name, x in arrays.items()):
        raise ValueError("its images do not fit each other")
