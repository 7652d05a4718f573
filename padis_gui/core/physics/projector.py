"""The system matrix of a scan, and its products.

Its entries are those of ASTRA's kernels, computed here for many rays at a time; torch keeps it as sparse matrices.
Products with it run in torch, on the CPU or on the GPU, without a copy through the host. That gives the same
numbers as ASTRA's own projectors in a fraction of their time, an adjoint that is exact (that of ASTRA's GPU
kernels is not), and autograd for nothing. Where the matrix is too large to be stored, ASTRA's projectors on the CPU take
its place.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.geometry import Beam, Geometry, Shape
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import free_memory_mb
from padis_gui.core.settings.watch import SILENT, Watch

# torch says so of the first one. Silenced here and for good: matrices are made in threads, and
# warnings.catch_warnings is the whole process'.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

# What an entry takes: its column and its value in single precision, in the matrix and in the transpose
BYTES_AN_ENTRY = 16
# At most how many entries rays one pixel apart have in each pixel: twice the larger of |cos| and |sin| of their direction,
# or |cos| + |sin|
_CROSSINGS = {"parallel": 2.0, "fan": math.sqrt(2)}
# Entries that are computed at a time, so that what they are computed of stays in a core's cache
_ENTRIES_AT_ONCE = 2**16
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
    crossing_pixels = math.prod(shape) * _CROSSINGS[geometry.beam] * geometry.magnification / width
    return int(geometry.views * min(along_rays, crossing_pixels))


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
    first, end = geometry.within(geometry.reach(shape))
    room = int(1.1 * expected_entries(geometry, shape))  # what is not used of it takes no memory
    columns, values, count = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32), 0
    lengths = np.zeros((geometry.views, geometry.bins), dtype=np.int64)
    # a product that is rounded once is the same in both precisions, and faster in single
    factor = np.float32(scale) if np.float32(scale) == scale else np.float64(scale)
    for view, bins, block in _blocks(geometry.part(first, end), shape):
        watch.tell(view / geometry.views)
        lengths[view, first + bins.start : first + bins.stop] = block.lengths
        before, count = count, count + len(block.columns)
        if count > room:
            room = count + count // 8
            columns.resize(room, refcheck=False)
            values.resize(room, refcheck=False)
        columns[before:count] = block.columns
        np.multiply(block.values, factor, out=values[before:count], casting="same_kind")
    return _Rows(_starts(lengths.ravel()), columns[:count], values[:count])


class _Block(NamedTuple):
    """Some consecutive rows of a matrix: how many entries each has, and these one row after the other."""

    lengths: NDArray[np.intp]
    columns: NDArray[np.int32]
    values: NDArray[np.floating]


def _blocks(geometry: Geometry, shape: Shape) -> Iterator[tuple[int, slice, _Block]]:
    """The rows of all bins, some at a time: which view, which of its bins, and their entries in pixel units."""
    from scipy.sparse import csr_matrix

    rays, pixels = rays_a_bin(geometry), math.prod(shape)
    bins_at_once = max(1, _ENTRIES_AT_ONCE // (2 * max(shape) * rays))
    for view, (source, places) in enumerate(_rays(geometry.finer(rays))):
        for first in range(0, geometry.bins, bins_at_once):
            bins = slice(first, min(first + bins_at_once, geometry.bins))
            some = slice(bins.start * rays, bins.stop * rays)
            direction = np.broadcast_to(source, places[some].shape)
            if geometry.beam == "fan":
                direction = source - places[some]
            block = _entries(geometry.beam, shape, places[some], direction)
            if rays > 1:
                starts = np.concatenate([[0], block.lengths.cumsum()])[::rays]
                mean = csr_matrix(
                    (block.values / np.float64(rays), block.columns, starts), shape=(len(starts) - 1, pixels)
                )
                mean.sum_duplicates()
                block = _Block(np.diff(mean.indptr), mean.indices, mean.data)
            yield view, bins, block


def _rays(geometry: Geometry) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Of each view: the direction of its rays (2,), in a fan beam where they come from, and the bins' middles (bins, 2).

    In single precision from the detector's first edge, as ASTRA has them.
    """
    views = geometry.vectors
    steps = views[:, 4:].astype(np.float32)
    edges = (views[:, 2:4] - 0.5 * geometry.bins * steps.astype(np.float64)).astype(np.float32)
    along = np.arange(geometry.bins, dtype=np.float32)[:, None] + np.float32(0.5)
    for source, edge, step in zip(views[:, :2].astype(np.float32), edges, steps, strict=True):
        yield source, edge + along * step


