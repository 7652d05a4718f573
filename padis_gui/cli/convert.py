"""`padis-gui convert IN OUT.safetensors`: a published snapshot as a native prior, or a prior with another name or scale."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.options import add_training_image_size, chosen_window
from padis_gui.cli.terminal import say
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import CheckpointError
from padis_gui.core.settings.files import failures_said
from padis_gui.core.settings.untrusted import plain

if TYPE_CHECKING:
    from padis_gui.core.prior.checkpoint import PriorRecord

_LARGEST_HALF = 65504.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description = (
        "Read a published network-snapshot file, without executing anything in it, or a native prior, and write a native "
        "prior (safetensors with JSON) that holds the same weights. --name, --unit and --window say what its images are; "
        "the network sees the same numbers from 0 to 1."
    )
    parser.add_argument("source", type=Path, metavar="IN", help="a network-snapshot file (.pkl), or a prior")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors", help="the prior to write")
    add_training_image_size(parser)
    parser.add_argument("--name", default=None, help="the prior's name (default: as it was)")
    parser.add_argument(
        "--unit", default=None, help="unit of the images that it knows; '' for none (default: as it was)"
    )
    parser.add_argument(
        "--window", default=None, metavar="LOW,HIGH",
        help="intensities in that unit that are its 0 and 1 (default: as it was)",
    )  # fmt: skip
    parser.add_argument(
        "--half", action="store_true", help="half precision: half the size, outputs change by about 0.1 %%"
    )


def run(options: argparse.Namespace) -> int:
    """Convert one file; :class:`~padis_gui.core.settings.errors.PadisError` for everything that stands against it."""
    from padis_gui.core.prior.checkpoint import read_prior, save_prior
    from padis_gui.core.runs.inputs import check_run_outputs

    out: Path = options.out
    if out.suffix.lower() != ".safetensors":
        raise CheckpointError(
            f"A native prior was to be written, but {out.name} does not end in .safetensors; rename it."
        )
    check_run_outputs([options.source], [out])
    record, state = read_prior(options.source, options.training_image_size)
    record = _renamed(record, options)
    # Fourier frequencies are multiplied by the noise level: half precision would turn their phases.
    exact = [name for name in state if name.endswith("map_noise.freqs")]
    largest = max(float(t.abs().max()) for name, t in state.items() if t.numel() and name not in exact)
    if options.half and largest > _LARGEST_HALF:
        raise CheckpointError(
            f"Half precision was wanted, but {options.source.name} has a weight of {largest:.3g}, which it cannot "
            "hold; convert without --half."
        )
    with failures_said("The prior", out):
        save_prior(out, record, state, half=options.half, keep=exact)
    assumed = record.training.get("assumed", [])
    say(f"{out}: {sum(t.numel() for t in state.values()):,} parameters" + says_assumed(assumed))
    return 0


def _renamed(record: "PriorRecord", options: argparse.Namespace) -> "PriorRecord":
    """The record with the name, the unit and the window that are given."""
    scale: dict[str, object] = {} if options.unit is None else {"unit": options.unit}
    if options.window is not None:
        scale["window"] = chosen_window(options.window)
    conventions = make(type(record.conventions), record.conventions.model_dump() | scale)
    name = record.name if options.name is None else plain(options.name)
    return record.model_copy(update={"name": name, "conventions": conventions})


def says_assumed(assumed: object) -> str:
    """The end of a line that names what a snapshot leaves open."""
    if not isinstance(assumed, list) or not assumed:
        return ""
    return f" (assumed, since the file does not say: {', '.join(str(a) for a in assumed)})"
