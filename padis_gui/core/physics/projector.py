"""Projections: the system matrix of a scan, and what filtered back projection needs besides its geometry.

ASTRA writes the matrix view by view, torch keeps it as sparse matrices.
Products with it run in torch, on the CPU or on the GPU, without a copy through the host. That gives the same
numbers as ASTRA's own projectors in a fraction of their time, an adjoint that is exact (that of ASTRA's GPU
kernels is not), and autograd for nothing.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.physics.geometry import Beam, Geometry, Shape
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import free_memory_mb
from padis_gui.core.settings.watch import SILENT, Watch

FilterName = Literal["ram-lak", "hann"]
# The widest gap between neighbouring views is where the scan ends if it is so many times the next widest
_WEDGE = 3.0
# of 2 to 90 degrees the best for short scans of 40 views, and as good as any for more
_TAPER = math.radians(30)


def ramp_response(bins: int, filter_name: FilterName) -> Tensor:
    """Frequency response of the ramp for bins of width 1, padded to twice their number, for ``rfft``; float64.

    The ramp is built in space (Kak and Slaney, "Principles of Computerized Tomographic Imaging", equation 61 of
    chapter 3), which keeps the mean right, and multiplied by the window in frequency.
    """
    length = 1 << (2 * bins - 1).bit_length()
    n = torch.arange(length)
    distance = torch.minimum(n, length - n).double()
    odd = -1 / (math.pi * distance).square().clamp(min=1e-12)
    kernel = torch.where(n % 2 == 1, odd, torch.zeros(()).double())
    kernel[0] = 0.25
    response: Tensor = torch.fft.rfft(kernel).real
    if filter_name == "hann":
        frequency = torch.linspace(0, 1, len(response), dtype=torch.float64)
        response = response * 0.5 * (1 + torch.cos(math.pi * frequency))
    return response


def filtered(rows: Tensor, response: Tensor) -> Tensor:
    """Rows of bins (..., bins) through a response of :func:`ramp_response`."""
    length = 2 * (response.shape[-1] - 1)
    spectrum = torch.fft.rfft(rows, n=length) * response
    signal: Tensor = torch.fft.irfft(spectrum, n=length)
    return signal[..., : rows.shape[-1]]


def interpolated(row: Tensor, at: Tensor) -> Tensor:
    """The values of ``row`` (C, bins) between bins, at the positions ``at`` (rows, columns); 0 off the detector."""
    padded = torch.nn.functional.pad(row, (1, 2))
    at = (at + 1).clamp(0, row.shape[-1] + 1)
    left = at.int()
    index = left.flatten()
    value, step = (table.index_select(1, index).reshape(-1, *at.shape) for table in (padded, padded.diff()))
    return torch.addcmul(value, step, at - left)


def _in_turn(angles: Tensor, period: float) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Order of the angles modulo ``period``, the sorted ones, the gap after each, and whether the scan has ends.

    The gap between the ends, if any, is made as wide as the next widest: half of it belongs to each end.
    """
    inside = torch.remainder(angles.double(), period)
    order = inside.argsort()
    inside = inside[order]
    gaps = torch.cat([inside[1:], inside[:1] + period]) - inside
    *_, following, widest = [0.0, *sorted(gaps.tolist())]
    has_ends = 0 < _WEDGE * following < widest
    return order, inside, gaps.clamp(max=following) if has_ends else gaps, has_ends


def view_weights(angles: Tensor, period: float) -> Tensor:
    """The range of angles that each view (views,) stands for, in radians: half the way to both neighbours.

    ``period`` is the turn after which views see the same lines again. Views at one angle share its range. What a
    limited-angle scan leaves open belongs to nobody.
    """
    order, _, gaps, _ = _in_turn(angles, period)
    weights = torch.empty_like(gaps)
    weights[order] = (gaps + gaps.roll(1)) / 2
    return weights


def scanned_arc(angles: Tensor) -> tuple[float, float]:
    """Start and length, in radians, of the arc that views (views,) cover; 0 and 2 pi for a full turn."""
    _, inside, gaps, has_ends = _in_turn(angles, 2 * math.pi)
    if not has_ends:
        return 0.0, 2 * math.pi
    open_after = int((inside.roll(-1) - inside).remainder(2 * math.pi).argmax())
    step = float(gaps[open_after])
    return float(inside[(open_after + 1) % len(inside)]) - step / 2, float(gaps.sum())


