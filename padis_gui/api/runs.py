"""Runs: a problem solved, at once or step by step, saved and repeated."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from padis_gui.api.notebook import as_html, display_module
from padis_gui.api.opening import AnyPath, OpenedImage, OpenedPrior, checked_path, open, prior
from padis_gui.api.problems import Problem
from padis_gui.core.exports.about import About, check_sidecar, read_export, sidecar_path
from padis_gui.core.exports.content import MeasuredScan, RunContent
from padis_gui.core.exports.registry import EXPORTS, ExportSettings, write_export
from padis_gui.core.exports.tiff import save_result
from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.problem import Problem as MeasuredProblem
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.adapted import keep_prior
from padis_gui.core.runs.control import Control
from padis_gui.core.runs.engine import Outcome, Run
from padis_gui.core.runs.engine import Result as EngineResult
from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
from padis_gui.core.runs.locate import locate
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, fit_of_prior, prepare
from padis_gui.core.runs.presets import DEFAULT_PRESET, bundled_prior, find_preset
from padis_gui.core.runs.recipe import Recipe, draft_recipe, new_seed
from padis_gui.core.runs.repeat import Repeater
from padis_gui.core.settings.declarations import Settings, make, specs
from padis_gui.core.settings.errors import InputError, PadisError, SettingError
from padis_gui.core.settings.machine import pick_device, torch_threads
from padis_gui.core.settings.outputs import check_is_tiff
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.prior_fit import PriorFit
from padis_gui.core.solvers.registry import find_solver

# what a name's ending makes of a result, other than a TIFF
_BY_NAME: tuple[Literal["nifti", "dicom", "ome-zarr", "data-exchange"], ...] = (
    "nifti", "dicom", "ome-zarr", "data-exchange",
)  # fmt: skip


def _suffixes_of(kind: str) -> tuple[str, ...]:
    return EXPORTS.find(kind).types[0].suffixes


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(EngineResult):
    """An estimate and all that belongs to it; it can be saved, with the recipe that repeats it.

    ``measured`` is what a scan has, (C, views, bins) with its geometry; None of other problems.
    """

    measured: MeasuredScan | None = field(default=None, repr=False)

    def save(self, path: AnyPath, **export: Any) -> Path:
        """Write a TIFF that carries the recipe, float32 in the image's unit unless told otherwise. Atomic.

        A name that ends in .nii, .nii.gz or .dcm makes NIfTI or DICOM of it, one in .ome.zarr a folder of OME-Zarr, which
        have no settings; a volume becomes a folder of DICOM files, which is what is returned then. One that ends in .h5 has
        what the scan measured, as simulated or corrected, in the layout Data Exchange. ``export`` are the fields of
        :class:`~padis_gui.core.exports.registry.ExportSettings` for a result: ``tiff`` ("ImageJ", "OME"), ``values``,
        ``map_low``, ``map_high``, ``sidecar``. Raises :class:`~padis_gui.core.settings.errors.PadisError` where it cannot
        be written, and rather than write over a file that the run used.
        """
        target = checked_path(path, "The name of a TIFF")
        other = next((kind for kind in _BY_NAME if target.name.lower().endswith(_suffixes_of(kind))), None)
        if other is not None and not export:
            content = RunContent(
                name=target.stem, title=target.stem, result=self, about=About.of(self, target.stem),
                measured=self.measured,
            )  # fmt: skip
            write_export(content, target, ExportSettings(what=other))
            return target.with_suffix("") if other == "dicom" and self.image.is_volume else target
        settings = make(ExportSettings, export)
        if settings.what != "result":
            raise SettingError(
                f"A result is saved as 'result', but what={settings.what!r} was given; leave it out."
            )
        sidecar = sidecar_path(target) if settings.sidecar else None
        check_run_outputs(inputs_of(self.recipe), [target, sidecar])
        check_is_tiff(target)
        if sidecar is not None:
            check_sidecar(sidecar)
        save_result(target, self, About.of(self, target.stem), settings)
        return target

    def keep_prior(self, path: AnyPath) -> Path:
        """Write the prior that was adapted for this result as one of its own. Atomic.

        Raises :class:`~padis_gui.core.settings.errors.PadisError` where none was, where it cannot be written, and rather
        than write over a file that the run used.
        """
        target = checked_path(path, "The name of a prior")
        check_run_outputs(inputs_of(self.recipe), [target])
        keep_prior(target, self)
        return target

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.pixels, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.pixels.shape))
        known = [name for name in ("psnr", "ssim", "residual") if name in self.metrics]
        said = ", ".join(f"{name} {self.metrics[name]:.4g}" for name in known)
        return f"<result {size}, {self.recipe.solver}, seed {self.recipe.seed}: {said or 'a sample'}>"

    def _repr_html_(self) -> str:
        return as_html(self.pixels, self.image, repr(self).strip("<>"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step(Iterate):
    """An :class:`~padis_gui.core.solvers.iterate.Iterate`, whose tensors are on [0, 1], with its image's unit."""

    image: Image = field(repr=False)
    problem: MeasuredProblem = field(repr=False)

    @property
    def pixels(self) -> Pixels:
        """The estimate (C, rows, columns) in the image's unit."""
        return self.image.from_unit(self.estimate)

    @property
    def psnr(self) -> float:
        """Of the estimate against the truth, in dB; NaN where none is known."""
        return float("nan") if self.problem.truth is None else psnr(self.estimate, self.problem.truth)

    def _repr_html_(self) -> str:
        quality = "" if math.isnan(self.psnr) else f", {self.psnr:.2f} dB"
        said = f"step {self.step} of {self.total}, σ {self.sigma:.4g}, residual {self.residual:.2g}{quality}"
        return as_html(self.pixels, self.image, said)


