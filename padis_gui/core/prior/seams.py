"""The boundary laboratory: how visible the borders of the tiles are in an image, and one tile under the network.

A *step* is the absolute difference of two neighbouring pixels, |dx|; steps across a tile border are compared with
all others. Borders are those of ``Partition.boxes`` inside the image; where tiles overlap, every tile's border
counts, except that of tiles laid on top of each other only what remains visible does. As the tiles of a grid lie in
rows and columns, each border crosses the whole image: borders are *lines*. Images are (C, rows, columns); channels
are averaged.

What the network gets and gives for one tile is EDM's preconditioning (arXiv 2206.00364, table 1) taken apart:
D = c_skip x + c_out F([c_in x, positions], c_noise). A tile may lie anywhere on the padded image, so that it can be
shifted by hand; its D is that tile of the whole denoised image, up to the round-off of another patch batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior, network_output, precondition, surround
from padis_gui.core.prior.tiling import RandomTiling, Tiling
from padis_gui.core.settings.errors import SettingError

MEDIAN_SIDE = 9  # of the window that says what steps are usual around a border
_DRAWS = 32  # of a second partition before a tiling is taken for one that has no other
_SHIFTS = tuple(
    k / 8 for k in range(1, 8)
)  # of the grid's period: where a picture without truth is compared with itself


def seam_lines(partition: Partition, shift: int = 0) -> tuple[Tensor, Tensor]:
    """Which neighbouring rows and columns a tile border parts: bool (rows - 1,) and (columns - 1,).

    ``shift`` moves the grid down and right by that many pixels.
    """
    lines = []
    for axis, length in enumerate(partition.image_shape):
        line = torch.zeros(max(length - 1, 0), dtype=torch.bool)
        for edge in _edges(partition, axis):
            if 1 <= edge + shift < length:
                line[edge + shift - 1] = True
        lines.append(line)
    return lines[0], lines[1]


def _edges(partition: Partition, axis: int) -> Iterable[int]:
    """Where tiles begin and end along an axis of the image, as the first pixel after the border."""
    pad, side = partition.pad[axis], partition.patch
    starts = [start - pad for grid in partition.starts(axis) for start in grid]
    if partition.blend != "stitch":
        return {edge for start in starts for edge in (start, start + side)}
    # Laid in their order, the tiles of a later row (or column) of a grid cover those before, and a later grid all.
    edges: set[int] = set()
    for start in starts:
        edges = {edge for edge in edges if not start < edge < start + side} | {start, start + side}
    return edges


def seam_ratio(x: Tensor, partition: Partition, truth: Tensor | None = None) -> float:
    """Mean step across the tile borders over mean step elsewhere, relative to the same of a reference.

    1 is no seam. The reference is ``truth`` where it is given, else x itself along the same lines shifted by
    parts of the grid's period. The ratio does not change when x is scaled. NaN where no tile border crosses
    the image, infinite where the reference has no steps along the borders and x does.
    """
    crossing = seam_lines(partition)
    found = _profiles(x)
    ratio = _across_to_elsewhere(found, crossing)
    if truth is not None:
        return _quotient(ratio, _across_to_elsewhere(_profiles(truth), crossing))
    period = partition.stride or partition.patch
    references = []
    for shift in sorted({round(part * period) for part in _SHIFTS} - {0}):
        shifted = seam_lines(partition, shift)
        apart = [line & ~border for line, border in zip(shifted, crossing, strict=True)]
        references.append(_across_to_elsewhere(found, apart, leave_out=crossing))
    usable = [reference for reference in references if not math.isnan(reference)]
    return _quotient(ratio, sum(usable) / len(usable)) if usable else math.nan


def seam_map(x: Tensor, partition: Partition) -> Tensor:
    """How far each step across a tile border exceeds what is usual around it: (rows, columns), 0 off the borders.

    |dx| minus the median of |dx| in a square window; both pixels beside the border get the value, and the
    larger one where two borders meet. Negative where a border is smoother than its surroundings.
    """
    image = torch.zeros(partition.image_shape, dtype=torch.float64)
    for axis, lines in enumerate(seam_lines(partition)):
        places = lines.nonzero().flatten()
        if not len(places):
            continue
        # lines first, so that both directions are one
        steps, along = (t.transpose(0, 1) if axis else t for t in (_steps(x)[axis], image))
        excess = steps[places] - _medians(steps, places)
        for beside in (places, places + 1):
            before = along[beside]
            along[beside] = torch.where(excess.abs() > before.abs(), excess, before)
    return image.float()


def _medians(values: Tensor, lines: Tensor) -> Tensor:
    """Medians of square windows around each value of the given lines; values go on beyond their edge: (lines, ...).

    Only there: a filter over the whole image takes thirty times as long.
    """
    reach = MEDIAN_SIDE // 2
    around = torch.nn.functional.pad(values[None], (reach,) * 4, mode="replicate")[0]
    windows = around.unfold(0, MEDIAN_SIDE, 1)[lines].unfold(1, MEDIAN_SIDE, 1)
    return windows.flatten(2).median(dim=2).values


@torch.no_grad()
def disagreement_map(
    prior: PatchPrior, x: Tensor, sigma: float, tiling: Tiling, rng: torch.Generator
) -> Tensor:
    """D(x, sigma) through one partition of ``tiling`` minus D through another one: (C, rows, columns).

    Needs no truth. Both calls get the same noise around the image, so that nothing but the tiling differs. A draw
    that repeats the first partition is drawn again; a tiling that has only one differs from itself by 0.
    """
    first = tiling.draw(rng, sigma)
    draws = (tiling.draw(rng, sigma) for _ in range(_DRAWS))
    second = next((partition for partition in draws if partition != first), first)
    surroundings = rng.get_state()
    one = prior.denoise(x, sigma, first, rng)
    rng.set_state(surroundings)
    return one - prior.denoise(x, sigma, second, rng)


def disagreement(prior: PatchPrior, x: Tensor, sigma: float, tiling: Tiling, rng: torch.Generator) -> float:
    """Root mean square of :func:`disagreement_map`: 0 where it does not matter where the tiles lie."""
    return float(disagreement_map(prior, x, sigma, tiling, rng).square().mean().sqrt())


def disagreement_at(prior: PatchPrior, call: DenoiserCall, rng: torch.Generator) -> Tensor:
    """:func:`disagreement_map` for the image and noise level of a denoiser call: (C, rows, columns).

    The two offsets are random and unlike, whatever the call's own tiling was, so that tilings can be compared.
    """
    partition = call.partition
    tiling = RandomTiling(partition.image_shape, partition.patch, partition.frame)
    return disagreement_map(prior, call.x.to(prior.device), call.sigma, tiling, rng)


def seam_coverage(partitions: Sequence[Partition]) -> Tensor:
    """How often each pixel has lain beside a tile border: int64 (rows, columns). At least one partition."""
    rows, columns = partitions[0].image_shape
    count = torch.zeros(rows, columns, dtype=torch.int64)
    for partition in partitions:
        beside = []
        for line, length in zip(seam_lines(partition), (rows, columns), strict=True):
            pixels = torch.zeros(length, dtype=torch.bool)
            pixels[:-1] |= line
            pixels[1:] |= line
            beside.append(pixels)
        count += beside[0][:, None] | beside[1]
    return count


def measure_along_z(x: Tensor, truth: Tensor | None = None, seams: Tensor | None = None) -> dict[str, float]:
    """What there is to say of the slices of a volume (Z, rows, columns) beside each other; nothing of a single one.

    "z_step" is the mean absolute step from a slice to the next; with a truth "z_step_ratio" relates it to the truth's, 1
    where slices change as much as they should. ``seams``, bool (Z - 1,), are where groups of slices meet: "z_seam" is
    their :func:`z_seam_ratio`.
    """
    if len(x) < 2:
        return {}
    found = {"z_step": float(_steps_along_z(x).mean())}
    if truth is not None:
        found["z_step_ratio"] = _quotient(found["z_step"], float(_steps_along_z(truth).mean()))
    ratio = math.nan if seams is None else z_seam_ratio(x, seams, truth)
    return found if math.isnan(ratio) else found | {"z_seam": ratio}


def z_seam_ratio(x: Tensor, seams: Tensor, truth: Tensor | None = None) -> float:
    """As :func:`seam_ratio`, along z: the mean step of a volume (Z, rows, columns) where groups of slices meet, over
    the mean of the others, relative to the same of the truth where it is known. NaN where all slices or none are parted.
    """
    across = seams.cpu()

    def ratio(volume: Tensor) -> float:
        steps = _steps_along_z(volume)
        if not across.any() or across.all():
            return math.nan
        return _quotient(float(steps[across].mean()), float(steps[~across].mean()))

    return ratio(x) if truth is None else _quotient(ratio(x), ratio(truth))


def _steps_along_z(x: Tensor) -> Tensor:
    """Mean |dx| between neighbouring slices, (Z - 1,), float64 on the CPU."""
    slices = x.detach().to("cpu")
    return torch.stack(
        [(slices[z + 1].double() - slices[z].double()).abs().mean() for z in range(len(x) - 1)]
    )


def _steps(x: Tensor) -> tuple[Tensor, Tensor]:
    """|dx| down (rows - 1, columns) and to the right (rows, columns - 1), float64 on the CPU."""
    values = x.detach().to("cpu", torch.float64)
    return values.diff(dim=1).abs().mean(0), values.diff(dim=2).abs().mean(0)


def _profiles(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean |dx| between neighbouring rows (rows - 1,) and columns (columns - 1,), float64 on the CPU."""
    values = x.detach().to("cpu", torch.float64)
    return values.diff(dim=1).abs().mean((0, 2)), values.diff(dim=2).abs().mean((0, 1))