def redundancy_weights(angles: Tensor, fan_angles: Tensor, part: slice = slice(None)) -> Tensor:
    """Weights (views, bins), of a ``part`` of the views, with which rays that a fan beam measures twice add up to one.

    A ray at the source angle b and the fan angle g is measured again at b + pi - 2 g from the other side. Each of
    the two counts c(b) / (c(b) + c(b + pi - 2 g)), where c falls from 1 to 0 within 30 degrees at the ends of
    the scanned arc (Noo et al., Phys. Med. Biol. 47 (2002) 2525; for a short scan much as Parker's
    weights, Med. Phys. 9 (1982) 254). On a full turn all are one half; a ray measured once counts fully, and
    what an arc below pi + the full fan angle never measures stays missing.
    """
    start, arc = scanned_arc(angles)

    def c(b: Tensor) -> Tensor:
        if arc >= 2 * math.pi:
            return torch.ones_like(b)
        along = torch.remainder(b - start, 2 * math.pi)
        edge = torch.minimum(along, arc - along).clamp(min=0) / min(_TAPER, arc / 2)
        return torch.sin(0.5 * math.pi * edge.clamp(max=1)).square()

    views = angles[part, None]
    own = c(views.double().expand(-1, len(fan_angles))).clamp(min=1e-9)
    return own / (own + c(views + math.pi - 2 * fan_angles[None]))


# A detector whose middle is so far from where it sees the axis, in its widths, is one beside the axis
_BESIDE = 0.1
# The weights of such a one fall over at least so many bins to each side of the axis: a step would be a bright point there
_NARROWEST = 6


def displaced_weights(geometry: Geometry) -> Tensor | None:
    """Weights (bins,) of a parallel beam's rays where a full turn is measured by a detector beside the axis.

    None for other scans. Rays on the axis' shorter side are measured twice, by opposite views; what lies farther out is
    measured once (half acquisition). Across the overlap the weight rises from 0 to 1 as a squared sine, so that both
    readings of a ray add up to one (after Wang, Med. Phys. 29 (2002) 1634). Where the axis is beyond the detector no ray
    is measured twice, and the weight rises across what no view sees: see :func:`unseen_weights`.
    """
    sides = _sides(geometry)
    if sides is None:
        return None
    outward = geometry.positions() * (1.0 if sides.last_is_longer else -1.0)
    return _rising(outward / sides.overlap)


def unseen_weights(geometry: Geometry) -> Tensor:
    """The weights (n,) of bins that a detector beside the axis lacks on its shorter side, from its end outwards.

    They are relative to that of its outermost bin, whose reading stands for theirs. Empty where rays of more than a few
    bins are measured twice.
    """
    sides = _sides(geometry)
    if sides is None:
        return torch.zeros(0, dtype=torch.float64)
    count = math.ceil((sides.overlap - sides.shorter) / geometry.bin_width) - 1
    outward = -sides.shorter - torch.arange(max(count, 0) + 1, dtype=torch.float64) * geometry.bin_width
    weights = _rising(outward / sides.overlap)
    return weights[1:] / weights[0] if count > 0 else weights[:0]


class _Sides(NamedTuple):
    """Of a detector beside the axis: how far the shorter one reaches beyond it, below 0 where it does not reach the axis,
    and how far to both sides of it the weights rise."""

    shorter: float
    overlap: float
    last_is_longer: bool


def _sides(geometry: Geometry) -> _Sides | None:
    """None unless a full turn is measured by a detector that is seen to be beside the axis."""
    first, last = (float(p) for p in geometry.positions()[[0, -1]])
    full = scanned_arc(geometry.radians)[1] >= 2 * math.pi * (1 - 1e-9)
    beside = abs(first + last) / 2 > _BESIDE * geometry.bins * geometry.bin_width
    if not full or not beside:
        return None
    shorter = min(-first, last)
    return _Sides(shorter, max(abs(shorter), _NARROWEST * geometry.bin_width), last > -first)


def _rising(along: Tensor) -> Tensor:
    """From 0 at -1 to 1 at 1, so that what is as far to both sides of 0 adds up to one."""
    return torch.sin(0.25 * math.pi * (1 + along.clamp(-1, 1))).square()


# How far a view that ends inside the object goes on, in its own length, and how many readings say from what
_GOES_ON, _LAST = 0.25, 4


