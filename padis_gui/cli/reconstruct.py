"""`padis-gui reconstruct INPUT --out OUT.tif`: the engine of the window, from the shell."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

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
        "--out", type=Path, required=True, metavar="OUT.tif",
        help="the float32 TIFF to write, or a folder of OME-Zarr where the name ends in .ome.zarr",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, default=None, metavar="REPORT.json", help="metrics and recipe as JSON"
    )
    add_exports(parser)


def run(options: argparse.Namespace) -> int:
    """Reconstruct one image; writes the TIFF and the report."""
    from padis_gui.cli.progress import preparing, progress_bar
    from padis_gui.core.exports.about import check_sidecar, sidecar_path
    from padis_gui.core.files.read import read_image
    from padis_gui.core.images.image import ReadingSettings
    from padis_gui.core.images.metrics import as_json
    from padis_gui.core.images.size import size_in_words
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.runs.adapted import check_is_prior, keep_prior
    from padis_gui.core.runs.engine import Run, finish
    from padis_gui.core.runs.inputs import check_run_outputs
    from padis_gui.core.runs.opened import Opened, fit_of_prior
    from padis_gui.core.runs.presets import bundled_prior
    from padis_gui.core.runs.recipe import draft_recipe, find_preset, new_seed
    from padis_gui.core.settings.declarations import make
    from padis_gui.core.settings.machine import describe_device, peak_memory_mb, pick_device
    from padis_gui.core.settings.watch import Watch
    from padis_gui.core.solvers.adaptation import AdaptationStep
    from padis_gui.core.solvers.iterate import Iterate
    from padis_gui.core.solvers.registry import find_solver

    export = chosen_export(options)
    sidecar = sidecar_path(options.out) if export.sidecar else None
    outputs = [options.out, options.report, sidecar, options.keep_prior, *exported_files(options)]
    check_run_outputs(given_inputs(options), outputs)
    check_is_result(options.out)
    if options.keep_prior is not None:
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
    seed = new_seed() if options.seed is None else options.seed
    kind = pick_device(options.device).type
    prior_path = options.prior or bundled_prior(method.physics, kind, scanned=image.is_scan)
    prior = open_prior(options, prior_path)
    opened = Opened(image=image, data_path=options.input, prior=prior, prior_path=prior_path)
    with progress_bar(find_solver(method.solver).label) as bar:

        def adapting(step: AdaptationStep) -> None:
            bar(step.step, step.total, f"adapting, rays kept aside {step.aside:.3g}")

        recipe = draft_recipe(opened, method, seed)
        run = Run(recipe, opened, on_progress=preparing(bar), on_adapting=adapting)
        recorder = Recorder(run, export, options)

        def watch(iterate: Iterate) -> None:
            bar(iterate.step, iterate.total, f"σ {iterate.sigma:.3g}  residual {iterate.residual:.2e}")
            recorder.record(iterate)

        result = finish(run, watch)
    about, out = kept(options.out, lambda to: save_out(to, result, export))
    missing = recorder.write(result, about)
    if options.keep_prior is not None:
        _, written = kept(options.keep_prior, lambda to: keep_prior(to, result))
        missing |= written != options.keep_prior
    metrics = result.metrics
    report = {
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
        assert run.prepared is not None, "there is a result"
        try:
            with progress_bar("The prior") as bar:
                fit = fit_of_prior(run.prepared, Watch(progress=preparing(bar)))
            report["prior_fit"] = asdict(fit)
        except PadisError as error:  # the result is there all the same
            say(f"The prior could not be checked: {error}", error=True)
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


def _verdict(metrics: dict[str, float], baseline: str) -> str:
    """How good it is: against the truth where there is one, else against the measurement."""
    if "psnr" not in metrics:
        return f"residual {metrics['residual']:.4f} ({baseline} {metrics['residual_baseline']:.4f}), no truth"
    return (
        f"PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.3f} "
        f"({baseline} {metrics['psnr_baseline']:.2f} dB, {metrics['ssim_baseline']:.3f})"
    )
