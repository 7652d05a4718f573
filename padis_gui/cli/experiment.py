"""`padis-gui experiment DATA --out RESULTS.jsonl`: compare methods on many images and make the table."""

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.cli.options import (
    add_device,
    add_problem,
    add_settings,
    add_training_image_size,
    chosen_problem,
    given_inputs,
    given_problem,
    given_settings,
    open_prior,
    overrides,
)
from padis_gui.cli.outputs import kept, write_text
from padis_gui.cli.terminal import say
from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS
from padis_gui.core.settings.errors import InputError, SettingError

if TYPE_CHECKING:
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.runs.presets import Preset
    from padis_gui.core.studies.experiment import GridResult
    from padis_gui.core.studies.grid import Grid, Varied

_HELP = """\
Run every combination of the images, problems, solvers, tilings, priors and seeds given, and of the values of any
setting (--vary), and print means over images and seeds: PSNR in dB, SSIM and NRMSE of the result, PSNR and SSIM of the
baseline picture, the data residual, the seam ratio along the last tiles' borders relative to the truth (1 = no seam),
denoiser evaluations, and seconds. ± is half the 95 % confidence interval of the mean over images, each the mean of its
seeds (of one image: over seeds); the difference in PSNR is to the first row of the same problem, image by image.

Results are appended to RESULTS.jsonl one by one, each with its recipe. The same command goes on after an
interruption: what succeeded is not run again. A case that fails is counted in the table, the others go on, and the
exit code is then 1.
"""


def add_images(parser: argparse.ArgumentParser) -> None:
    """The images of a grid, for :func:`images_of`."""
    parser.add_argument(
        "data", type=Path, nargs="+", metavar="DATA", help="images; multi-page files count page by page"
    )
    parser.add_argument("--pages", type=int, nargs="+", metavar="N", help="pages, from 0 (default: all)")


def add_priors(parser: argparse.ArgumentParser) -> None:
    """The priors of a grid."""
    parser.add_argument(
        "--prior", type=Path, nargs="+", default=[], metavar="FILE", help="priors (default: the bundled one)"
    )
    add_training_image_size(parser)


def add_results(parser: argparse.ArgumentParser) -> None:
    """Where results and tables go."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="RESULTS.jsonl",
        help="results, one JSON line each; appended to",
    )
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="write the table as .md, .csv or .html (with plots) too",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    from padis_gui.core.prior.tiling import TILINGS, TilingSettings
    from padis_gui.core.solvers.registry import SOLVERS

    parser.description, parser.formatter_class = _HELP, argparse.RawDescriptionHelpFormatter
    add_images(parser)
    parser.add_argument(
        "--preset", nargs="+", default=[DEFAULT_PRESET], metavar="NAME",
        help=f"problems, of {PRESETS.listed}; --physics and its settings change them",
    )  # fmt: skip
    add_problem(parser)
    parser.add_argument(
        "--solver", nargs="+", default=[], metavar="NAME",
        help=f"of {SOLVERS.listed} (default: the preset's)",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="SOLVER.NAME=VALUE", dest="overrides",
        help="settings of a solver, such as diffpir.steps=40; without SOLVER of all of them",
    )  # fmt: skip
    parser.add_argument(
        "--vary", action="extend", nargs="+", default=[], metavar="NAME=VALUE,VALUE",
        help="settings that take each of these values, of solvers, problems or the tiling, such as views=8,20,60 or "
        "fast.sigma_max=0.3,1; the same as --set of one setting with several values",
    )  # fmt: skip
    parser.add_argument("--tiling", nargs="+", default=[], metavar="NAME", help=f"of {TILINGS.listed}")
    add_settings(parser, TilingSettings, skip=("strategy",))
    add_priors(parser)
    parser.add_argument(
        "--positions", nargs="+", choices=("on", "off"), default=["on"],
        help="whether the prior is told where a patch lies; 'on off' compares (default: on)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, nargs="+", default=[1], metavar="N", help="default: 1")
    add_device(parser)
    add_results(parser)


def run(options: argparse.Namespace) -> int:
    """Run the grid, and print and write its table."""
    from padis_gui.core.solvers.registry import find_solver
    from padis_gui.core.studies.grid import Grid

    check_files(options)
    problems = tuple(_problem(options, name) for name in options.preset)
    solvers = tuple(options.solver) or tuple(dict.fromkeys(p.solver for p in problems))
    for solver in solvers:
        find_solver(solver)
    priors = tuple(options.prior) or bundled_priors(problems, options.device)
    kept_settings, several = _apart(options.overrides)
    grid = Grid(
        images=images_of(options), problems=problems, priors=priors, solvers=tuple(options.solver),
        overrides=_by_solver(kept_settings, solvers), tilings=_tilings(options),
        positions=tuple(p == "on" for p in options.positions), seeds=tuple(options.seed),
        varied=_varied([*several, *options.vary], problems, solvers),
    )  # fmt: skip
    return finish_grid(options, grid, "Experiment")


def finish_grid(options: argparse.Namespace, grid: "Grid", title: str, question: str = "") -> int:
    """Run a grid, and print and write its table; returns the exit code."""
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.studies.experiment import run_grid
    from padis_gui.core.studies.grid import check_size
    from padis_gui.core.studies.page import as_html
    from padis_gui.core.studies.table import as_csv, as_markdown, summarise

    check_size(grid)
    points = list(grid.points())
    priors = dict.fromkeys(point.prior for point in points)
    opened = {path: open_prior(options, path) for path in priors}
    results: list[GridResult] = []
    unwritten = None
    with progress_bar(title) as bar:
        bar(0, len(points), "")
        try:
            for result in run_grid(points, opened.__getitem__, options.out):
                results.append(result)
                psnr = result.metrics.get("psnr")
                quality = result.error if psnr is None else f"{psnr:.2f} dB"
                named = [*result.point.group[:3], *(f"{key}={value}" for key, value in result.point.varied)]
                bar(len(results), len(points), f"{' '.join(filter(None, named))}  {quality}")
        except InputError as refused:
            if not results:
                raise
            unwritten = refused
    rows = summarise(results)
    say(as_markdown(rows), end="")
    missing = False
    for path in options.table:
        match path.suffix.lower():
            case ".csv":
                text = as_csv(rows)
            case ".html":
                text = as_html(rows, title=title, question=question, again=_again(options))
            case _:
                text = as_markdown(rows)
        _, written = kept(path, partial(write_text, text=text))
        missing |= written != path
    errors = dict.fromkeys(
        f"{result.point.method.solver}: {result.error}" for result in results if result.error
    )
    for error in errors:
        say(f"failed: {error}")
    if unwritten is not None:
        raise unwritten
    return 1 if errors else 2 if missing else 0


def _again(options: argparse.Namespace) -> str:
    """The command that makes the same table again, for a shell."""
    return shlex.join(["padis-gui", *sys.argv[1:]]) if sys.argv[1:] else f"padis-gui {options.verb}"


def _apart(texts: list[str]) -> tuple[list[str], list[str]]:
    """Settings that are given once, and NAME=VALUE,VALUE for those that are given several times."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for name, value in overrides([text]).items():
            found.setdefault(name, []).append(value)
    once = [f"{name}={values[0]}" for name, values in found.items() if len(values) == 1]
    return once, [f"{name}={','.join(values)}" for name, values in found.items() if len(values) > 1]