def completed(rows: Tensor, beside: tuple[int, int], unseen: Tensor | None = None) -> Tensor:
    """Weighted views (..., bins) of a detector beside the axis, with so many bins more before and after them.

    The shorter side's weights have come down to 0, or do so over the ``unseen`` bins behind its end: the outermost reading
    stands there with these weights, and together with that of the opposite view leads from the one to the other. On the
    longer side an object that is wider than what the scan sees would end abruptly, and shine at its rim: the last
    readings go on there as a squared cosine (as in Ohnesorge et al., Med. Phys. 27 (2000) 39, with the mean of the last
    readings instead of their mirror image). Air goes on as air.
    """
    before, after = beside
    found = torch.nn.functional.pad(rows, beside)
    far = after if before > after else before
    if not far:
        return found
    fall = (
        torch.cos(0.5 * math.pi * torch.arange(1, far + 1, dtype=torch.float64) / (far + 1)).square().to(rows)
    )
    inner = rows.new_zeros(0) if unseen is None else unseen.to(rows)
    end = found.shape[-1] - after
    if before > after:
        found[..., -far:] = rows[..., -_LAST:].mean(-1, keepdim=True) * fall
        found[..., before - len(inner) : before] = rows[..., :1] * inner.flip(0)
    else:
        found[..., :far] = rows[..., :_LAST].mean(-1, keepdim=True) * fall.flip(0)
        found[..., end : end + len(inner)] = rows[..., -1:] * inner
    return found


def bins_beside(geometry: Geometry) -> tuple[int, int]:
    """How many bins before and after a view :func:`completed` adds; none where the detector is not beside the axis.

    As many as make the shorter side as long as the other, and some more on both.
    """
    if displaced_weights(geometry) is None:
        return 0, 0
    more, on = round(2 * geometry.axis) - (geometry.bins - 1), int(_GOES_ON * geometry.bins)
    return max(-more, 0) + on, max(more, 0) + on


# torch says so of the first one. Silenced here and for good: matrices are made in threads, and
# warnings.catch_warnings is the whole process'.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

# ASTRA's names of geometry and kernel, and at most how many entries rays one pixel apart have in each pixel:
# twice the larger of |cos| and |sin| of their direction, or |cos| + |sin|
_ASTRA = {
    "parallel": ("parallel_vec", "linear", 2.0),
    "fan": ("fanflat_vec", "line_fanflat", math.sqrt(2)),
}
# ASTRA hands entries over one Python object at a time (0.12 us each) and keeps every other thread waiting meanwhile
_ENTRIES_AT_ONCE = 2**18
# and what comes after it takes 10 ns an entry
_ENTRIES_SORTED = 2**20
_ENTRIES_MOVED = 2**26
_LARGEST_INDEX = 2**31 - 1
# the network and the images of a run want room as well
_USABLE = 0.8


def rays_a_bin(geometry: Geometry) -> int:
    """A bin wider than a pixel is the mean of several rays, so that no pixel falls between two."""
    return max(1, math.ceil(geometry.bin_width / geometry.magnification - 1e-6))


def expected_entries(geometry: Geometry, shape: Shape) -> int:
    """About how many entries the matrix has at most."""
    first, end = geometry.within(geometry.reach(shape))
    rays = rays_a_bin(geometry)
    along_rays = (end - first) * rays * 2 * max(shape)
    width = geometry.bin_width / rays
    crossing_pixels = math.prod(shape) * _ASTRA[geometry.beam][2] * geometry.magnification / width
    return int(geometry.views * min(along_rays, crossing_pixels))


def _rays(geometry: Geometry) -> NDArray[np.float64]:
    """ASTRA's line for each ray of each view, (views * bins, 6): a detector of one bin, where ASTRA has it.

    ASTRA computes the middle of a bin in single precision from the detector's first edge. Done alike, a ray has the very
    same entries alone as within its view, so that it does not matter where a matrix is cut.
    """
    views = geometry.vectors
    step = views[:, None, 4:].astype(np.float32)
    edge = (views[:, None, 2:4] - 0.5 * geometry.bins * step.astype(np.float64)).astype(np.float32)
    rays = np.repeat(views, geometry.bins, axis=0)
    rays[:, 2:4] = (
        edge + (np.arange(geometry.bins, dtype=np.float32)[:, None] + np.float32(0.5)) * step
    ).reshape(-1, 2)
    rays[:, 4:] = 0.0  # neither kernel asks how wide a bin is
    return rays


