"""`padis-gui experiment DATA --out RESULTS.jsonl`: compare methods on many images and make the table."""

import argparse
import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from padis_gui.core.settings.errors import InputError, Interrupted, SettingError

if TYPE_CHECKING:
    from padis_gui.cli.progress import Control
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.runs.presets import Preset
    from padis_gui.core.studies.experiment import GridResult
    from padis_gui.core.studies.grid import Grid, Varied
    from padis_gui.core.studies.request import StudyTraining
    from padis_gui.core.studies.trained import TrainingStep

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


def add_images(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The images of a grid."""
    parser.add_argument(
        "data", type=Path, nargs="+" if required else "*", metavar="DATA",
        help="images; multi-page files count page by page",
    )  # fmt: skip
    parser.add_argument("--pages", type=int, nargs="+", metavar="N", help="pages, from 0 (default: all)")


def add_priors(parser: argparse.ArgumentParser) -> None:
    """The priors of a grid."""
    parser.add_argument(
        "--prior", type=Path, nargs="+", default=[], metavar="FILE", help="priors (default: the bundled one)"
    )
    add_training_image_size(parser)


def add_results(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Where results, tables and pictures go."""
    parser.add_argument(
        "--out",
        type=Path,
        required=required,
        default=None,
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
    parser.add_argument(
        "--pictures", type=Path, default=None, metavar="FOLDER",
        help="keep the result of each run as a TIFF in this folder, which restores the run in the window",
    )  # fmt: skip


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
    parser.set_defaults(events=False)


def run(options: argparse.Namespace) -> int:
    """Run the grid, and print and write its table."""
    from padis_gui.core.solvers.registry import find_solver
    from padis_gui.core.studies.grid import Grid
    from padis_gui.core.studies.request import common_prior, images_in

    check_files(options)
    problems = tuple(_problem(options, name) for name in options.preset)
    solvers = tuple(options.solver) or tuple(dict.fromkeys(p.solver for p in problems))
    for solver in solvers:
        find_solver(solver)
    priors = tuple(options.prior) or common_prior((problem.physics for problem in problems), options.device)
    kept_settings, several = _apart(options.overrides)
    grid = Grid(
        images=images_in(tuple(options.data), tuple(options.pages or ())), problems=problems, priors=priors,
        solvers=tuple(options.solver),
        overrides=_by_solver(kept_settings, solvers), tilings=_tilings(options),
        positions=tuple(p == "on" for p in options.positions), seeds=tuple(options.seed),
        varied=_varied([*several, *options.vary], problems, solvers),
    )  # fmt: skip
    return finish_grid(options, grid, "Experiment")


_TRAINING_SECONDS = 1.0  # between two lines about a training


class Followed(ABC):
    """Shows results as they come, and stops where that is asked for."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed = total, 0, 0

    def train(self, at: "TrainingStep") -> None:
        """A training that comes before the runs."""
        self._show(f"training {at.name}, step {at.step} of {at.total}")

    def show(self, result: "GridResult") -> None:
        """One more."""
        self.done += 1
        self.failed += bool(result.error)
        psnr = result.metrics.get("psnr")
        self._show(f"{result.point.name}  {result.error if psnr is None else f'{psnr:.2f} dB'}")

    @abstractmethod
    def _show(self, note: str) -> None: ...

    @abstractmethod
    def check(self) -> None:
        """Wait while it is paused; raises :class:`Interrupted` once it is to stop."""


class _OnBar(Followed):
    def __init__(self, total: int, bar: "Callable[[int, int, str], None]") -> None:
        super().__init__(total)
        self._bar = bar
        bar(0, total, "")

    def _show(self, note: str) -> None:
        self._bar(self.done, self.total, note)

    def check(self) -> None:
        """Whoever wants it to stop presses Ctrl-C."""


class _AsLines(Followed):
    def __init__(self, total: int, control: "Control") -> None:
        from padis_gui.cli.progress import Lines
        from padis_gui.core.training.optimise import World

        super().__init__(total)
        self._control, self._world, self._lines = control, World(), Lines()
        self._show("")

    def _show(self, note: str) -> None:
        if not self._lines.tell("case", done=self.done, total=self.total, failed=self.failed, note=note):
            self._control.stop = True

    def note(self, name: str, step: int) -> None:
        self._lines.tell(name, done=step)

    def check(self) -> None:
        self._control.wait_while_paused(self._world, self.done, self)
        self._control.check()


@contextmanager
def _followed(title: str, total: int, *, events: bool, last: bool = True) -> Iterator[Followed]:
    """On a bar, or with ``events`` in lines of JSON; after the ``last`` part they say that all is done."""
    from padis_gui.cli.progress import Control, progress_bar

    if not events:
        with progress_bar(title) as bar:
            yield _OnBar(total, bar)
        return
    with Control(words=True) as control:
        shown = _AsLines(total, control)
        try:
            yield shown
        except Interrupted:
            shown.note("stopped", shown.done)
            raise
        if last:
            shown.note("done", shown.done)


def train_all(trainings: "tuple[StudyTraining, ...]", folder: Path, *, events: bool) -> None:
    """Train the priors of a study; raises :class:`Interrupted` where it is told to stop."""
    from padis_gui.cli.progress import Pacer
    from padis_gui.core.studies.trained import train_priors

    if not trainings:
        return
    pace = Pacer(_TRAINING_SECONDS)
    with _followed("Training", len(trainings), events=events, last=False) as shown:
        for at in train_priors(trainings, folder, shown.check):
            if at.step == at.total:
                shown.done += 1
            if pace(always=at.step == at.total):
                shown.train(at)
        shown.done = 0


def finish_grid(options: argparse.Namespace, grid: "Grid", title: str, question: str = "") -> int:
    """Run a grid, and print and write its table; returns the exit code. Raises :class:`Interrupted` where it is told to
    stop."""
    from padis_gui.core.studies.experiment import run_grid
    from padis_gui.core.studies.grid import check_size
    from padis_gui.core.studies.page import as_text
    from padis_gui.core.studies.table import as_markdown, summarise

    check_size(grid)
    points = list(grid.points())
    priors = dict.fromkeys(point.prior for point in points)
    opened = {path: open_prior(options, path) for path in priors}
    results: list[GridResult] = []
    unwritten, missing = None, False
    with _followed(title, len(points), events=options.events) as shown:
        found = run_grid(
            points, opened.__getitem__, options.out, pictures=options.pictures, check=shown.check
        )
        try:
            for result in found:
                results.append(result)
                shown.show(result)
        except InputError as refused:
            if not results:
                raise
            unwritten = refused
        rows = summarise(results)
        for path in options.table:
            text = as_text(rows, path.suffix, title=title, question=question, again=_again(options))
            _, written = kept(path, partial(write_text, text=text))
            missing |= written != path
    if not options.events:
        say(as_markdown(rows), end="")
    errors = dict.fromkeys(
        f"{result.point.method.solver}: {result.error}" for result in results if result.error
    )
    for error in errors:
        say(f"failed: {error}", error=options.events)
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


def check_files(options: argparse.Namespace) -> None:
    """Raise :class:`InputError` for outputs of other kinds, or that would replace an input."""
    from padis_gui.core.runs.inputs import check_run_outputs

    tables = [(table, (".md", ".csv", ".html")) for table in options.table]
    for path, endings in [(options.out, (".jsonl",)), *tables]:
        if path.suffix.lower() not in endings:
            raise InputError(
                f"A file that ends in {' or '.join(endings)} was wanted, but {path.name} was given; rename it."
            )
    if options.pictures is not None and options.pictures.exists() and not options.pictures.is_dir():
        raise InputError(
            f"A folder for the pictures was wanted, but {options.pictures} is a file; choose another name."
        )
    check_run_outputs(given_inputs(options), [options.out, *options.table])


def _problem(options: argparse.Namespace, name: str) -> "Preset":
    """The preset with the settings that were given, and a name that says so."""
    from dataclasses import replace

    from padis_gui.core.runs.presets import find_preset

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
