"""Laws that every linear operator obeys; a new one joins as it is registered, its options by a line in OPERATORS."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from padis_gui.core.physics.blur import Blur
from padis_gui.core.physics.operator import LinearOperator, Scaled
from padis_gui.core.physics.pixelwise import Denoising, Inpainting
from padis_gui.core.physics.registry import PHYSICS, Physics
from padis_gui.core.physics.scanner import FanBeamCT, FanBeamSettings, ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.physics.superresolution import SuperResolution
from padis_gui.core.settings.errors import SettingError
from tests.tiny import phantom

CPU = torch.device("cpu")
Make = Callable[[torch.dtype], LinearOperator]


def ct(shape: tuple[int, int, int], views: int, bins: int | None = None, **options) -> Make:
    settings = ParallelBeamSettings(views=views, bins=bins, **options)
    return lambda dtype: ParallelBeamCT.of(shape, settings, CPU, dtype=dtype)


def fan(shape: tuple[int, int, int], views: int, bins: int, **options) -> Make:
    settings = FanBeamSettings(views=views, bins=bins, **options)
    return lambda dtype: FanBeamCT.of(shape, settings, CPU, dtype=dtype)


UNEVEN = (5.7, 6.9, 114.6, -74.5, 229.2)
LOPSIDED = torch.arange(20.0).reshape(4, 5) / 190

OPERATORS: dict[str, Make] = {
    "ct square": ct((1, 20, 20), 7, 32),
    "ct one view": ct((1, 20, 20), 1, 32),
    "ct wide": ct((1, 20, 41), 13, 50),
    "ct tall": ct((1, 41, 20), 60, 50),
    "ct colour": ct((3, 24, 17), 5, 40),
    "ct truncated detector": ct((1, 20, 20), 8, 16),
    "ct default detector": ct((1, 16, 16), 3),
    "ct pixel size": ct((1, 20, 17), 9, 32, pixel_size=2.5),
    "ct angle list": ct((1, 20, 17), 5, 32, angles=UNEVEN),
    "ct off centre": ct((1, 20, 17), 6, 40, centre=-4.3),
    "ct wide bins": ct((1, 30, 24), 6, 20, bin_width=2.6),
    "ct narrow bins": ct((1, 20, 17), 5, 70, bin_width=0.4),
    "fan": fan((1, 20, 20), 7, 32),
    "fan wide": fan((1, 20, 41), 6, 60),
    "fan colour": fan((3, 24, 17), 5, 40),
    "fan angle list": fan((1, 20, 17), 5, 32, angles=UNEVEN),
    "fan off centre": fan((1, 20, 17), 6, 40, bin_width=1.5, centre=5.2),
    "fan truncated detector": fan((1, 20, 20), 5, 16, bin_width=1.0),
    "fan wide bins": fan((1, 30, 24), 6, 16, source_distance=90.0, detector_distance=40.0, bin_width=3.9),
    "fan detector on the axis": fan((1, 20, 17), 6, 40, source_distance=60.0, detector_distance=0.0),
    "blur": lambda dtype: Blur((3, 12, 15), LOPSIDED, dtype=dtype),
    "blur zero": lambda dtype: Blur((1, 15, 12), LOPSIDED, boundary="zero", dtype=dtype),
    "block average": lambda dtype: SuperResolution((1, 18, 16), 4, "average", dtype=dtype),
    "bicubic": lambda dtype: SuperResolution((3, 16, 13), 3, dtype=dtype),
    "inpainting": lambda dtype: Inpainting((3, 8, 8), torch.eye(8) < 1, dtype=dtype),
    "denoising": lambda dtype: Denoising((1, 12, 16), dtype=dtype),
    "scaled": lambda dtype: Scaled(ct((1, 20, 18), 6, 32)(dtype), 0.37),
    "scaled twice": lambda dtype: Scaled(Scaled(ct((1, 16, 16), 6, 24)(dtype), -3.0), 0.5),
    "adjoint": lambda dtype: ct((1, 20, 18), 6, 32)(dtype).T,
    "adjoint of scaled": lambda dtype: Scaled(ct((1, 20, 18), 6, 32)(dtype), 0.37).T,
    "scaled adjoint": lambda dtype: Scaled(ct((1, 20, 18), 6, 32)(dtype).T, 0.37),
}

every_operator = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS.keys())


def randn(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@every_operator
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_adjoint(make: Make, dtype: torch.dtype, tolerance: float) -> None:
    check_adjoint(make(dtype), dtype, tolerance)


@pytest.mark.parametrize("physics", [p for p in PHYSICS if not p.imageless], ids=lambda p: p.name)
def test_adjoint_as_registered(physics: Physics) -> None:
    """A new operator is tested without a line in OPERATORS; its options and shapes are not."""
    A = physics.make((1, 40, 36), physics.settings_type(), torch.device("cpu"))
    check_adjoint(A, torch.float32, 1e-5)


def check_adjoint(A: LinearOperator, dtype: torch.dtype, tolerance: float) -> None:
    """<A x, y> = <x, A^T y>, relative to ||A x|| ||y||."""
    for seed in range(3):
        x, y = randn(A.image_shape, dtype, seed), randn(A.measurement_shape, dtype, seed + 100)
        forward, backward = A(x), A.T(y)
        assert forward.dtype == backward.dtype == dtype
        assert tuple(forward.shape) == A.measurement_shape
        assert tuple(backward.shape) == A.image_shape
        left = float((forward.double() * y.double()).sum())
        right = float((x.double() * backward.double()).sum())
        assert abs(left - right) <= tolerance * float(forward.norm() * y.norm())


@every_operator
def test_transpose_is_an_involution(make: Make) -> None:
    A = make(torch.float32)
    assert A.T.T is A or A.T.T.T is A.T
    x = randn(A.image_shape, torch.float32, 0)
    assert torch.equal(A.T.T(x), A(x))
    assert A.T.image_shape == A.measurement_shape
    assert A.T.measurement_shape == A.image_shape


def test_transpose_twice_is_the_same_object() -> None:
    A = OPERATORS["ct square"](torch.float32)
    assert A.T.T is A
    S = Scaled(A, 2.0)
    assert S.T.T is S


@every_operator
def test_linear(make: Make) -> None:
    A = make(torch.float64)
    x, z = randn(A.image_shape, torch.float64, 1), randn(A.image_shape, torch.float64, 2)
    torch.testing.assert_close(A(2.5 * x - z), 2.5 * A(x) - A(z), rtol=1e-10, atol=1e-10)


@every_operator
def test_gradient_is_the_adjoint(make: Make) -> None:
    A = make(torch.float64)
    x = randn(A.image_shape, torch.float64, 3).requires_grad_(True)
    y = randn(A.measurement_shape, torch.float64, 4)
    (gradient,) = torch.autograd.grad((A(x) * y).sum(), x)
    torch.testing.assert_close(gradient, A.T(y), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("transposed", [False, True])
def test_gradcheck(transposed: bool) -> None:
    A: LinearOperator = ct((1, 5, 4), 3, 16)(torch.float64)
    A = A.T if transposed else A
    x = randn(A.image_shape, torch.float64, 5).requires_grad_(True)
    assert torch.autograd.gradcheck(A, (x,))
    assert torch.autograd.gradgradcheck(lambda v: A(v) ** 2, (x,))


@every_operator
def test_norm_is_the_largest_singular_value(make: Make) -> None:
    A = make(torch.float64)
    columns = math.prod(A.image_shape)
    basis = torch.eye(columns, dtype=torch.float64).reshape(columns, *A.image_shape)
    dense = torch.stack([A(e).flatten() for e in basis], dim=1)
    assert A.norm == pytest.approx(float(torch.linalg.matrix_norm(dense, 2)), rel=1e-2)


def test_scaled_to_unit_norm() -> None:
    A = ct((1, 32, 32), 8, 48)(torch.float32)
    assert Scaled(A, 1 / A.norm).norm == pytest.approx(1, rel=1e-4)


def test_wrong_shape_is_a_setting_error() -> None:
    A = ct((1, 32, 32), 8, 48)(torch.float32)
    with pytest.raises(SettingError, match=r"\(1, 32, 32\).*\(1, 32, 31\)"):
        A(torch.zeros(1, 32, 31))
    with pytest.raises(SettingError):
        A.T(torch.zeros(1, 8, 47))


# -- parallel-beam CT -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "views", "bins"), [((32, 32), 7, 48), ((20, 41), 13, 64), ((41, 20), 1, 30)]
)
def test_matrix_equals_astras_own_projector(shape: tuple[int, int], views: int, bins: int) -> None:
    import astra

    angles = torch.arange(views, dtype=torch.float64) * (math.pi / views)
    A = ct((1, *shape), views, bins, pixel_size=1.0)(torch.float32)
    volume = astra.create_vol_geom(*shape)
    detector = astra.create_proj_geom("parallel", 1.0, bins, angles.numpy())
    projector = astra.create_projector("linear", detector, volume)
    try:
        x = randn((1, *shape), torch.float32, 0)
        theirs = torch.from_numpy((astra.OpTomo(projector) @ x.numpy().ravel()).reshape(1, views, bins))
        torch.testing.assert_close(A(x), theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))
    finally:
        astra.projector.delete(projector)


def test_astra_objects_are_freed() -> None:
    kinds = ("projector", "matrix", "data2d", "algorithm")
    before = {kind: len(_astra_ids(kind)) for kind in kinds}
    A = ct((1, 32, 32), 8, 48, system_matrix="matrix-free")(torch.float32)
    A.T(A(torch.ones(A.image_shape)))
    assert {kind: len(_astra_ids(kind)) for kind in before} == before


def _astra_ids(kind: str) -> list[str]:
    """Lines of ASTRA's table of living objects, which it only prints."""
    import contextlib
    import io

    import astra

    module = getattr(astra, kind)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        module.info()
    return [line for line in text.getvalue().splitlines() if line[:1].isdigit()]


