"""Measure solvers on every page of a multi-page image; the README's table of results is made with it.

    .venv/bin/python packaging/evaluate.py slices.tif --views 20 8 --solver fast balanced

Each page is measured without noise, reconstructed with the solver's defaults and one seed, and compared.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from padis_gui.core.checkpoint import load_prior
from padis_gui.core.data.read import count_pages, read_image
from padis_gui.core.device import describe_device, fastest_precision, pick_device, use_all_threads
from padis_gui.core.operators.ct import ParallelBeamSettings
from padis_gui.core.prior import PatchPrior
from padis_gui.core.recipe import build_problem, make_recipe, measure, solve
from padis_gui.core.resources import DEFAULT_PRIOR, resource
from padis_gui.core.settings import make
from padis_gui.core.solvers import SOLVERS, find_solver
from padis_gui.core.tiling import TilingSettings

Figures = dict[str, float]


def one(options: argparse.Namespace, prior: PatchPrior, page: int, views: int, name: str) -> Figures:
    """Metrics, seconds and baseline of one page with one solver."""
    image = read_image(options.data, page)
    problem_settings = make(ParallelBeamSettings, {"views": views, "noise": options.noise})
    overrides = dict(text.split("=", 1) for text in options.set)
    recipe = make_recipe(
        image=image, data_path=options.data, prior=prior, prior_path=options.prior,
        physics="ct-parallel", problem=problem_settings,
        tiling=make(TilingSettings, dict(text.split("=", 1) for text in options.tiling)),
        solver=name,        settings=make(find_solver(name).settings_type, overrides), seed=options.seed,
    )  # fmt: skip
    problem = build_problem(image, prior, "ct-parallel", problem_settings, options.seed)
    began = time.perf_counter()
    *_, last = solve(recipe, problem, prior)
    seconds = time.perf_counter() - began
    baseline = measure(problem, problem.operator.pinv(problem.measurement))
    found = {**measure(problem, last.estimate), "seconds": seconds, "evaluations": last.evaluations}
    return found | {f"{key}_baseline": value for key, value in baseline.items()}


def main() -> None:
    """Print a line for each number of views and solver: means over the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--pages", type=int, nargs="+", help="default: all")
    parser.add_argument("--views", type=int, nargs="+", default=[20, 8])
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument(
        "--solver", nargs="+", default=["fast", "balanced"], choices=[s.name for s in SOLVERS]
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the solvers")
    parser.add_argument(
        "--tiling", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the tiling"
    )
    parser.add_argument("--prior", type=Path, default=resource(DEFAULT_PRIOR))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    use_all_threads()
    device = pick_device()
    prior = load_prior(options.prior, device, fastest_precision(device))
    pages = options.pages if options.pages is not None else list(range(count_pages(options.data)))
    print(f"{len(pages)} pages of {options.data.name}; {describe_device(device)}, {prior.precision}")
    table = []
    for views in options.views:
        for name in options.solver:
            found = [one(options, prior, page, views, name) for page in pages]
            mean = {key: statistics.fmean(f[key] for f in found) for key in found[0]}
            table.append({"views": views, "solver": name, **mean, "pages": found})
            print(
                f"{views:4d} views  {name:20s} PSNR {mean['psnr']:6.2f} dB  SSIM {mean['ssim']:.4f}  "
                f"{mean['seconds']:6.1f} s  {mean['evaluations']:.0f} evaluations   "
                f"(FBP {mean['psnr_baseline']:.2f} dB / {mean['ssim_baseline']:.3f})",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
