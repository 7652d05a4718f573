"""`padis-gui tune DATA --out TRIALS.jsonl`: search the settings of a solver on images, with others held out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.experiment import add_images, add_priors, check_files
from padis_gui.cli.options import add_device, open_prior, overrides
from padis_gui.cli.terminal import say
from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS
from padis_gui.core.settings.errors import SettingError

if TYPE_CHECKING:
    from padis_gui.core.studies.tune import Trial, Tuned, Tuning

_HELP = """\
Search the settings of a solver for the highest mean PSNR on images of your own, and say what they are worth on images
that the search has not seen. The first trial are the settings as they are; what a trial costs is that of a run on every
image, less where the first images say that it is no good.

Every evaluation is appended to TRIALS.jsonl with its recipe. The same command goes on after an interruption, to the same
numbers. --save-preset keeps what was found under a name, which every verb and the window then offer as a preset.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description, parser.formatter_class = _HELP, argparse.RawDescriptionHelpFormatter
    add_images(parser)
    parser.add_argument(
        "--held-out", type=float, default=1 / 3, metavar="SHARE",
        help="share of the images, the last ones, that the search does not see (default: a third; 0: none)",
    )  # fmt: skip
    parser.add_argument(
        "--preset", default=DEFAULT_PRESET, metavar="NAME",
        help=f"the problem, and the solver to be tuned: one of {PRESETS.listed}, or your own (default: {DEFAULT_PRESET})",
    )  # fmt: skip
    parser.add_argument("--solver", default="", metavar="NAME", help="another solver for that problem")
    parser.add_argument(
        "--search", action="extend", nargs="+", default=[], metavar="NAME=LOW..HIGH",
        help="settings that are searched, such as sigma_max=0.1..3 or schedule=karras,geometric (default: the solver's "
        "numbers that do not change what it costs, from a fifth to five times what they are)",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=int, default=40, metavar="N", help="how many are tried (default: 40)"
    )
    add_priors(parser)
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the runs and of the search (default: 1)"
    )
    add_device(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="TRIALS.jsonl",
        help="evaluations, one JSON line each; appended to",
    )
    parser.add_argument(
        "--save-preset", default="", metavar="NAME", help="keep what was found as a preset of this name"
    )
    parser.set_defaults(table=[], pictures=None)


def run(options: argparse.Namespace) -> int:
    """Search, print what was found, and keep it where that is wanted."""
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.runs.presets import check_preset_name, save_preset
    from padis_gui.core.studies.tune import Trial, tune

    check_files(options)
    tuning = _tuning(options)
    if options.save_preset:  # a name that none can have is said before the search
        check_preset_name(options.save_preset)
    found: Trial | Tuned
    best, tuned = -1.0, None
    opened = open_prior(options, tuning.prior)
    with progress_bar("Trials") as bar:
        bar(0, tuning.trials, "")
        for found in tune(tuning, lambda _path: opened, options.out):
            if isinstance(found, Trial):
                best = max(best, found.psnr) if not found.given_up and not found.error else best
                bar(found.number + 1, tuning.trials, f"{_in_words(found)}; best {best:.2f} dB")
            else:
                tuned = found
    assert tuned is not None, "a search ends with what it found"
    say(_summary(tuning, tuned))
    if options.save_preset:
        summary = f"{tuning.solver} tuned on {len(tuning.images)} images for {tuning.preset.label}"
        path = save_preset(
            options.save_preset,
            summary,
            tuning.preset.physics,
            tuning.preset.problem_settings(),
            tuning.solver,
            tuned.settings,
        )
        say(f"Kept as the preset {options.save_preset} in {path}")
    return 0


def _tuning(options: argparse.Namespace) -> "Tuning":
    from padis_gui.core.runs.presets import find_preset
    from padis_gui.core.runs.recipe import check_seed
    from padis_gui.core.solvers.registry import find_solver
    from padis_gui.core.studies.request import common_prior, images_in
    from padis_gui.core.studies.tune import Tuning, searched, split, usual_spans

    preset = find_preset(options.preset)
    solver = find_solver(options.solver or preset.solver).name
    before = preset.solver_settings(solver)
    texts = {str(name): str(value) for name, value in overrides(options.search).items()}
    spans, choices = searched(texts, solver, before) if texts else (usual_spans(before), {})
    if len(options.prior) > 1:
        raise SettingError("One prior to tune for was wanted, but several were given; name one.")
    (prior,) = tuple(options.prior) or common_prior((preset.physics,), options.device)
    images, held_out = split(images_in(tuple(options.data), tuple(options.pages or ())), options.held_out)
    return Tuning(
        images=images, held_out=held_out, preset=preset, solver=solver, prior=prior, spans=spans, choices=choices,
        trials=options.trials, seed=check_seed(options.seed),
    )  # fmt: skip


def _in_words(trial: "Trial") -> str:
    values = " ".join(f"{name}={value}" for name, value in trial.changes.items()) or "as they are"
    if trial.error:
        return f"{values}  {trial.error}"
    return f"{values}  {trial.psnr:.2f} dB" + (f" on {trial.images}, given up" if trial.given_up else "")


def _summary(tuning: "Tuning", tuned: "Tuned") -> str:
    from padis_gui.core.studies.table import as_markdown

    parts = [f"On the {len(tuning.images)} images that were tuned on:\n\n{as_markdown(tuned.tuned_on)}"]
    if tuned.held_out:
        parts.append(f"On {len(tuning.held_out)} that were held out:\n\n{as_markdown(tuned.held_out)}")
    if not tuned.changes:
        parts.append("Nothing was better than the settings as they are.")
    else:
        values = " ".join(f"--set {name}={value}" for name, value in tuned.changes.items())
        parts.append(f"Found: --solver {tuning.solver} {values}")
    return "\n".join(parts)
