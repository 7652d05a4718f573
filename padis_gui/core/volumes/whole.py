"""A volume in one run: all of its slices in memory, solved together; what a run's engine does for an image, for a stack.

A run of single slices gives what :mod:`run` gives slice by slice, which takes less memory and goes on after a kill. What
needs all slices at once is a prior across them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from padis_gui.core import Tensor, torch
from padis_gui.core.exports.about import About
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.exports.tiff import fits_imagej, save_result
from padis_gui.core.files.read import read_volume
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.images.metrics import as_json, psnr, relative_misfit, ssim
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.control import Control
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.recipe import make_recipe
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.volumes.request import VolumeSettings, common_window, parse_pages


@dataclass(frozen=True, kw_only=True, eq=False)
class WholeVolume:
    """A volume that was reconstructed in one run; ``slices`` are the metrics of each of its slices."""

    result: Result
    slices: tuple[dict[str, float | None], ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the run, with the means over the slices as a volume made slice by slice has them, and the volume's PSNR
        as "psnr_volume"."""
        found = dict(self.result.metrics)
        if "psnr" in found:
            found["psnr_volume"] = found["psnr"]
        for name in ("psnr", "ssim", "residual"):
            values = [value for one in self.slices if (value := one.get(name)) is not None]
            if values:
                found[name] = sum(values) / len(values)
        return found


def open_volume(
    path: Path,
    settings: VolumeSettings,
    first: Image,
    prior: PatchPrior,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Image:
    """The pages that the settings name as one volume, under one window; ``first`` is any page, read before.

    Raises :class:`SettingError` for pages that there are not.
    """
    reading: ReadingSettings = first.reading
    image = read_volume(path, parse_pages(settings.pages, first.pages), reading, tell)
    spacing = image.slice_spacing if settings.slice_spacing is None else settings.slice_spacing
    return replace(image, window=common_window(path, first, prior), slice_spacing=spacing)


def reconstruct_whole(
    opened: Opened,
    method: Method,
    seed: int,
    *,
    threads: int | None = None,
    control: Control | None = None,
    watch: Callable[[Iterate], None] = lambda iterate: None,
) -> WholeVolume:
    """Run a method on an opened volume; ``watch`` sees every iterate. Raises what goes wrong on the way."""
    run = Run(make_recipe(opened, method, seed, threads=threads), opened, control)
    result = finish(run, watch)
    assert run.prepared is not None, "there was a step"
    problem, (low, high) = run.prepared.problem, result.window
    estimate = torch.from_numpy((result.pixels - low) / (high - low)).to(problem.device)
    return WholeVolume(result=result, slices=metrics_of_slices(problem, estimate))


def metrics_of_slices(problem: Problem, estimate: Tensor) -> tuple[dict[str, float | None], ...]:
    """The metrics of each slice of an estimate (Z, rows, columns); no residual where they are measured together."""
    measured = problem.operator(estimate) if problem.operator.apart else None
    found = []
    for z in range(len(estimate)):
        one = slice(z, z + 1)
        metrics = {}
        if measured is not None:
            metrics["residual"] = relative_misfit(measured[one], problem.measurement[one])
        if problem.truth is not None:
            metrics["psnr"] = psnr(estimate[one], problem.truth[one])
            metrics["ssim"] = ssim(estimate[one], problem.truth[one])
        found.append(as_json(metrics))
    return tuple(found)


def save_whole(path: Path, volume: WholeVolume) -> About:
    """Write a volume as one TIFF stack that carries its recipe. Raises :class:`InputError` where it cannot be written."""
    result = replace(volume.result, metrics=volume.metrics)
    recipe = result.recipe
    name = "" if recipe.data is None else Path(recipe.data.file).name
    about = About.of(result, name, slice_metrics=volume.slices)
    fits = fits_imagej(4 * math.prod(result.pixels.shape))
    return save_result(path, result, about, FileSettings(tiff="ImageJ" if fits else "OME"))
