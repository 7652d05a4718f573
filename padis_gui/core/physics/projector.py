"""The system matrix of a scan, and its products.

ASTRA writes the matrix view by view, torch keeps it as sparse matrices.
Products with it run in torch, on the CPU or on the GPU, without a copy through the host. That gives the same
numbers as ASTRA's own projectors in a fraction of their time, an adjoint that is exact (that of ASTRA's GPU
kernels is not), and autograd for nothing.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.physics.geometry import Beam, Geometry, Shape
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import free_memory_mb
from padis_gui.core.settings.watch import SILENT, Watch

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