@contextmanager
def _astra_matrix(beam: Beam, shape: Shape, lines: NDArray[np.float64], bins: int) -> Iterator[Any]:
    """ASTRA's matrix of some views of so many bins as scipy CSR; all ASTRA ids are freed afterwards."""
    import astra

    name, kernel, _ = _ASTRA[beam]
    volume = astra.create_vol_geom(*shape)
    projector = astra.create_projector(kernel, astra.create_proj_geom(name, bins, lines), volume)
    try:
        matrix = astra.projector.matrix(projector)
        try:
            yield astra.matrix.get(matrix)
        finally:
            astra.matrix.delete(matrix)
    finally:
        astra.projector.delete(projector)


def system_matrix(
    geometry: Geometry,
    shape: Shape,
    scale: float,
    dtype: torch.dtype,
    device: torch.device,
    watch: Watch = SILENT,
) -> tuple[Tensor, Tensor]:
    """The matrix (views * bins, rows * columns) of line integrals times ``scale``, and its transpose, both CSR.

    Lengths of the ``geometry`` are in pixels of an image of ``shape`` (rows, columns).

    Raises :class:`SettingError` where they would not fit into memory.
    """
    check_memory(geometry, shape, dtype, device)
    matrix = _assembled(geometry, shape, scale, watch.part(0, 0.9, "system matrix"))
    transpose = _transposed(matrix, math.prod(shape), watch.part(0.9, 1, "its transpose"))
    made = (
        _as_torch(matrix, math.prod(shape), dtype, device, watch),
        _as_torch(transpose, len(matrix.starts) - 1, dtype, device, watch),
    )
    watch.tell(1.0)
    return made


class _Rows(NamedTuple):
    """A sparse matrix by rows: the entries of row i are those from ``starts[i]`` up to ``starts[i + 1]``."""

    starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


def _assembled(geometry: Geometry, shape: Shape, scale: float, watch: Watch = SILENT) -> _Rows:
    """The whole matrix, from blocks of the rays that see the image."""
    from scipy.sparse import csr_matrix

    first, end = geometry.within(geometry.reach(shape))
    rays = rays_a_bin(geometry)
    seen = geometry.part(first, end).finer(rays)
    lines, bins, longest = seen.vectors, seen.bins, 2 * max(shape)
    if bins * longest > 2 * _ENTRIES_AT_ONCE:
        lines, bins = _rays(seen), 1
    at_once = max(1, _ENTRIES_AT_ONCE // (longest * bins))
    if bins == 1:
        at_once += -at_once % rays
    room = int(1.1 * expected_entries(geometry, shape))  # what is not used of it takes no memory
    columns, values, count = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32), 0
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(lines), at_once):
        watch.tell(start / len(lines))
        with _astra_matrix(geometry.beam, shape, lines[start : start + at_once], bins) as block:
            if rays > 1:
                mean = (block.data / rays, block.indices, block.indptr[::rays])
                block = csr_matrix(mean, shape=(block.shape[0] // rays, block.shape[1]))
                block.sum_duplicates()
            found.append(np.diff(block.indptr))
            before, count = count, count + len(block.indices)
            if count > room:
                room = count + count // 8
                columns.resize(room, refcheck=False)
                values.resize(room, refcheck=False)
            columns[before:count] = block.indices
            values[before:count] = block.data * scale
    lengths = np.zeros((geometry.views, geometry.bins), dtype=np.int64)
    lengths[:, first:end] = np.concatenate(found).reshape(geometry.views, -1)
    return _Rows(_starts(lengths.ravel()), columns[:count], values[:count])


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.concatenate([[0], lengths.cumsum()]).astype(np.int32)


def _transposed(matrix: _Rows, pixels: int, watch: Watch = SILENT) -> _Rows:
    """The transpose of a matrix with so many columns; a column's entries stay in the order of their rows.

    A counting sort of some rows after the other: how many entries each column has is counted first.
    """
    from scipy.sparse import csr_matrix

    starts, columns, values = matrix
    count, rows, at_once = len(columns), len(starts) - 1, max(_ENTRIES_SORTED, pixels)
    if count <= at_once:
        watch.tell(0.0)
        whole = csr_matrix((values, columns, starts), shape=(rows, pixels)).tocsc()
        return _Rows(whole.indptr, whole.indices, whole.data)
    lengths = np.zeros(pixels, dtype=np.int64)
    sorted_rows, sorted_values = np.empty_like(columns), np.empty_like(values)
    for start in range(0, count, at_once):
        watch.tell(0.3 * start / count)
        part = slice(start, start + at_once)
        lengths += torch.bincount(torch.from_numpy(columns[part]), minlength=pixels).numpy()
        # the first block would have to get memory for all of it, at once
        sorted_rows[part], sorted_values[part] = 0, 0
    found = _Rows(_starts(lengths), sorted_rows, sorted_values)
    free = found.starts[:-1].astype(np.int64)  # the next place of each column
    steps = np.empty(at_once, dtype=np.int64)
    first = 0
    while first < rows:
        watch.tell(0.3 + 0.7 * first / rows)
        end = int(np.searchsorted(starts, int(starts[first]) + at_once, side="right")) - 1
        some = slice(int(starts[first]), int(starts[end]))
        own = (values[some], columns[some], starts[first : end + 1] - starts[first])
        block = csr_matrix(own, shape=(end - first, pixels)).tocsc()
        watch.check()
        block.indices += np.int32(first)
        _place(block, free, steps[: len(block.data)], found, watch)
        first = end
    return found


def _place(
    block: Any, free: NDArray[np.int64], places: NDArray[np.int64], found: _Rows, watch: Watch
) -> None:
    """Put the columns of ``block`` (CSC) where ``free`` says that each goes on, and move ``free`` behind them.

    ``places`` is room for a number an entry, used again: new memory would cost more than all else here.
    """
    lengths = np.diff(block.indptr)
    filled = np.flatnonzero(lengths)
    if not len(filled):
        return
    lengths = lengths[filled]
    places.fill(1)
    places[block.indptr[filled]] = free[filled]
    places[block.indptr[filled[1:]]] -= free[filled[:-1]] + lengths[:-1] - 1
    np.cumsum(places, out=places)
    watch.check()
    found.columns[places] = block.indices
    found.values[places] = block.data
    free[filled] += lengths


def _as_torch(matrix: _Rows, columns: int, dtype: torch.dtype, device: torch.device, watch: Watch) -> Tensor:
    # 32-bit indices halve the memory traffic, which is what a sparse product costs
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.starts).to(device),
        _moved(torch.from_numpy(matrix.columns), torch.int32, device, watch),
        _moved(torch.from_numpy(matrix.values), dtype, device, watch),
        (len(matrix.starts) - 1, columns),
        check_invariants=False,
    )