def _entries(
    beam: Beam, shape: Shape, places: NDArray[np.float32], directions: NDArray[np.float32]
) -> _Block:
    """The entries of rays (n, 2) through ``places`` in some ``directions``; x to the right, y upwards from the middle.

    A ray that is steeper than its slope to the side crosses the rows of pixels, another one their columns. Which of the
    two may change from ray to ray of a fan.
    """
    across_rows = np.abs(directions[:, 0]) < np.abs(directions[:, 1])
    turns = [0, *(np.flatnonzero(np.diff(across_rows)) + 1).tolist(), len(places)]
    found = []
    for first, end in itertools.pairwise(turns):
        (x, y), (along_x, along_y) = places[first:end].T, directions[first:end].T
        if across_rows[first]:
            found.append(_crossed(beam, shape, (1, shape[1]), (x, -y), (along_x, -along_y)))
        else:
            found.append(_crossed(beam, shape[::-1], (shape[1], 1), (-y, x), (-along_y, along_x)))
    return found[0] if len(found) == 1 else _Block(*map(np.concatenate, zip(*found, strict=True)))


Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def _crossed(beam: Beam, shape: Shape, strides: tuple[int, int], place: Pair, direction: Pair) -> _Block:
    """The entries of rays (n,) that cross ``shape[0]`` lines of ``shape[1]`` pixels one after the other.

    ``place`` and ``direction`` go along the lines and from line to line, from the image's middle; ``strides`` are the
    distances of pixels in the image, likewise. Where a line is crossed between the middles of two pixels, the parallel
    beam interpolates between both; a fan's ray lies in one of them or in two, each with the length inside it.

    Every number is rounded as ASTRA's kernels round it ("linear" and "line_fanflat" of version 2.5), so that matrices are
    the same bit for bit.
    """
    lines, pixels = shape
    half, one = np.float32(0.5), np.float32(1)
    slope = direction[0] / direction[1]
    length = np.sqrt(direction[0] * direction[0] + direction[1] * direction[1]) / np.abs(direction[1])
    # at: where each line is crossed, in pixels from the middle of its first one
    at = np.empty((len(slope), lines), dtype=np.float32)
    at[:, 0] = place[0] + (half - np.float32(lines / 2) - place[1]) * slope - (half - np.float32(pixels / 2))
    at[:, 1:] = slope[:, None]
    np.add.accumulate(at, axis=1, out=at)
    shares = np.empty((*at.shape, 2), dtype=np.float32)
    inside = np.empty(shares.shape, dtype=np.bool_)
    if beam == "parallel":
        left = np.floor(at)
        at -= left
        np.multiply(at, length[:, None], out=shares[..., 1])
        np.subtract(one, at, out=at)
        np.multiply(at, length[:, None], out=shares[..., 0])
        pixel = left.astype(np.int32)
    else:
        nearest = np.floor(at + half)
        at -= nearest
        steep = np.abs(slope)[:, None]
        alone = half - half * steep  # so far from a pixel's middle a ray stays within it
        in_two, before = np.abs(at) > alone, at < -alone
        at += np.where(before, half + half * steep, -alone)
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # a ray straight along lies in one pixel of each line
            at *= length[:, None] / (half + half * steep - alone)
        pixel = nearest.astype(np.int32) - before
        np.copyto(at, 0, where=~in_two)
        np.subtract(length[:, None], at, out=shares[..., 0])
        shares[..., 1] = at
    index = np.empty(shares.shape, dtype=np.int32)
    # as unsigned numbers, what lies before the first pixel is beyond the last
    np.less(pixel.view(np.uint32), pixels, out=inside[..., 0])
    np.less((pixel + 1).view(np.uint32), pixels, out=inside[..., 1])
    if beam == "fan":
        inside[..., 1] &= in_two
    pixel *= strides[0]
    np.add(pixel, np.arange(lines, dtype=np.int32) * strides[1], out=index[..., 0])
    np.add(index[..., 0], strides[0], out=index[..., 1])
    return _Block(np.count_nonzero(inside, axis=(1, 2)), index[inside], shares[inside])


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


# Entries of the views that are projected before the next question whether to go on: some 0.2 s on a core
_ENTRIES_PROJECTED = 2**26
# ASTRA's names of geometry and kernel
_ASTRA = {"parallel": ("parallel_vec", "linear"), "fan": ("fanflat_vec", "line_fanflat")}