class Steps:
    """A run, computed as it is iterated over; each :class:`Step` is what it has come to.

    An error is raised where the iteration ends by it. Leaving the loop early holds the run where it is: iterate again
    to go on, or end it by :meth:`finish`. Another thread may steer it at any time through ``control``.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._iterates = run.steps()
        self._sent: Settings | None = None

    def __iter__(self) -> "Steps":
        return self

    def __next__(self) -> Step:
        for iterate in self._iterates:
            prepared = self._run.prepared
            assert prepared is not None, "there is an iterate"
            values = {one.name: getattr(iterate, one.name) for one in fields(Iterate)}
            return Step(**values, image=prepared.image, problem=prepared.problem)
        outcome = self._run.take()
        if outcome is not None and outcome.error is not None:
            raise outcome.error
        raise StopIteration

    @property
    def control(self) -> Control:
        """Pauses, resumes, finishes and cancels the run from any thread."""
        return self._run.control

    @property
    def recipe(self) -> Recipe:
        """What is run: resolved, and with the hashes of its files once it has begun."""
        return self._run.recipe

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended; None before. After an error its result is what was good before it."""
        return self._run.take()

    def change(self, *, tiling: str | TilingSettings | None = None, **settings: Any) -> None:
        """Change live settings of the solver, or the tiling, from the next step on; the recipe keeps it.

        Raises :class:`~padis_gui.core.settings.errors.SettingError` for a setting that cannot change during a run.
        """
        method = self._run.recipe.method
        live = [spec.name for spec in specs(type(method.settings)) if spec.live]
        for name in settings:
            if name not in live:
                raise SettingError(
                    f"A setting of {method.solver} that may change during a run was wanted ({', '.join(live) or 'none'}), "
                    f"but {name!r} was given; set it before the run."
                )
        before = self._sent or method.settings
        if settings:
            self._sent = make(type(before), before.model_dump() | settings)
        self.control.change(self._sent, None if tiling is None else _tiling(tiling, method.tiling))

    def show(self, *, every: int = 1) -> Result:
        """Run to the end in a notebook, where one picture follows the steps, every so manyth; returns the result.

        Interrupting the notebook's cell holds the run where it is. Raises
        :class:`~padis_gui.core.settings.errors.InputError` where there is no IPython.
        """
        display = display_module()
        handle = None
        for step in self:
            if handle is None:
                handle = display.display(step, display_id=True)
            elif step.step % every == 0 or step.step == step.total:
                handle.update(step)
        if handle is not None:
            handle.update(self.result)
        return self.result

    def finish(self) -> Result:
        """End the run after the patch batch in hand, and give the estimate that it has come to."""
        self.control.finish()
        for _ in self:
            pass
        return self.result

    @cached_property
    def result(self) -> Result:
        """What the run gave, once it has ended; raises its error, or
        :class:`~padis_gui.core.settings.errors.InputError` where there is none."""
        outcome = self.outcome
        if outcome is not None and outcome.error is not None:
            raise outcome.error
        if outcome is None or outcome.result is None:
            state = "goes on" if outcome is None else "was cancelled before it had one"
            raise InputError(
                f"The result of a run was wanted, but the run {state}; iterate to its end, or call finish() after a step."
            )
        return _result(outcome.result, self._run.prepared)