def _varied(
    texts: list[str], problems: "tuple[Preset, ...]", solvers: tuple[str, ...]
) -> "tuple[Varied, ...]":
    from padis_gui.core.studies.grid import varied

    return tuple(
        varied(name, tuple(value.strip() for value in values.split(",")), problems, solvers)
        for text in texts
        for name, values in overrides([text]).items()
    )


def bundled_priors(problems: "tuple[Preset, ...]", device: str) -> tuple[Path, ...]:
    """The one bundled prior of these problems; raises :class:`SettingError` where they have several."""
    from padis_gui.core.runs.presets import bundled_prior
    from padis_gui.core.settings.machine import pick_device

    kind = pick_device(device).type
    priors = tuple(dict.fromkeys(bundled_prior(problem.physics, kind) for problem in problems))
    if len(priors) > 1:
        raise SettingError(
            "Problems of one bundled prior were wanted, but CT and pictures came together; run them apart, or "
            "choose the priors with --prior."
        )
    return priors


def check_files(options: argparse.Namespace) -> None:
    """Raise :class:`InputError` for outputs of other kinds, or that would replace an input."""
    from padis_gui.core.runs.inputs import check_run_outputs

    tables = [(table, (".md", ".csv", ".html")) for table in options.table]
    for path, endings in [(options.out, (".jsonl",)), *tables]:
        if path.suffix.lower() not in endings:
            raise InputError(
                f"A file that ends in {' or '.join(endings)} was wanted, but {path.name} was given; rename it."
            )
    check_run_outputs(given_inputs(options), [options.out, *options.table])


def images_of(options: argparse.Namespace) -> tuple[tuple[Path, int], ...]:
    """Every (file, page) of the grid; all are read once, so that a bad one is found before the first run."""
    from padis_gui.core.files.formats.open import count_pages
    from padis_gui.core.files.read import read_image

    found = [
        (path, page)
        for path in options.data
        for page in (range(count_pages(path)) if options.pages is None else options.pages)
    ]
    for path, page in found:
        if read_image(path, page).measured is not None:
            raise InputError(
                f"Images were wanted, of which methods are compared to the truth, but {path.name} is a measurement; use "
                "padis-gui reconstruct."
            )
    return tuple(found)


def _problem(options: argparse.Namespace, name: str) -> "Preset":
    """The preset with the settings that were given, and a name that says so."""
    from dataclasses import replace

    from padis_gui.core.runs.recipe import find_preset

    preset = find_preset(name)
    physics, settings = chosen_problem(options, preset)
    given = [f"{key}={value}" for key, value in given_problem(options).items()]
    own = preset.name if physics == preset.physics else physics
    return replace(
        preset.tuned_for(physics, settings),
        name=" ".join([own, *given]),
        physics=physics,
        problem=settings.model_dump(mode="json"),
    )


def _tilings(options: argparse.Namespace) -> "tuple[TilingSettings, ...]":
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.settings.declarations import make

    given = given_settings(options, TilingSettings)
    given.pop("strategy", None)
    strategies = [{"strategy": name} for name in options.tiling] or [{}]
    return tuple(make(TilingSettings, given | strategy) for strategy in strategies)


def _by_solver(texts: list[str], solvers: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Settings by solver from SOLVER.NAME=VALUE; raises :class:`SettingError` for solvers not in the grid."""
    from padis_gui.core.solvers.registry import find_solver

    found: dict[str, dict[str, Any]] = {find_solver(name).name: {} for name in solvers}
    for text in texts:
        for name, value in overrides([text]).items():
            solver, dot, setting = name.rpartition(".")
            solver = solver.replace("_", "-")
            if dot and solver not in found:
                raise SettingError(
                    f"A setting of {', '.join(solvers)} was wanted, but {text!r} was given; add --solver {solver}."
                )
            for chosen in [solver] if dot else solvers:
                found[chosen][setting] = value
    return found