def rows_of(matrix: Tensor, first: int, end: int) -> Tensor:
    """Some rows of a CSR matrix, without a copy of their entries."""
    starts = matrix.crow_indices()[first : end + 1]
    part = slice(int(starts[0]), int(starts[-1]))
    return torch.sparse_csr_tensor(
        starts - starts[0], matrix.col_indices()[part], matrix.values()[part], (end - first, matrix.shape[1]),
        check_invariants=False,
    )  # fmt: skip


def _moved(values: Tensor, dtype: torch.dtype, device: torch.device, watch: Watch) -> Tensor:
    """The values on another device or in another type, piece by piece; the same tensor where they are so."""
    if values.dtype == dtype and values.device == device:
        return values
    moved = torch.empty(len(values), dtype=dtype, device=device)
    for start in range(0, len(values), _ENTRIES_MOVED):
        watch.check()
        moved[start : start + _ENTRIES_MOVED] = values[start : start + _ENTRIES_MOVED]
    return moved


def check_memory(geometry: Geometry, shape: Shape, dtype: torch.dtype, device: torch.device) -> None:
    """Raise :class:`SettingError` where the matrix and its transpose would not fit, before anything is made."""
    entries = expected_entries(geometry, shape)
    size = f"{geometry.views} views of {shape[1]} × {shape[0]} px"
    advice = "take fewer views, a smaller image, or wider detector bins"
    if max(entries, geometry.views * geometry.bins) > _LARGEST_INDEX:
        raise SettingError(
            f"A system matrix of at most {_LARGEST_INDEX / 1e9:.1f} billion entries was wanted, but {size} have "
            f"about {entries / 1e9:.1f} billion; {advice}.",
            remedy="smaller",
        )
    needed = 2 * entries * (4 + dtype.itemsize)
    for place in {torch.device("cpu"), device}:
        free = 2**20 * free_memory_mb(place)
        if needed > _USABLE * free:
            raise SettingError(
                f"A system matrix that fits into memory was wanted, but {size} need about {needed / 2**30:.1f} "
                f"GiB and {free / 2**30:.1f} GiB are free on the {place.type.upper()}; {advice}.",
                remedy="smaller",
            )
