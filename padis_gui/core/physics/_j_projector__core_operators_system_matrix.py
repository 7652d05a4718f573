"""The system matrix of a scan: ASTRA writes it view by view, torch keeps it as sparse matrices.

Products with it run in torch, on the CPU or on the GPU, without a copy through the host. That gives the same
numbers as ASTRA's own projectors in a fraction of their time, an adjoint that is exact (that of ASTRA's GPU
kernels is not), and autograd for nothing.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.physics._j_geometry__core_physics_geometry import Beam, Geometry, Shape
from padis_gui.core.settings._j_machine__core_device import free_memory_mb
from padis_gui.core.settings.errors import SettingError

# torch says so of the first one. Silenced here and for good: matrices are made in threads, and
# warnings.catch_warnings is the whole process'.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

# ASTRA's names of geometry and kernel, and at most how many entries rays one pixel apart have in each pixel:
# twice the larger of |cos| and |sin| of their direction, or |cos| + |sin|
_ASTRA = {
    "parallel": ("parallel_vec", "linear", 2.0),
    "fan": ("fanflat_vec", "line_fanflat", math.sqrt(2)),
}
# ASTRA reserves room for the longest possible row everywhere, so it is asked for some views at a time
_RESERVED_ENTRIES = 16 * 2**20
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


@contextmanager
def _astra_matrix(beam: Beam, shape: Shape, vectors: NDArray[np.float64], bins: int) -> Iterator[Any]:
    """ASTRA's matrix of some views as scipy CSR; all ASTRA ids are freed afterwards."""
    import astra

    name, kernel, _ = _ASTRA[beam]
    volume = astra.create_vol_geom(*shape)
    projector = astra.create_projector(kernel, astra.create_proj_geom(name, bins, vectors), volume)
    try:
        matrix = astra.projector.matrix(projector)
        try:
            yield astra.matrix.get(matrix)
        finally:
            astra.matrix.delete(matrix)
    finally:
        astra.projector.delete(projector)


def system_matrix(
    geometry: Geometry, shape: Shape, scale: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The matrix (views * bins, rows * columns) of line integrals times ``scale``, and its transpose, both CSR.

    Lengths of the ``geometry`` are in pixels of an image of ``shape`` (rows, columns).

    Raises :class:`SettingError` where they would not fit into memory.
    """
    check_memory(geometry, shape, dtype, device)
    matrix = _assembled(geometry, shape, scale)
    return _as_torch(matrix, dtype, device), _as_torch(matrix.T.tocsr(), dtype, device)


def _assembled(geometry: Geometry, shape: Shape, scale: float) -> Any:
    """The whole matrix as scipy CSR, from blocks of views and of the bins that see the image."""
    from scipy.sparse import csr_matrix

    first, end = geometry.within(geometry.reach(shape))
    rays = rays_a_bin(geometry)
    seen = geometry.part(first, end).finer(rays)
    vectors = seen.vectors
    views = max(1, _RESERVED_ENTRIES // (seen.bins * 2 * sum(shape)))
    lengths = np.zeros((geometry.views, geometry.bins), dtype=np.int64)
    columns, values = [], []
    for view in range(0, geometry.views, views):
        with _astra_matrix(geometry.beam, shape, vectors[view : view + views], seen.bins) as block:
            if rays > 1:
                mean = (block.data / rays, block.indices, block.indptr[::rays])
                block = csr_matrix(mean, shape=(block.shape[0] // rays, block.shape[1]))
                block.sum_duplicates()
            lengths[view : view + views, first:end] = np.diff(block.indptr).reshape(-1, end - first)
            columns.append(block.indices.astype(np.int32, copy=False))
            values.append((block.data * scale).astype(np.float32))
    starts = np.concatenate([[0], lengths.ravel().cumsum()]).astype(np.int32)
    return csr_matrix(
        (np.concatenate(values), np.concatenate(columns), starts),
        shape=(lengths.size, math.prod(shape)),
    )


def _as_torch(matrix: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    # 32-bit indices halve the memory traffic, which is what a sparse product costs
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int32, copy=False)),
        torch.from_numpy(matrix.indices.astype(np.int32, copy=False)),
        torch.from_numpy(matrix.data).to(dtype),
        matrix.shape,
        check_invariants=False,
    ).to(device)


def check_memory(geometry: Geometry, shape: Shape, dtype: torch.dtype, device: torch.device) -> None:
    """Raise :class:`SettingError` where the matrix and its transpose would not fit, before anything is made."""
    entries = expected_entries(geometry, shape)
    size = f"{geometry.views} views of {shape[0]}×{shape[1]} px"
    advice = "take fewer views, a smaller image, or wider detector bins"
    if max(entries, geometry.views * geometry.bins) > _LARGEST_INDEX:
        raise SettingError(
            f"A system matrix of at most {_LARGEST_INDEX / 1e9:.1f} billion entries was wanted, but {size} have "
            f"about {entries / 1e9:.1f} billion; {advice}."
        )
    needed = 2 * entries * (4 + dtype.itemsize)
    for place in {torch.device("cpu"), device}:
        free = 2**20 * free_memory_mb(place)
        if needed > _USABLE * free:
            raise SettingError(
                f"A system matrix that fits into memory was wanted, but {size} need about {needed / 2**30:.1f} "
                f"GiB and {free / 2**30:.1f} GiB are free on the {place.type.upper()}; {advice}."
            )