def disc(size: int, radius: float) -> Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    return ((axis[:, None] ** 2 + axis[None] ** 2) <= radius**2).float()[None]


def test_projection_of_a_disc_is_its_chord() -> None:
    """The line integral through the middle of a disc of radius r is 2 r pixels, in units of pixel_size."""
    A = ct((1, 65, 65), 12, 97, pixel_size=0.5)(torch.float32)
    sinogram = A(disc(65, 20))
    assert sinogram[0, :, 48].numpy() == pytest.approx(np.full(12, 2 * 20 * 0.5), rel=0.06)
    # every view sees the same mass
    assert sinogram.sum(-1)[0].numpy() == pytest.approx(
        np.full(12, float(disc(65, 20).sum()) * 0.5), rel=0.01
    )


@pytest.mark.parametrize("filter_name", ["ram-lak", "hann"])
@pytest.mark.parametrize("pixel_size", [40 / 256, 1.0])
def test_fbp_recovers_a_disc(filter_name: str, pixel_size: float) -> None:
    truth = 0.7 * disc(96, 30)
    A = ct((1, 96, 96), 180, 144, pixel_size=pixel_size, fbp_filter=filter_name)(torch.float32)
    found = A.pinv(A(truth))
    assert found.shape == truth.shape
    inside, outside = disc(96, 27).bool(), ~disc(96, 33).bool()
    assert float(found[inside].mean()) == pytest.approx(0.7, rel=0.02)
    assert float(found[inside].std()) < 0.03
    assert abs(float(found[outside].mean())) < 0.02


