"""The numbers of a run's iterates as columns."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

# column -> (what it is, unit, on a logarithmic axis); the order in which they are written
COLUMNS: dict[str, tuple[str, str, bool]] = {
    "step": ("Step", "", False),
    "sigma": ("Noise level σ", "", True),
    "psnr": ("PSNR", "dB", False),
    "ssim": ("SSIM", "", False),
    "residual": ("Residual", "", True),
    "seam_ratio": ("Seam ratio", "", False),
    "disagreement": ("Disagreement of two offsets", "", False),
    "seconds": ("Time of the step", "s", False),
}
Curves = Mapping[str, Sequence[float]]


def known(curves: Curves) -> dict[str, list[float]]:
    """The columns that have at least one finite value, in their order."""
    return {
        name: list(curves[name])
        for name in COLUMNS
        if name in curves and any(math.isfinite(value) for value in curves[name])
    }


def curves_as_csv(curves: Curves) -> str:
    """A table with a line for each iterate; what is not known is left empty. Units are in the heads."""
    found = known(curves)
    heads = [f"{name} [{COLUMNS[name][1]}]" if COLUMNS[name][1] else name for name in found]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for row in zip(*found.values(), strict=True):
        writer.writerow([_number(value) for value in row])
    return text.getvalue()


def step_label(step: int, total: int, sigma: float, psnr: float = math.nan, *, symbol: str = "σ") -> str:
    """What is written on the picture of an iterate; a PSNR that is not known is left out."""
    quality = "" if math.isnan(psnr) else f", {psnr:.2f} dB"
    return f"step {step} of {total}, {symbol} {sigma:.4g}{quality}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.9g}"
