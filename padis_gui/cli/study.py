"""`padis-gui study NAME DATA --out RESULTS.jsonl`: answer one of the built-in questions on one's own images."""

import argparse

from padis_gui.cli.experiment import (
    add_images,
    add_priors,
    add_results,
    bundled_priors,
    check_files,
    finish_grid,
    images_of,
)
from padis_gui.cli.options import add_device
from padis_gui.cli.terminal import say

_HELP = """\
Answer one question on images of your own: a grid of runs, with means, their confidence and paired differences, as
padis-gui experiment prints them. A grid of your own settings is padis-gui experiment --vary.

{studies}

The small budget (trial) takes the first five images, one seed and a few values; full takes all of them. The same
command goes on after an interruption.
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
    parser.add_argument("name", choices=STUDIES.names, metavar="NAME", help=f"of {STUDIES.listed}")
    add_images(parser)
    parser.add_argument(
        "--budget", choices=("trial", "full"), default="trial", help="how much is run (default: trial)"
    )
    add_priors(parser)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the first seed (default: 1)")
    add_device(parser)
    add_results(parser)


def run(options: argparse.Namespace) -> int:
    """Run the study, and print and write its table."""
    from padis_gui.core.runs.presets import PRESETS
    from padis_gui.core.studies.studies import STUDIES

    check_files(options)
    study = STUDIES.find(options.name)
    problems = tuple(PRESETS.find(name) for name in study.problems)
    priors = tuple(options.prior) or bundled_priors(problems, options.device)
    grid = study.grid(images_of(options), priors, options.budget, seed=options.seed)
    say(f"{study.question} {grid.most} cases at most.")
    return finish_grid(options, grid, f"Study: {study.name}", study.question)