def _result(found: EngineResult, prepared: Prepared | None) -> Result:
    values = {one.name: getattr(found, one.name) for one in fields(EngineResult)}
    return Result(**values, measured=None if prepared is None else MeasuredScan.of(prepared))


def _tiling(tiling: str | TilingSettings, before: TilingSettings | None = None) -> TilingSettings:
    if isinstance(tiling, TilingSettings):
        return tiling
    return make(TilingSettings, ({} if before is None else before.model_dump()) | {"strategy": tiling})


def steps(
    problem: Problem,
    prior: OpenedPrior | AnyPath | None = None,
    solver: str | None = None,
    *,
    seed: int | None = None,
    tiling: str | TilingSettings = "auto",
    patch: int | None = None,
    positions: bool = True,
    preset: str | None = None,
    adapt: bool | Mapping[str, Any] = False,
    **settings: Any,
) -> Steps:
    """A run to iterate over and to steer; arguments as for :func:`reconstruct`."""
    if not isinstance(problem, Problem):
        raise InputError(
            f"A problem was wanted, but a {type(problem).__name__} was given; state one with pg.ct, pg.scan, pg.blur …"
        )
    source = problem.source
    scanned = source is not None and source.image.is_scan
    chosen = find_preset(preset or DEFAULT_PRESET).tuned_for(problem.physics, problem.settings, scan=scanned)
    name = solver or chosen.solver
    values = chosen.settings_for(name) | settings
    method = Method(
        physics=problem.physics, problem=problem.settings,
        tiling=_tiling(tiling).model_copy(update={} if patch is None else {"patch": patch}),
        solver=name, settings=make(find_solver(name).settings_type, values), positions=positions,
        adaptation=None if adapt is False else make(AdaptationSettings, {} if adapt is True else dict(adapt)),
    )  # fmt: skip
    used = _prior(prior, problem)
    opened = Opened(
        image=None if source is None else source.image, data_path=None if source is None else source.path,
        prior=used.prior, prior_path=used.path,
    )  # fmt: skip
    return Steps(Run(draft_recipe(opened, method, new_seed() if seed is None else seed), opened))


def prior_fit(
    problem: Problem, prior: OpenedPrior | AnyPath | None = None, *, seed: int | None = None
) -> PriorFit:
    """Whether a prior knows what was measured: how well it foretells a part that is kept aside, beside total variation.

    ``prior`` is as for :func:`reconstruct`. The answer has ``prior`` and ``total_variation``, the misfits over what was
    kept aside, their ``ratio``, and ``in_words``. It takes about as long as a run with the solver "fast" and one with "tv".
    """
    run = steps(problem, prior, seed=seed)._run
    with torch_threads(run.recipe.threads):
        return fit_of_prior(prepare(run.opened, run.recipe.method, run.recipe.seed))