def _across_to_elsewhere(
    profiles: Sequence[Tensor], crossing: Sequence[Tensor], leave_out: Sequence[Tensor] | None = None
) -> float:
    """Mean step where ``crossing`` over the mean of the others, lines in ``leave_out`` left out."""
    sums = torch.zeros(2, 2, dtype=torch.float64)  # across and elsewhere: of the steps, and their number
    for axis, (profile, across) in enumerate(zip(profiles, crossing, strict=True)):
        ignored = torch.zeros_like(across) if leave_out is None else leave_out[axis]
        length = len(profiles[1 - axis]) + 1  # of a line, in steps
        for row, chosen in enumerate((across, ~across & ~ignored)):
            sums[row] += length * torch.stack((profile[chosen].sum(), chosen.sum()))
    (across_sum, across_count), (other_sum, other_count) = sums.tolist()
    if not (across_count and other_count):
        return math.nan
    return _quotient(across_sum / across_count, other_sum / other_count)


def _quotient(a: float, b: float) -> float:
    if b == 0:
        return math.nan if math.isnan(a) else math.inf if a > 0 else 1.0
    return a / b


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InspectedTile:
    """One tile under the network; tensors are float32 on the CPU, (C, P, P) unless they say otherwise.

    ``noisy`` is x, ``positions`` (2, P, P) along columns first, ``output`` is F and ``denoised`` D; ``blind`` is D
    where the network is told the position 0 in every pixel.
    """

    box: Box
    sigma: float
    c_skip: float
    c_out: float
    c_in: float
    c_noise: float
    noisy: Tensor
    positions: Tensor
    output: Tensor
    denoised: Tensor
    blind: Tensor

    @property
    def removed(self) -> Tensor:
        """What the denoiser took away, x - D: its estimate of sigma times the noise."""
        return self.noisy - self.denoised

    @property
    def influence(self) -> Tensor:
        """What knowing its position changed: D minus D without."""
        return self.denoised - self.blind

    def moved_from(self, other: InspectedTile) -> Tensor:
        """D minus the D of a tile elsewhere, on the pixels that both cover; NaN on the others."""
        found = torch.full_like(self.denoised, torch.nan)
        down, right = self.box.row - other.box.row, self.box.column - other.box.column
        side = self.box.size
        if max(abs(down), abs(right)) < side and other.box.size == side:
            here = (slice(None), *(slice(max(0, -d), side - max(0, d)) for d in (down, right)))
            there = (slice(None), *(slice(max(0, d), side - max(0, -d)) for d in (down, right)))
            found[here] = self.denoised[here] - other.denoised[there]
        return found