class MatrixFree:
    """Products with the matrix of :func:`system_matrix` and with its transpose, whose entries are computed anew each time.

    By ASTRA's projectors on the CPU, each the transpose of the other up to rounding; where ASTRA is not installed, by
    blocks of the matrix. Memory is that of the image and of the measurement, in single precision; both may lie
    elsewhere, and then are copied.
    """

    def __init__(self, geometry: Geometry, shape: Shape, scale: float) -> None:
        self.geometry, self.shape, self.scale = geometry, shape, scale
        self._first, self._end = geometry.within(geometry.reach(shape))
        seen = geometry.part(self._first, self._end)
        self._rays = rays_a_bin(geometry)
        a_view = max(1, expected_entries(geometry, shape) // geometry.views)
        at_once = max(1, _ENTRIES_PROJECTED // a_view)
        self._parts = [
            seen.of_views(np.arange(first, min(first + at_once, geometry.views)))
            for first in range(0, geometry.views, at_once)
        ]
        self._project = _by_astra if find_spec("astra") is not None else _by_blocks

    def forward(self, x: Tensor, watch: Watch = SILENT) -> Tensor:
        """A x of an image (rows, columns): a sinogram (views, bins)."""
        image = x.detach().to("cpu", torch.float32).contiguous().numpy()

        def projected(views: slice, part: Geometry) -> NDArray[np.float32]:
            rays = np.zeros((part.views, part.bins * self._rays), dtype=np.float32)
            self._project(part.finer(self._rays), self.shape, image, rays, forward=True)
            mean: NDArray[np.float32] = rays.reshape(part.views, part.bins, -1).mean(-1)
            return mean

        found = np.zeros((self.geometry.views, self.geometry.bins), dtype=np.float32)
        found[:, self._first : self._end] = np.concatenate(list(self._each_part(projected, watch)))
        found *= np.float32(self.scale)
        return torch.from_numpy(found).to(x)

    def adjoint(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """A^T y of a sinogram (views, bins): an image (rows, columns)."""
        sinogram = y.detach().to("cpu", torch.float32).numpy()

        def projected(views: slice, part: Geometry) -> NDArray[np.float32]:
            rays = np.repeat(sinogram[views, self._first : self._end], self._rays, axis=1)
            image = np.zeros(self.shape, dtype=np.float32)
            self._project(part.finer(self._rays), self.shape, image, rays, forward=False)
            return image

        found = np.zeros(self.shape, dtype=np.float32)
        for image in self._each_part(projected, watch):
            found += image
        found *= np.float32(self.scale / self._rays)
        return torch.from_numpy(found).to(y)

    def _each_part(
        self, work: Callable[[slice, Geometry], NDArray[np.float32]], watch: Watch
    ) -> Iterator[NDArray[np.float32]]:
        """What ``work`` makes of the views of each part, in their order, by as many threads as torch has.

        The parts and their order are the same for any number of threads, and so are the bits of their sum.
        """
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads) as pool:
            under_way: deque[Future[NDArray[np.float32]]] = deque()
            try:
                first = 0
                for part in self._parts:
                    watch.check()
                    under_way.append(pool.submit(work, slice(first, first + part.views), part))
                    first += part.views
                    if len(under_way) > threads:
                        yield under_way.popleft().result()
                for future in under_way:
                    watch.check()
                    yield future.result()
            finally:
                for future in under_way:
                    future.cancel()


def _by_astra(
    geometry: Geometry, shape: Shape, image: NDArray[np.float32], rays: NDArray[np.float32], *, forward: bool
) -> None:
    """Project ``image`` into ``rays`` (views, bins), or back; lengths in pixels."""
    import astra

    name, kernel = _ASTRA[geometry.beam]
    volume = astra.create_vol_geom(*shape)
    detector = astra.create_proj_geom(name, geometry.bins, geometry.vectors)
    made = []
    try:
        projector = astra.create_projector(kernel, detector, volume)
        made.append((astra.projector, projector))
        pixels = astra.data2d.link("-vol", volume, image)
        made.append((astra.data2d, pixels))
        measured = astra.data2d.link("-sino", detector, rays)
        made.append((astra.data2d, measured))
        wanted: dict[str, Any] = {"ProjectorId": projector, "ProjectionDataId": measured}
        if forward:
            wanted |= {"type": "FP", "VolumeDataId": pixels}
        else:
            wanted |= {"type": "BP", "ReconstructionDataId": pixels}
        algorithm = astra.algorithm.create(wanted)
        made.append((astra.algorithm, algorithm))
        astra.algorithm.run(algorithm)
    finally:
        for kind, number in reversed(made):
            kind.delete(number)


def _by_blocks(
    geometry: Geometry, shape: Shape, image: NDArray[np.float32], rays: NDArray[np.float32], *, forward: bool
) -> None:
    """The same by blocks of the matrix, several times slower."""
    from scipy.sparse import csr_matrix

    pixels = image.reshape(-1)
    for view, bins, block in _blocks(geometry, shape):
        starts = np.concatenate([[0], block.lengths.cumsum()])
        part = csr_matrix((block.values, block.columns, starts), shape=(len(block.lengths), pixels.size))
        if forward:
            rays[view, bins] = part @ pixels
        else:
            pixels += part.T @ rays[view, bins]


def check_memory(geometry: Geometry, shape: Shape, dtype: torch.dtype, device: torch.device) -> None:
    """Raise :class:`SettingError` where the matrix and its transpose would not fit, before anything is made."""
    entries = expected_entries(geometry, shape)
    size = f"{geometry.views} views of {shape[1]} × {shape[0]} px"
    advice = (
        "set the system matrix to matrix-free, or take fewer views, a smaller image, or wider detector bins"
    )
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
