"""`padis-gui inspect FILE...`: one verdict a line, without loading it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.convert import says_assumed
from padis_gui.cli.options import add_training_image_size
from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import CheckpointError, InputError
from padis_gui.core.settings.outputs import is_ome_zarr

if TYPE_CHECKING:
    from padis_gui.core.prior.checkpoint import PriorRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description = (
        "Say what each file is, one line a file: of a prior its kind, name, parameters, patch sizes, image size, window "
        "and training steps; of an exported result what made it. The header and the tensors' shapes are read, not their "
        "numbers, and nothing in a file is executed. Other files are refused with one sentence on standard error, and the "
        "exit code is then 2."
    )
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE",
        help="a prior (.safetensors or .pkl), or an exported result (TIFF, OME-Zarr, or the JSON beside one)",
    )  # fmt: skip
    parser.add_argument(
        "--card", action="store_true",
        help="of bundled priors also: for whom they are and for whom not, what they were trained on, what was measured",
    )  # fmt: skip
    add_training_image_size(parser)


def run(options: argparse.Namespace) -> int:
    """Print a verdict for every file; 2 if any was refused."""
    from padis_gui.core.runs.presets import card_of

    refused = False
    for path in options.files:
        try:
            if _may_be_export(path):
                for line in export_verdict(path):
                    say(f"{path}: {line}")
                continue
            say(f"{path}: {verdict(path, options.training_image_size)}")
            if options.card and (card := card_of(path)) is not None:
                for heading, text in card.lines:
                    say(f"  {heading}: {text}")
        except (CheckpointError, InputError) as error:
            refused = True
            say(f"{path}: refused: {error}", error=True)
    return 2 if refused else 0


def _may_be_export(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff", ".json") or is_ome_zarr(path)


def export_verdict(path: Path) -> list[str]:
    """What an exported file says of itself, and a line where a newer version of the program wrote it; raises
    :class:`InputError` for other files."""
    from padis_gui.core.exports.about import read_export
    from padis_gui.core.runs.differences import said_newer
    from padis_gui.core.settings.untrusted import plain

    export = read_export(path)
    recipe, about = export.recipe, export.about
    data = "generated" if recipe.data is None else plain(Path(recipe.data.file).name) or "an array"
    made = plain(recipe.versions.get("padis_gui", "an unknown version"), 40)
    known = {name: value for name, value in export.metrics.items() if value is not None}
    numbers = "".join(f", {name} {known[name]:.4g}" for name in ("psnr", "ssim", "residual") if name in known)
    how = f"{recipe.physics}, {recipe.solver}, seed {recipe.seed}"
    line = f"{about.kind} of {data}, {how}{numbers}, made by padis_gui {made}"
    newer = said_newer(path.name, recipe.versions.get("padis_gui"))
    return [line, newer] if newer else [line]


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
