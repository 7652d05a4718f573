"""`padis-gui reconstruct INPUT --out OUT.tif`: the engine of the window, from the shell."""

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.cli.options import (
    add_adaptation,
    add_preset,
    add_problem,
    add_run,
    add_settings,
    chosen_method,
    given_inputs,
    given_settings,
    open_prior,
    proposed,
)
from padis_gui.cli.outputs import (
    Recorder,
    add_exports,
    chosen_export,
    exported_files,
    kept,
    save_out,
    write_json,
)
from padis_gui.cli.terminal import say
from padis_gui.core.runs.presets import DEFAULT_PRESET
from padis_gui.core.settings.errors import PadisError, SettingError
from padis_gui.core.settings.outputs import check_is_result

if TYPE_CHECKING:
    from padis_gui.core.images.metrics import Calibration
    from padis_gui.core.runs.recipe import Recipe
    from padis_gui.core.solvers.adaptation import Adapted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    from padis_gui.core.files.formats.recognise import readable
    from padis_gui.core.images.image import ReadingSettings

    parser.description = (
        "Reconstruct one image: from a measurement simulated of it, or, where the file is a scan or is read with --role "
        "measurement, from what was really measured; there is no truth then, and the residual says how well the result "
        "explains the measurement. A scan brings its physics and geometry, which options override."
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help=f"an image ({readable()}), or a scan")
    parser.add_argument(
        "--page", type=int, default=0, metavar="N", help="page of a multi-page file, or detector row, from 0"
    )
    add_preset(parser)
    add_settings(parser, ReadingSettings)
    add_problem(parser)
    add_run(parser)
    add_adaptation(parser)
    parser.add_argument(
        "--keep-prior", type=Path, default=None, metavar="FILE.safetensors",
        help="with --adapt, also write the prior that the adaptation has made",
    )  # fmt: skip
    parser.add_argument(
        "--check-prior", action="store_true",
        help="also say whether the prior explains a part of the measurement that is kept aside better than total variation "
        "does; about the time of a run with fast and one with tv",
    )  # fmt: skip
    parser.add_argument(
        "--samples", type=int, default=None, metavar="N",
        help="draw N samples, which differ in the solver's seed only, as in the window: OUT.tif has mean, deviation and "
        "the ends of an interval; where the truth is known it is said how well the deviation foretells the error",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT.tif",
        help="the float32 TIFF to write, or a folder of OME-Zarr where the name ends in .ome.zarr",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, default=None, metavar="REPORT.json", help="all metrics and the recipe as JSON"
    )
    add_exports(parser)


def run(options: argparse.Namespace) -> int:
    """Reconstruct one image, or samples of one; writes the TIFF and the report."""
    from padis_gui.core.files.read import read_image
    from padis_gui.core.images.image import ReadingSettings
    from padis_gui.core.runs.inputs import check_run_outputs
    from padis_gui.core.runs.presets import bundled_prior, find_preset
    from padis_gui.core.settings.declarations import make
    from padis_gui.core.settings.machine import describe_device, peak_memory_mb, pick_device

    export = chosen_export(options)
    sidecar = None
    if export.sidecar:
        from padis_gui.core.exports.about import check_sidecar, sidecar_path

        sidecar = sidecar_path(options.out)
    outputs = [options.out, options.report, sidecar, options.keep_prior, *exported_files(options)]
    check_run_outputs(given_inputs(options), outputs)
    check_is_result(options.out)
    if options.keep_prior is not None:
        from padis_gui.core.runs.adapted import check_is_prior

        check_is_prior(options.keep_prior)
    if sidecar is not None:
        check_sidecar(sidecar)
    preset = find_preset(options.preset or DEFAULT_PRESET)
    reading = make(ReadingSettings, given_settings(options, ReadingSettings))
    image = read_image(options.input, options.page, reading)
    method = chosen_method(options, preset, image)
    if options.keep_prior is not None and not method.adapts:
        raise SettingError(
            "A prior to keep was wanted, but this run adapts none; add --adapt and a solver that asks the prior, or leave "
            "--keep-prior out."
        )
    # what computes comes after what refuses
    from padis_gui.cli.progress import preparing, progress_bar
    from padis_gui.core.images.metrics import as_json
    from padis_gui.core.images.size import size_in_words
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.runs.adapted import keep_prior
    from padis_gui.core.runs.engine import Result, Run, finish
    from padis_gui.core.runs.opened import Opened, fit_of_prior, measure_further
    from padis_gui.core.runs.recipe import draft_recipe, new_seed
    from padis_gui.core.runs.repeat import of_samples
    from padis_gui.core.settings.watch import Watch
    from padis_gui.core.solvers.adaptation import AdaptationStep
    from padis_gui.core.solvers.iterate import Iterate
    from padis_gui.core.solvers.registry import find_solver

    seed = new_seed() if options.seed is None else options.seed
    prior_path = options.prior or bundled_prior(
        method.physics, pick_device(options.device).type, scanned=image.is_scan
    )
    prior = open_prior(options, prior_path)
    opened = Opened(image=image, data_path=options.input, prior=prior, prior_path=prior_path)
    recipes = _recipes(options, draft_recipe(opened, method, seed))
    results: list[Result] = []
    last, done = None, 0
    with progress_bar(find_solver(method.solver).label) as bar:

        def adapting(step: AdaptationStep) -> None:
            bar(step.step, step.total, f"adapting, rays kept aside {step.aside:.3g}")

        def watch(iterate: Iterate) -> None:
            nonlocal last
            last = iterate
            which = f"sample {done + 1} of {len(recipes)}  " if len(recipes) > 1 else ""
            note = f"{which}σ {iterate.sigma:.3g}  residual {iterate.residual:.2e}"
            bar(done * iterate.total + iterate.step, len(recipes) * iterate.total, note)
            recorder.record(iterate)

        prepared = None
        for recipe in recipes:
            done = len(results)
            run = Run(recipe, opened, prepared=prepared, on_progress=preparing(bar), on_adapting=adapting)
            recorder = Recorder(run, export, options)
            results.append(finish(run, watch))
            prepared = run.prepared
    assert prepared is not None, "there is a result"
    result, calibration = (results[0], None) if options.samples is None else of_samples(results, prepared)
    metrics = dict(result.metrics)
    if options.samples is None and last is not None:
        metrics |= measure_further(prepared.problem, last.estimate, last.partition)
    about, out = kept(options.out, lambda to: save_out(to, result, export))
    missing = recorder.write(result, about)
    if options.keep_prior is not None:
        _, written = kept(options.keep_prior, lambda to: keep_prior(to, result))
        missing |= written != options.keep_prior
    report: dict[str, Any] = {
        **as_json(metrics),
        "seconds": result.seconds,
        "evaluations": result.evaluations,
        "seed": seed,
        "solver": method.solver,
        "device": describe_device(prior.device),
        "peak_memory_mb": peak_memory_mb(prior.device),
        "recipe": result.recipe.model_dump(mode="json"),
    }
    fit = None
    if options.check_prior:
        try:
            with progress_bar("The prior") as bar:
                fit = fit_of_prior(prepared, Watch(progress=preparing(bar)))
            report["prior_fit"] = asdict(fit)
        except PadisError as error:  # the result is there all the same
            say(f"The prior could not be checked: {error}", error=True)
    if calibration is not None:
        report["calibration"] = asdict(calibration)
    if result.adapted is not None:
        report["adaptation"] = {"best": result.adapted.best, "curve": result.adapted.curve}
    if options.report is not None:
        _, written = kept(options.report, lambda to: write_json(to, report))
        missing |= written != options.report
    if image.reading.reduces:
        say(f"{image.name}: {size_in_words(image)}")
    for note in image.notes + (image.measured.notes if image.measured is not None else ()):
        say(note)
    for proposal in proposed(image):
        say(proposal)
    say(
        f"{out}: {_verdict(metrics, find_physics(method.physics).baseline)}, {result.seconds:.1f} s, seed {seed}"
    )
    if options.samples is not None:
        say(_samples(options.samples, calibration))
    if result.adapted is not None:
        say(_adaptation(result.adapted))
    if fit is not None:
        say(fit.in_words)
    return 2 if missing or out != options.out else 0


