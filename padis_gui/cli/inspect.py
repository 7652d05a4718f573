"""`padis-gui inspect FILE...`: one verdict a line, without loading it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.convert import says_assumed
from padis_gui.cli.options import add_training_image_size
from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import CheckpointError

if TYPE_CHECKING:
    from padis_gui.core.prior.checkpoint import PriorRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description = (
        "Say what each file is: kind, name, parameters, patch sizes, image size, window and training steps, "
        "one line a file. The header and the tensors' shapes are read, not their numbers, and nothing in a file is "
        "executed. Files that are no "
        "prior are refused with one sentence on standard error, and the exit code is then 2."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a prior (.safetensors or .pkl)")
    parser.add_argument(
        "--card", action="store_true",
        help="of bundled priors also: for whom they are and for whom not, what they were trained on, what was measured",
    )  # fmt: skip
    add_training_image_size(parser)


def run(options: argparse.Namespace) -> int:
    """Print a verdict for every file; 2 if any was refused."""
    from padis_gui.core.runs.cards import card_of

    refused = False
    for path in options.files:
        try:
            say(f"{path}: {verdict(path, options.training_image_size)}")
            if options.card and (card := card_of(path)) is not None:
                for heading, text in card.lines:
                    say(f"  {heading}: {text}")
        except CheckpointError as error:
            refused = True
            say(f"{path}: refused: {error}", error=True)
    return 2 if refused else 0


def _slices(record: "PriorRecord") -> str:
    """Of a prior across slices, how many it sees, how far apart, and what comes out."""
    from padis_gui.core.prior.checkpoint import slices_of

    found = slices_of(record)
    if found.get("slices", 1) == 1:
        return ""
    out = "the middle one" if found["slices_out"] == "middle" else "all"
    apart = record.conventions.slice_spacings
    said = "" if apart is None else f" {apart[0]:g} to {apart[1]:g} mm apart"
    return f", {found['slices']} slices{said} in, {out} out"


def verdict(path: Path, training_image_size: int | None = None) -> str:
    """What a prior file says of itself, as one line; :class:`CheckpointError` for other files."""
    from padis_gui.core.prior.checkpoint import FORMAT, is_snapshot, summarise_prior

    record, parameters = summarise_prior(path, training_image_size)
    conventions = record.conventions
    patches = ", ".join(str(p) for p in sorted(conventions.patch_sizes, reverse=True))
    low, high = conventions.window
    kind = "published snapshot" if is_snapshot(path) else FORMAT
    return (
        f"{kind}, name {record.name!r}, {parameters:,} parameters, patches {patches} px, "
        f"image {conventions.image_size} px, window {low:g} to {high:g} {conventions.unit}".rstrip()
        + _slices(record)
        + f", {'unknown' if record.steps is None else record.steps} training steps"
        + says_assumed(record.training.get("assumed"))
    )
