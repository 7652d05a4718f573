"""`padis-gui inspect FILE...`: one verdict a line, from the header alone."""

import argparse
import sys
from pathlib import Path

from padis_gui.core.errors import CheckpointError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description = (
        "Say what each file is: kind, name, parameters, patch sizes, image size, window and training steps, "
        "one line a file. The header and the tensors' shapes are read, not their numbers. Files that are no "
        "prior are refused with one sentence on standard error, and the exit code is then 2."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a prior (.safetensors)")


def run(options: argparse.Namespace) -> int:
    """Print a verdict for every file; 2 if any was refused."""
    refused = False
    for path in options.files:
        try:
            print(f"{path}: {verdict(path)}")
        except CheckpointError as error:
            refused = True
            print(f"{path}: refused: {error}", file=sys.stderr)
    return 2 if refused else 0


def verdict(path: Path) -> str:
    """What a prior file says of itself, as one line; :class:`CheckpointError` for other files."""
    from padis_gui.core.checkpoint import FORMAT, read_record

    record = read_record(path)
    parameters = _count_parameters(path)
    conventions = record.conventions
    patches = ", ".join(str(p) for p in sorted(conventions.patch_sizes, reverse=True))
    low, high = conventions.window
    steps = record.training.get("steps")
    return (
        f"{FORMAT}, name {record.name!r}, {parameters:,} parameters, patches {patches} px, "
        f"image {conventions.image_size} px, window {low:g} to {high:g} {conventions.unit}".rstrip()
        + f", {steps if isinstance(steps, int) else 'unknown'} training steps"
    )


def _count_parameters(path: Path) -> int:
    """Numbers in all tensors, from the file's table of contents; refuses a file that is cut short."""
    import math

    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is damaged ({str(error)[:120]}); get a fresh copy.") from None