def as_called(call: DenoiserCall) -> Tensor:
    """The padded noisy image (C, padded rows, padded columns) that a denoiser call cut its tiles from, bit for bit."""
    rng = torch.Generator()
    rng.set_state(call.generator)
    return surround(call.x, call.sigma, call.partition, rng)


def with_noise(image: Tensor, sigma: float, partition: Partition, rng: torch.Generator) -> Tensor:
    """A clean image (C, rows, columns) on its padding of zeros, all of it plus sigma * epsilon.

    (C, padded rows, padded columns). The same generator gives the same epsilon at every sigma.
    """
    padded = partition.place(image, image.new_zeros(image.shape[0], *partition.padded_shape))
    return padded + sigma * torch.randn(padded.shape, generator=rng).to(image.device, image.dtype)


@torch.no_grad()
def inspect_tile(
    prior: PatchPrior, padded: Tensor, sigma: float, partition: Partition, row: int, column: int
) -> InspectedTile:
    """The tile of ``padded`` (C, padded rows, padded columns) whose first pixel is (row, column) of the padded image.

    ``sigma`` is the noise level that the network is told. Raises :class:`SettingError` where the tile leaves the
    padded image or sigma is not above 0.
    """
    if prior.slices > 1:
        raise SettingError(
            "One tile of a prior of single slices was wanted, but this one sees several at once; choose another."
        )
    side = partition.patch
    last = [length - side for length in partition.padded_shape]
    if not (0 <= row <= last[0] and 0 <= column <= last[1]):
        raise SettingError(
            f"A tile of {side} px starts at row 0 to {last[0]} and column 0 to {last[1]} of the padded image, but "
            f"({row}, {column}) was given; move it inside."
        )
    if not sigma > 0:
        raise SettingError(f"A noise level above 0 was wanted, but {sigma:g} was given; raise it.")
    box = Box(row, column, side)
    noisy = box.of(padded)
    told = partition.positions_of((box,), padded.device) * float(prior.positions)
    # a grey prior takes each channel as an image of its own, as in PatchPrior.denoise
    planes = noisy[:, None] if prior.channels == 1 else noisy[None]
    count = len(planes)
    positions = torch.cat([told, torch.zeros_like(told)]).repeat_interleave(count, dim=0)
    level = torch.full((2 * count,), sigma, dtype=padded.dtype, device=padded.device)
    sigma_data = prior.conventions.sigma_data
    output = network_output(
        prior.network, planes.repeat(2, 1, 1, 1), level, positions, sigma_data, prior.precision
    )
    c_skip, c_out, c_in, c_noise = precondition(level[:1], sigma_data)
    seeing, blind = (part.reshape(noisy.shape) for part in (output[:count], output[count:]))
    return InspectedTile(
        box=box, sigma=sigma, c_skip=float(c_skip), c_out=float(c_out), c_in=float(c_in), c_noise=float(c_noise),
        noisy=_plain(noisy), positions=_plain(told[0]), output=_plain(seeing),
        denoised=_plain(c_skip * noisy + c_out * seeing), blind=_plain(c_skip * noisy + c_out * blind),
    )  # fmt: skip


def _plain(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float32, copy=True)
