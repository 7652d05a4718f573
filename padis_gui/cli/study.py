"""`padis-gui study NAME DATA --out RESULTS.jsonl`: answer one of the built-in questions on one's own images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.experiment import add_images, add_priors, add_results, check_files, finish_grid, train_all
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
    trained = parser.add_argument_group("a study that trains", "patches against whole images (claim)")
    trained.add_argument(
        "--train-on", type=Path, nargs="+", default=[], metavar="DATA",
        help="images that its priors learn from; they lie beside RESULTS.jsonl in RESULTS.priors, and go on, too",
    )  # fmt: skip
    trained.add_argument(
        "--train-steps",
        type=int,
        default=None,
        metavar="N",
        help="of each of them (default: 1000; full: 20000)",
    )
    trained.add_argument(
        "--train-like", type=Path, default=None, metavar="DIR",
        help="data, network and all other settings as in the training.json of that folder",
    )  # fmt: skip
    add_events(parser)


def run(options: argparse.Namespace) -> int:
    """Run the study, and print and write its table."""
    from padis_gui.core.studies.request import images_in
    from padis_gui.core.studies.trained import prior_of

    request = _wanted(options) if options.resume is None else _resumed(options)
    check_files(options)
    images = images_in(request.images, request.pages)
    folder = options.resume or options.out.with_suffix("")
    trained = tuple(prior_of(training, folder) for training in request.trainings)
    most = request.grid(images, trained).most  # what does not go together is said before anything is trained
    if not options.events:
        say(f"{request.question} {most} cases at most.".strip())
    try:
        train_all(request.trainings, folder, events=options.events)
        return finish_grid(
            options, request.grid(images, trained), f"Study: {request.title}", request.question
        )
    except Interrupted:
        return 0


def _wanted(options: argparse.Namespace) -> "StudyRequest":
    """What the options say."""
    from padis_gui.core.studies.studies import STUDIES
    from padis_gui.core.training.plan import load_request

    if options.name is None or not options.data or options.out is None:
        raise SettingError(
            "A study, images and --out were wanted, or --resume, but one of them is missing; name all of them."
        )
    study = STUDIES.find(options.name)
    if study.trains != bool(options.train_on):
        what = (
            "Images to learn from were wanted with --train-on"
            if study.trains
            else "A study that trains was wanted"
        )
        raise SettingError(
            f"{what}, but {study.name} was given {'without' if study.trains else 'with'} them; see --help."
        )
    return study.request(
        tuple(options.data), options.budget, seed=options.seed, priors=tuple(options.prior),
        train_on=tuple(path.absolute() for path in options.train_on), steps=options.train_steps,
        base=None if options.train_like is None else load_request(options.train_like),
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
