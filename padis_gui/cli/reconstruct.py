"""`padis-gui reconstruct INPUT --out OUT.tif`: the engine of the window, from the shell."""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from padis_gui.cli.options import (
    add_problem,
    add_settings,
    add_training_image_size,
    chosen_problem,
    given_settings,
)
from padis_gui.core.errors import InputError, SettingError
from padis_gui.core.resources import DEFAULT_PRESET, DEFAULT_PRIOR, PRESETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    from padis_gui.core.solvers import SOLVERS
    from padis_gui.core.tiling import TILINGS, TilingSettings

    parser.add_argument("input", type=Path, metavar="INPUT", help="PNG, JPEG, TIFF, NPY or a DICOM slice")
    parser.add_argument("--page", type=int, default=0, metavar="N", help="page of a multi-page file, from 0")
    parser.add_argument(
        "--preset",
        default=DEFAULT_PRESET,
        metavar="NAME",
        help=f"one of {', '.join(p.name for p in PRESETS)}",
    )
    parser.add_argument(
        "--prior", type=Path, default=None, metavar="FILE", help="a prior (default: the bundled one)"
    )
    add_training_image_size(parser)
    parser.add_argument(
        "--solver", default=None, metavar="NAME", help=f"one of {', '.join(s.name for s in SOLVERS)}"
    )
    add_problem(parser)
    parser.add_argument("--steps", default=None, metavar="N", help="noise levels of the solver")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="any other setting of the solver, such as --set zeta=0.8; repeatable",
    )  # fmt: skip
    add_settings(parser, TilingSettings, skip=("strategy",))
    parser.add_argument(
        "--tiling", default=None, metavar="NAME", help=f"one of {', '.join(t.name for t in TILINGS)}"
    )
    parser.add_argument(
        "--seed", type=int, default=None, metavar="N", help="default: drawn, and written down"
    )
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT.tif", help="the float32 TIFF to write"
    )
    parser.add_argument(
        "--report", type=Path, default=None, metavar="REPORT.json", help="metrics and recipe as JSON"
    )


def _overrides(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not (name and equals):
            raise SettingError(
                f"A setting NAME=VALUE was wanted, but {text!r} was given; write --set zeta=0.8."
            )
    return {name.strip().replace("-", "_"): value.strip() for name, _, value in pairs}


def _why_not_writable(path: Path) -> str:
    folder = path.resolve().parent
    try:
        if path.is_dir():
            return "is a folder"
    except OSError as error:
        return f"is no name that can be ({error.strerror})"
    if not folder.is_dir():
        return "lies in a folder that does not exist"
    return "" if os.access(folder, os.W_OK) else "lies in a folder that cannot be written"


def _check_outputs(options: argparse.Namespace) -> None:
    """A long run must not fail at its last line."""
    taken = {options.input.resolve(): "is the input"}
    for path in (options.out, options.report):
        if path is None:
            continue
        what = taken.get(path.resolve()) or _why_not_writable(path)
        if what:
            raise InputError(f"A file to write was wanted, but {path} {what}; choose another name.")
        taken[path.resolve()] = "is the result already"
    if options.out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"The result is a TIFF, but {options.out.name} does not end in .tif; rename it.")


def _write_report(path: Path, report: dict[str, Any]) -> None:
    from padis_gui.core.checkpoint import write_atomically

    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {path} ({error.strerror}); choose another place."
        ) from None


def run(options: argparse.Namespace) -> int:
    """Reconstruct one image; writes the TIFF and the report."""
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.checkpoint import load_prior
    from padis_gui.core.data.read import read_image
    from padis_gui.core.data.write import write_tiff
    from padis_gui.core.device import (
        describe_device,
        fastest_precision,
        peak_memory_mb,
        pick_device,
        use_all_threads,
    )
    from padis_gui.core.metrics import as_json
    from padis_gui.core.operators import find_physics
    from padis_gui.core.recipe import (
        build_problem,
        find_preset,
        make_recipe,
        measure,
        new_seed,
        prepare_image,
        solve,
    )
    from padis_gui.core.resources import resource
    from padis_gui.core.settings import make
    from padis_gui.core.solvers import find_solver
    from padis_gui.core.tiling import TilingSettings

    _check_outputs(options)
    preset = find_preset(options.preset)
    physics, problem_settings = chosen_problem(options, preset)
    solver = find_solver(options.solver or preset.solver)
    values: dict[str, Any] = dict(preset.settings) if solver.name == preset.solver else {}
    if options.steps is not None:
        values["steps"] = options.steps
    settings = make(solver.settings_type, values | _overrides(options.overrides))
    strategy = {} if options.tiling is None else {"strategy": options.tiling}
    tiling = make(TilingSettings, strategy | given_settings(options, TilingSettings))
    seed = new_seed() if options.seed is None else options.seed
    device = pick_device(options.device)
    use_all_threads()
    precision = fastest_precision(device) if options.precision == "auto" else options.precision
    prior_path = options.prior or resource(DEFAULT_PRIOR)
    prior = load_prior(prior_path, device, precision, options.training_image_size)
    image = read_image(options.input, options.page)
    recipe = make_recipe(
        image=image, data_path=options.input, prior=prior, prior_path=prior_path, physics=physics,
        problem=problem_settings, tiling=tiling, solver=solver.name, settings=settings, seed=seed,
    )  # fmt: skip
    problem = build_problem(image, prior, physics, problem_settings, seed)
    baseline = problem.operator.pinv(problem.measurement)

    began = time.perf_counter()
    with progress_bar(solver.label) as bar:
        for iterate in solve(recipe, problem, prior):
            bar(iterate.step, iterate.total, f"σ {iterate.sigma:.3g}  residual {iterate.residual:.2e}")
    seconds = time.perf_counter() - began

    metrics = measure(problem, iterate.estimate)
    reference = measure(problem, baseline)
    metrics |= {f"{name}_baseline": value for name, value in reference.items()}
    prepared = prepare_image(image, prior, problem_settings)
    write_tiff(options.out, prepared.from_unit(iterate.estimate), recipe, metrics, spacing=image.spacing)
    report = {
        **as_json(metrics),
        "seconds": seconds,
        "evaluations": iterate.evaluations,
        "seed": seed,
        "solver": solver.name,
        "device": describe_device(device),
        "peak_memory_mb": peak_memory_mb(device),
        "recipe": recipe.model_dump(mode="json"),
    }
    if options.report is not None:
        _write_report(options.report, report)
    print(
        f"{options.out}: PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.3f} "
        f"({find_physics(physics).baseline} {metrics['psnr_baseline']:.2f} dB, {metrics['ssim_baseline']:.3f}), "
        f"{seconds:.1f} s, seed {seed}"
    )
    return 0