def _adaptation(adapted: "Adapted") -> str:
    """What came of an adaptation: from what to what the residual of the rays kept aside went."""
    if adapted.best == 0:
        return "The prior was left as it is: no step explained the rays kept aside better."
    first, last = (next(aside for step, _, aside in adapted.curve if step == at) for at in (0, adapted.best))
    return (
        f"The prior was adapted in {adapted.best} steps: rays kept aside {first:.4f} before, {last:.4f} after"
    )


def _recipes(options: argparse.Namespace, recipe: "Recipe") -> "list[Recipe]":
    """The recipe, or that of each sample of its measurement; raises :class:`SettingError` for what samples can't have."""
    from padis_gui.core.runs.repeat import MOST_SAMPLES, sample_seeds
    from padis_gui.core.solvers.registry import find_solver

    count = options.samples
    if count is None:
        return [recipe]
    if not 2 <= count <= MOST_SAMPLES:
        raise SettingError(f"2 to {MOST_SAMPLES} samples were wanted, but {count} came; change --samples.")
    solver = find_solver(recipe.solver)
    if not solver.diffusion:
        raise SettingError(
            f"A diffusion solver was wanted for samples, but {solver.name} gives the same image each time; choose another "
            "--solver, or leave --samples out."
        )
    of_one = {"--iterates": options.iterates, "--animation": options.movie, "--curves": options.curves}
    of_one["--keep-prior"] = options.keep_prior
    if given := [name for name, path in of_one.items() if path is not None]:
        raise SettingError(
            f"Samples have a mean and a deviation, but {', '.join(given)} is of one run; leave it or --samples out."
        )
    return [
        recipe.model_copy(update={"seed": each, "measurement_seed": recipe.seed})
        for each in sample_seeds(recipe.seed, count)
    ]


def _samples(count: int, found: "Calibration | None") -> str:
    """What samples say of themselves."""
    from padis_gui.core.images.metrics import LEVEL

    if found is None:
        return f"{count} samples; there is no truth to compare their deviation with"
    correlation = f"{found.correlation:.2f}" if math.isfinite(found.correlation) else "not known"
    return (
        f"{count} samples: rank correlation of deviation and error {correlation}; the {LEVEL:.0%} interval holds "
        f"{found.coverage:.0%} of the truth, of as many ideal samples {found.expected_coverage:.0%}"
    )


def _verdict(metrics: dict[str, float], baseline: str) -> str:
    """How good it is: against the truth where there is one, else against the measurement."""
    if "psnr" not in metrics:
        return f"residual {metrics['residual']:.4f} ({baseline} {metrics['residual_baseline']:.4f}), no truth"
    further = {"nrmse": "NRMSE {:.4f}", "residual": "residual {:.4f}", "seam_ratio": "seam ratio {:.2f}"}
    words = [
        text.format(metrics[name])
        for name, text in further.items()
        if math.isfinite(metrics.get(name, math.nan))
    ]
    return (
        f"PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.3f} "
        f"({baseline} {metrics['psnr_baseline']:.2f} dB, {metrics['ssim_baseline']:.3f}), {', '.join(words)}"
    )