def test_a_full_turn_sees_every_line_twice_and_gives_the_same_fbp() -> None:
    truth = 0.7 * disc(96, 30)
    half, full = (
        ParallelBeamCT.of((1, 96, 96), ParallelBeamSettings(views=v, arc=arc, bins=145), CPU)
        for v, arc in ((90, 180.0), (180, 360.0))
    )
    assert torch.allclose(half.pinv(half(truth)), full.pinv(full(truth)), atol=5e-3)


def test_limited_angle_leaves_the_rest_of_the_half_turn_out() -> None:
    limited = ParallelBeamCT.of((1, 64, 64), ParallelBeamSettings(views=40, arc=120.0), CPU)
    whole = ParallelBeamCT.of((1, 64, 64), ParallelBeamSettings(views=60), CPU)
    x = phantom(64)[None]
    assert torch.equal(limited(x), whole(x)[:, :40])  # the same 3 degrees apart, up to 117


def test_fbp_is_not_mirrored_or_turned() -> None:
    truth = phantom(64)[None]
    truth[:, 10:16, 40:60] = 1.0  # a mark that no symmetry maps to itself
    A = ct((1, 64, 64), 120, 96)(torch.float32)
    error = float((A.pinv(A(truth)) - truth).norm() / truth.norm())
    assert error < 0.25
    for flip in ((1,), (2,), (1, 2)):
        assert float((A.pinv(A(truth)) - truth.flip(flip)).norm() / truth.norm()) > 2 * error


def test_views_are_even_over_half_a_turn() -> None:
    A = ParallelBeamCT.of((1, 16, 16), ParallelBeamSettings(views=8), CPU)
    assert A.angles[0] == 0
    torch.testing.assert_close(A.angles.diff(), torch.full((7,), math.pi / 8, dtype=torch.float64))
    assert A.measurement_shape == (1, 8, 512)


def test_default_detector_sees_the_whole_image() -> None:
    A = ParallelBeamCT.of((1, 600, 40), ParallelBeamSettings(views=2), CPU)
    assert A.geometry.bins >= math.hypot(600, 40)
    seen = A.T(torch.ones(A.measurement_shape))
    assert bool((seen > 0).all())
