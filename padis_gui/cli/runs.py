"""`padis-gui runs DIR…`: several trainings side by side."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.terminal import say

if TYPE_CHECKING:
    from padis_gui.core.training.history import TrainingSummary

_HEADS = (
    "training", "state", "steps", "patches", "minutes", "loss", "validation", "PSNR", "over baseline",
    "parameters",
)  # fmt: skip
_LEFT = 2  # columns of words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="folders of trainings, or folders that hold some"
    )


def run(options: argparse.Namespace) -> int:
    """Print the table, as Markdown."""
    from padis_gui.core.training.history import summarise_training, trainings_in

    rows = [_cells(summarise_training(folder)) for folder in trainings_in(options.folders)]
    say(_table([_HEADS, *rows]), end="")
    return 0


def _cells(run: "TrainingSummary") -> tuple[str, ...]:
    steps = f"{run.step}/{run.total}" if run.total else str(run.step)
    gain = run.psnr - run.baseline_psnr
    return (
        run.name, run.state, steps, f"{run.patches_seen:,}", _known("{:.1f}", run.seconds / 60),
        _known("{:.4f}", run.loss), _known("{:.4f}", run.validation), _known("{:.2f} dB", run.psnr),
        _known("{:+.2f} dB", gain), f"{run.parameters:,}" if run.parameters else "–",
    )  # fmt: skip


def _known(form: str, value: float) -> str:
    return form.format(value) if math.isfinite(value) else "–"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if n < _LEFT else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |\n"

    rule = ["-" * width if n < _LEFT else "-" * (width - 1) + ":" for n, width in enumerate(widths)]
    return line(rows[0]) + line(rule) + "".join(line(row) for row in rows[1:])
