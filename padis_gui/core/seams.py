"""The boundary laboratory: how visible the borders of the tiles are in an image.

A *step* is the absolute difference of two neighbouring pixels, |dx|; steps across a tile border are compared with
all others. Borders are those of ``Partition.boxes`` inside the image; where tiles overlap, every tile's border
counts. Images are (C, rows, columns); channels are averaged.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from padis_gui.core.partition import Partition
from padis_gui.core.prior import PatchPrior
from padis_gui.core.tiling import Tiling

MEDIAN_SIDE = 9  # of the window that says what steps are usual around a border
_SHIFTS = tuple(
    k / 8 for k in range(1, 8)
)  # of the grid's period: where a picture without truth is compared with itself


def seam_steps(partition: Partition, shift: int = 0) -> tuple[Tensor, Tensor]:
    """Which steps cross a tile border: bool (rows - 1, columns) down and (rows, columns - 1) to the right.

    ``shift`` moves the grid down and right by that many pixels.
    """
    rows, columns = partition.image_shape
    down = torch.zeros(max(rows - 1, 0), columns, dtype=torch.bool)
    right = torch.zeros(rows, max(columns - 1, 0), dtype=torch.bool)
    for box in partition.boxes:
        top, left = box.row - partition.pad[0] + shift, box.column - partition.pad[1] + shift
        bottom, end = top + box.size, left + box.size
        for edge in (top, bottom):
            if 1 <= edge < rows:
                down[edge - 1, max(left, 0) : max(end, 0)] = True
        for edge in (left, end):
            if 1 <= edge < columns:
                right[max(top, 0) : max(bottom, 0), edge - 1] = True
    return down, right


def seam_ratio(x: Tensor, partition: Partition, truth: Tensor | None = None) -> float:
    """Mean step across the tile borders over mean step elsewhere, relative to the same of a reference.

    1 is no seam. The reference is ``truth`` where it is given, else x itself along the same lines shifted by
    parts of the grid's period. The ratio does not change when x is scaled. NaN where no tile border crosses
    the image, infinite where the reference has no steps along the borders and x does.
    """
    crossing = seam_steps(partition)
    found = _steps(x)
    ratio = _across_to_elsewhere(found, crossing)
    if truth is not None:
        return _quotient(ratio, _across_to_elsewhere(_steps(truth), crossing))
    period = partition.stride or partition.patch
    references = []
    for shift in sorted({round(part * period) for part in _SHIFTS} - {0}):
        shifted = seam_steps(partition, shift)
        apart = [line & ~border for line, border in zip(shifted, crossing, strict=True)]
        references.append(_across_to_elsewhere(found, apart, leave_out=crossing))
    usable = [reference for reference in references if not math.isnan(reference)]
    return _quotient(ratio, sum(usable) / len(usable)) if usable else math.nan


def seam_map(x: Tensor, partition: Partition) -> Tensor:
    """How far each step across a tile border exceeds what is usual around it: (rows, columns), 0 off the borders.

    |dx| minus the median of |dx| in a square window; both pixels beside the border get the value, and the
    larger one where two borders meet. Negative where a border is smoother than its surroundings.
    """
    from scipy.ndimage import median_filter

    image = torch.zeros(partition.image_shape, dtype=torch.float64)
    for axis, (steps, crossing) in enumerate(zip(_steps(x), seam_steps(partition), strict=True)):
        if not crossing.any():
            continue
        usual = torch.from_numpy(median_filter(steps.numpy(), size=MEDIAN_SIDE, mode="nearest"))
        excess = torch.where(crossing, steps - usual, 0.0)
        length = steps.shape[axis]
        for first in (0, 1):
            beside = image.narrow(axis, first, length)
            beside.copy_(torch.where(excess.abs() > beside.abs(), excess, beside))
    return image.float()


@torch.no_grad()
def disagreement_map(
    prior: PatchPrior, x: Tensor, sigma: float, tiling: Tiling, rng: torch.Generator
) -> Tensor:
    """D(x, sigma) through one partition of ``tiling`` minus D through the next one: (C, rows, columns).

    Needs no truth. Both calls get the same noise around the image, so that nothing but the tiling differs.
    """
    first, second = (tiling.draw(rng, sigma) for _ in range(2))
    surroundings = rng.get_state()
    one = prior.denoise(x, sigma, first, rng)
    rng.set_state(surroundings)
    return one - prior.denoise(x, sigma, second, rng)


def disagreement(prior: PatchPrior, x: Tensor, sigma: float, tiling: Tiling, rng: torch.Generator) -> float:
    """Root mean square of :func:`disagreement_map`: 0 where it does not matter where the tiles lie."""
    return float(disagreement_map(prior, x, sigma, tiling, rng).square().mean().sqrt())


def seam_coverage(partitions: Sequence[Partition]) -> Tensor:
    """How often each pixel has lain beside a tile border: int64 (rows, columns). At least one partition."""
    count = torch.zeros(partitions[0].image_shape, dtype=torch.int64)
    for partition in partitions:
        beside = torch.zeros(partition.image_shape, dtype=torch.bool)
        down, right = seam_steps(partition)
        beside[:-1] |= down
        beside[1:] |= down
        beside[:, :-1] |= right
        beside[:, 1:] |= right
        count += beside
    return count


def _steps(x: Tensor) -> tuple[Tensor, Tensor]:
    """|dx| down (rows - 1, columns) and to the right (rows, columns - 1), float64 on the CPU."""
    values = x.detach().to("cpu", torch.float64)
    return values.diff(dim=1).abs().mean(0), values.diff(dim=2).abs().mean(0)


def _across_to_elsewhere(
    steps: Sequence[Tensor], crossing: Sequence[Tensor], leave_out: Sequence[Tensor] | None = None
) -> float:
    """Mean step where ``crossing`` over the mean of the others, those in ``leave_out`` left out."""
    ignored = leave_out or [torch.zeros_like(line) for line in crossing]
    across = torch.cat([s[c] for s, c in zip(steps, crossing, strict=True)])
    elsewhere = torch.cat([s[~c & ~i] for s, c, i in zip(steps, crossing, ignored, strict=True)])
    if not (len(across) and len(elsewhere)):
        return math.nan
    return _quotient(float(across.mean()), float(elsewhere.mean()))


def _quotient(a: float, b: float) -> float:
    if b == 0:
        return math.nan if math.isnan(a) else math.inf if a > 0 else 1.0
    return a / b