def _prior(given: OpenedPrior | AnyPath | None, problem: Problem) -> OpenedPrior:
    """The prior that is given, or the bundled one that fits the physics and the device."""
    if isinstance(given, OpenedPrior):
        return given
    if given is not None:
        return prior(given)
    scanned = problem.source is not None and problem.source.image.is_scan
    return prior(bundled_prior(problem.physics, pick_device().type, scanned=scanned))


def reconstruct(
    problem: Problem,
    prior: OpenedPrior | AnyPath | None = None,
    solver: str | None = None,
    *,
    seed: int | None = None,
    tiling: str | TilingSettings = "auto",
    patch: int | None = None,
    positions: bool = True,
    preset: str | None = None,
    adapt: bool | Mapping[str, Any] = False,
    **settings: Any,
) -> Result:
    """Solve a problem; with the same seed and settings the bits are those of the window and of `padis-gui reconstruct`.

    ``prior`` is what :func:`prior` gives or takes, and otherwise the bundled one that fits. ``solver`` is a name in the
    registry ("fast" where neither it nor a preset is given), ``settings`` are its own. ``preset`` such as "ct-20" fills
    the solver's settings as the command line does. ``patch`` is in px; ``positions`` False hides from the network where
    a patch lies. With ``adapt`` the prior is adapted to the measurement first: True, or the fields of
    :class:`~padis_gui.core.solvers.adaptation.AdaptationSettings` that are to be other than the defaults. ``seed`` is
    drawn where none is given, and is in the result's recipe.

    Raises :class:`~padis_gui.core.settings.errors.PadisError` for what contradicts itself, and what ended the run.
    """
    run = steps(
        problem, prior, solver, seed=seed, tiling=tiling, patch=patch, positions=positions, preset=preset,
        adapt=adapt, **settings,
    )  # fmt: skip
    for _ in run:
        pass
    return run.result


def save(path: AnyPath, result: Result, **export: Any) -> Path:
    """Write a result; as :meth:`Result.save`."""
    return result.save(path, **export)


def repeat(path: AnyPath, *, data: Any = None, device: str | None = None) -> Result:
    """Run once more what made an exported TIFF: the same bits on the same machine, in the same versions.

    ``data`` is the image where it is not to be found: an array where it was one (of a scan, the ``source`` of the problem
    that :func:`scan` makes of it), else a file. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` where something is missing, or where the file holds more than one
    run.
    """
    export = read_export(checked_path(path, "An exported TIFF"))
    if export.about.kind != "result":
        raise InputError(
            f"The export of one result was wanted, but {export.path.name} holds {export.about.kind}; use padis-gui repeat."
        )
    recipe, place = export.recipe, _device(device, export.recipe.device)
    is_file = isinstance(data, str | os.PathLike)
    found = locate(
        recipe, [export.path.resolve().parent], data=checked_path(data, "An image") if is_file else None
    )
    near = None
    if data is not None and not is_file:
        read = {} if recipe.data is None else recipe.data.reading.model_dump(exclude_defaults=True)
        image = data if isinstance(data, OpenedImage) else open(data, **read)
        used = prior(found.recipe.prior.file, device=str(place), precision=recipe.precision)
        near = Opened(
            image=image.image, data_path=None, prior=used.prior, prior_path=used.path
        )  # fmt: skip
    missing = [one for one in found.missing if one.what != "data" or near is None]
    if missing:
        raise InputError(" ".join(one.sentence for one in missing))
    repeater = Repeater(place, near)
    return _result(repeater.run(found.recipe), repeater.prepared)


def _device(wanted: str | None, recorded: str) -> torch.device:
    """The device asked for, that of the run where it is here, or whatever is."""
    if wanted is not None:
        return pick_device(wanted)
    try:
        return pick_device(recorded)
    except PadisError:
        return pick_device()
