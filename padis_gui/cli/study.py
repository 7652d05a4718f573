"""`padis-gui study NAME DATA --out RESULTS.jsonl`: answer one of the built-in questions on one's own images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.experiment import add_images, add_priors, add_results, check_files, finish_grid
from padis_gui.cli.options import add_device, add_events
from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import Interrupted, SettingError

if TYPE_CHECKING:
    from padis_gui.core.studies.request import StudyRequest

_HELP = """\
Answer one question on images of your own: a grid of runs, with means, their confidence and paired differences, as
padis-gui experiment prints them. A grid of your own settings is padis-gui experiment --vary.

{studies}

The small budget (trial) takes the first five images, one seed and a few values; full takes all of them. The same
command goes on after an interruption. A study that was planned in the window goes on with --resume FOLDER.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    from padis_gui.core.studies.studies import STUDIES

    width = max(len(study.name) for study in STUDIES)
    listed = "\n".join(f"  {study.name:<{width}}  {study.question}" for study in STUDIES)
    parser.description, parser.formatter_class = (
        _HELP.format(studies=listed),
        argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", choices=STUDIES.names, nargs="?", default=None, metavar="NAME", help=f"of {STUDIES.listed}"
    )
    add_images(parser, required=False)
    parser.add_argument(
        "--budget", choices=("trial", "full"), default="trial", help="how much is run (default: trial)"
    )
    add_priors(parser)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the first seed (default: 1)")
    add_device(parser)
    add_results(parser, required=False)
    parser.add_argument(
        "--resume", type=Path, default=None, metavar="FOLDER",
        help="begin, or go on with, the study whose study.json is in that folder; results, tables and pictures go there",
    )  # fmt: skip
    add_events(parser)


def run(options: argparse.Namespace) -> int:
    """Run the study, and print and write its table."""
    from padis_gui.core.studies.request import images_in

    request = _wanted(options) if options.resume is None else _resumed(options)
    check_files(options)
    grid = request.grid(images_in(request.images, request.pages))
    if not options.events:
        say(f"{request.question} {grid.most} cases at most.".strip())
    try:
        return finish_grid(options, grid, f"Study: {request.title}", request.question)
    except Interrupted:
        return 0


def _wanted(options: argparse.Namespace) -> "StudyRequest":
    """What the options say."""
    from padis_gui.core.studies.studies import STUDIES

    if options.name is None or not options.data or options.out is None:
        raise SettingError(
            "A study, images and --out were wanted, or --resume, but one of them is missing; name all of them."
        )
    return STUDIES.find(options.name).request(
        tuple(options.data), options.budget, seed=options.seed, priors=tuple(options.prior),
        pages=tuple(options.pages or ()), device=options.device,
    )  # fmt: skip


def _resumed(options: argparse.Namespace) -> "StudyRequest":
    """What the folder says; what is written goes there."""
    from padis_gui.core.studies.request import PICTURES, RESULTS_FILE, TABLES, load_study

    if options.name is not None or options.data or options.out is not None:
        raise SettingError(
            "Either a study with images and --out, or --resume was wanted, but both were given; leave one out."
        )
    folder, request = options.resume, load_study(options.resume)
    options.data, options.prior, options.device = list(request.images), list(request.priors), request.device
    options.out, options.table = folder / RESULTS_FILE, [folder / name for name in TABLES]
    options.pictures = folder / PICTURES if request.keeps_pictures else None
    return request
