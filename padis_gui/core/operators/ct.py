"""Parallel-beam CT.

ASTRA writes the system matrix once ("linear" kernel: the line integral by linear interpolation); products
with it run in torch, on the CPU or on the GPU, without a copy through the host. That gives the same numbers
as ASTRA's own projector, an adjoint that is exact (its GPU kernels' is not), and autograd for nothing.

Convention: angle theta is measured counter-clockwise from the +x axis as ASTRA has it; the detector's bin
axis is (cos theta, sin theta), bins are centred on the axis of rotation. Lengths are in pixels unless
``pixel_size`` says otherwise.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from padis_gui.core.errors import SettingError
from padis_gui.core.operators.base import LinearOperator
from padis_gui.core.operators.settings import ScanSettings
from padis_gui.core.settings import setting

FilterName = Literal["ram-lak", "hann"]
DEFAULT_BINS = 512
# [C]: an object 40 units wide on 256 pixels
DEFAULT_PIXEL_SIZE = 40 / 256


class ParallelBeamSettings(ScanSettings):
    """The geometry of a parallel-beam scan with evenly spread views over an arc."""

    views: int = setting(
        20, ge=1, le=2000, label="Views", help="Number of projections, evenly spread over the arc"
    )
    arc: float = setting(
        180.0, gt=0, le=360, label="Arc", symbol="Θ", unit="°", advanced=True,
        help="Range of angles: 180 is a complete parallel-beam scan, less is a limited-angle scan",
    )  # fmt: skip
    bins: int | None = setting(
        None, ge=16, le=16384, label="Detector bins", unit="px", advanced=True,
        help="Detector bins of one pixel width; automatic is 512, or the image's diagonal where that is more",
    )  # fmt: skip
    fbp_filter: FilterName = setting(
        "hann", label="FBP filter", advanced=True,
        help="Window on the ramp filter of the FBP baseline: ram-lak is sharp, hann is smooth",
    )  # fmt: skip

    @property
    def length_of_a_pixel(self) -> float:
        """One pixel in the unit of the line integrals."""
        return DEFAULT_PIXEL_SIZE


@contextmanager
def _astra_matrix(shape: tuple[int, int], bins: int, angles: Tensor) -> Iterator[Any]:
    """ASTRA's system matrix as scipy CSR; all ASTRA ids are freed afterwards."""
    import astra

    volume = astra.create_vol_geom(*shape)
    detector = astra.create_proj_geom("parallel", 1.0, bins, angles.double().numpy())
    projector = astra.create_projector("linear", detector, volume)
    try:
        matrix = astra.projector.matrix(projector)
        try:
            yield astra.matrix.get(matrix)
        finally:
            astra.matrix.delete(matrix)
    finally:
        astra.projector.delete(projector)


def _torch_csr(matrix: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        # 32-bit indices halve the memory traffic, which is what a sparse product costs
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype("int32")),
            torch.from_numpy(matrix.indices.astype("int32")),
            torch.from_numpy(matrix.data).to(dtype),
            matrix.shape,
            check_invariants=False,
        ).to(device)


class ParallelBeamCT(LinearOperator):
    """x (C, rows, columns) -> sinogram (C, views, bins), line integrals in units of ``pixel_size``."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: Tensor,
        *,
        bins: int | None = None,
        pixel_size: float = DEFAULT_PIXEL_SIZE,
        fbp_filter: FilterName = "hann",
        arc: float = math.pi,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if angles.ndim != 1 or len(angles) < 1:
            raise SettingError(
                f"A list of at least one angle was wanted, but the shape {tuple(angles.shape)} came; raise "
                "the number of views."
            )
        self._image_shape = image_shape
        self.angles = angles
        diagonal = math.ceil(math.hypot(*image_shape[1:]))
        self.bins = bins if bins is not None else max(DEFAULT_BINS, diagonal + diagonal % 2)
        self.pixel_size = pixel_size
        self.fbp_filter: FilterName = fbp_filter
        # each view stands for this much of the half turn in the FBP; a full turn sees every line twice
        self._angle_weight = min(arc, math.pi) / len(angles)
        self._device = device or torch.device("cpu")
        self._dtype = dtype
        with _astra_matrix(image_shape[1:], self.bins, angles) as matrix:
            matrix.data *= pixel_size
            self._matrix = _torch_csr(matrix, dtype, self._device)
            self._transpose = _torch_csr(matrix.T.tocsr(), dtype, self._device)

    @classmethod
    def evenly(
        cls, image_shape: tuple[int, int, int], settings: ParallelBeamSettings, device: torch.device
    ) -> "ParallelBeamCT":
        """Views evenly spread over the arc, its end left out: [0, π) by default, as in [P]."""
        arc = math.radians(settings.arc)
        angles = torch.arange(settings.views, dtype=torch.float64) * (arc / settings.views)
        return cls(
            image_shape,
            angles,
            bins=settings.bins,
            fbp_filter=settings.fbp_filter,
            arc=arc,
            device=device,
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self._image_shape

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._image_shape[0], len(self.angles), self.bins

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def _forward(self, x: Tensor) -> Tensor:
        return self._product(self._matrix, x).reshape(self.measurement_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._product(self._transpose, y).reshape(self.image_shape)

    @staticmethod
    def _product(matrix: Tensor, x: Tensor) -> Tensor:
        return torch.stack([matrix @ channel for channel in x.reshape(x.shape[0], -1)])

    def pinv(self, y: Tensor) -> Tensor:
        """Filtered back projection with this operator's filter."""
        return self.fbp(y, self.fbp_filter)

    def fbp(self, y: Tensor, filter_name: FilterName) -> Tensor:
        """Filtered back projection of a sinogram (C, views, bins) -> (C, rows, columns).

        The ramp is built in space (Kak and Slaney, "Principles of Computerized Tomographic Imaging",
        equation 3.61), which keeps the mean right, and multiplied by the window in frequency.
        """
        length = 1 << (2 * self.bins - 1).bit_length()
        n = torch.arange(length, device=y.device)
        distance = torch.minimum(n, length - n).to(torch.float64)
        kernel = torch.where(
            n % 2 == 1, -1 / (math.pi * distance).square().clamp(min=1e-12), torch.zeros(()).double()
        )
        kernel[0] = 0.25
        response = torch.fft.rfft(kernel).real
        if filter_name == "hann":
            frequency = torch.linspace(0, 1, len(response), dtype=torch.float64, device=y.device)
            response = response * 0.5 * (1 + torch.cos(math.pi * frequency))
        filtered = torch.fft.irfft(torch.fft.rfft(y, n=length) * response.to(y.dtype), n=length)
        filtered = filtered[..., : self.bins].contiguous().to(y.dtype)
        # one pixel_size undoes the line integral's unit, the other the one inside the adjoint
        return self.T(filtered) * (self._angle_weight / self.pixel_size**2)
