"""Cone beams: where rays go, checked against exact line integrals through ellipsoids; what FDK makes of these.

The places of source and detector are written down here once more, by turning a scanner that stands at angle 0.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.physics.cone import ConeBeamCT, ConeBeamSettings
from padis_gui.core.physics.scanner import FanBeamCT, FanBeamSettings
from padis_gui.core.settings.errors import SettingError

CPU = torch.device("cpu")
Array = NDArray[np.float64]
SOURCE, BEHIND = 200.0, 90.0

# Scans that differ in one thing from a plain one, and one in everything
SCANS: dict[str, dict[str, Any]] = {
    "plain": {},
    "start": {"start": 37.0},
    "clockwise": {"turn": "clockwise", "start": 10.0},
    "angles": {"angles": tuple(x + 5 * math.sin(x) for x in range(0, 360, 6))},
    "centre": {"centre": 5.3},
    "centre row": {"centre_row": -6.4},
    "tilt": {"detector_tilt": 7.0},
    "axis offset": {"axis_offset": 6.0},
    "voxel height": {"voxel_height": 1.6},
    "mm": {"lengths": "mm", "pixel_size": 0.5, "source_distance": 100.0, "detector_distance": 45.0, "bin_width": 0.75,
           "row_height": 0.8, "axis_offset": -2.0},
    "all": {"start": -71.0, "turn": "clockwise", "centre": -4.2, "centre_row": 3.7, "detector_tilt": -6.0,
            "axis_offset": -5.0, "voxel_height": 0.8},
}  # fmt: skip
every_scan = pytest.mark.parametrize("options", SCANS.values(), ids=SCANS.keys())


def settings(**options: Any) -> ConeBeamSettings:
    plain: dict[str, Any] = {
        "views": 60, "bins": 84, "bin_width": 1.4, "detector_rows": 76, "row_height": 1.5, "pixel_size": 1.0,
        "source_distance": SOURCE, "detector_distance": BEHIND, "fbp_filter": "ram-lak",
    }  # fmt: skip
    return ConeBeamSettings(**plain | options)


def rays(of: ConeBeamSettings) -> tuple[Array, Array]:
    """Source (views, 1, 1, 3) and bins (views, rows, bins, 3) in pixels: x to the right, y upwards, z upwards."""
    one = of.pixel_size if of.lengths == "mm" else 1.0
    width, height, source, behind, aside = (
        (value or 0.0) / one
        for value in (of.bin_width, of.row_height, of.source_distance, of.detector_distance, of.axis_offset)
    )
    rows, bins = of.detector_rows or 0, of.bins or 0
    right = (np.arange(bins) - (bins - 1) / 2 - of.centre) * width
    down = (np.arange(rows) - (rows - 1) / 2 - of.centre_row) * height
    cos, sin = math.cos(math.radians(of.detector_tilt)), math.sin(math.radians(of.detector_tilt))
    # the detector in its plane, as the source sees it, turned counter-clockwise
    x = right[None] * cos + down[:, None] * sin
    z = right[None] * sin - down[:, None] * cos
    # where the axis is seen from a source that stands so far to its left
    x = x + aside * behind / source
    detector = np.stack([x, np.full_like(x, behind), z], -1)
    listed = np.array(of.angles) if of.angles else np.arange(of.views) * of.arc / of.views
    turned = np.radians(of.start + (listed if of.turn == "counter-clockwise" else -listed))
    found = [(_turned(np.array([-aside, -source, 0.0]), by), _turned(detector, by)) for by in turned]
    return np.stack([one[0] for one in found])[:, None, None], np.stack([one[1] for one in found])


def _turned(points: Array, by: float) -> Array:
    cos, sin = math.cos(by), math.sin(by)
    return np.stack(
        [
            points[..., 0] * cos - points[..., 1] * sin,
            points[..., 0] * sin + points[..., 1] * cos,
            points[..., 2],
        ],
        -1,
    )


Ellipsoid = tuple[
    tuple[float, float, float], tuple[float, float, float], float
]  # middle, half axes, intensity


def integrals(of: ConeBeamSettings, ellipsoids: list[Ellipsoid]) -> Tensor:
    """Exact line integrals (rows, views, bins) in the unit of the settings."""
    source, ends = rays(of)
    total = np.zeros(ends.shape[:-1])
    for middle, axes, intensity in ellipsoids:
        start, way = (source - middle) / np.array(axes), (ends - source) / np.array(axes)
        a, b, c = (way**2).sum(-1), (start * way).sum(-1), (start**2).sum(-1) - 1
        inside = np.maximum(b**2 - a * c, 0)
        total += intensity * 2 * np.sqrt(inside) / a * np.linalg.norm(ends - source, axis=-1)
    return torch.from_numpy(total.transpose(1, 0, 2) * of.pixel_size)


def voxels(
    of: ConeBeamSettings, shape: tuple[int, int, int], ellipsoids: list[Ellipsoid], fine: int = 5
) -> Tensor:
    """The mean of an object in each voxel."""
    found = np.zeros(shape)
    inner = (np.arange(fine) + 0.5) / fine - 0.5
    height = of.height_of_voxels()
    z, y, x = (
        -(np.arange(n)[:, None] + inner - (n - 1) / 2).ravel() * size
        for n, size in zip(shape, (height, 1.0, -1.0), strict=True)
    )
    for middle, axes, intensity in ellipsoids:
        far = [((at - m) / a) ** 2 for at, m, a in zip((x, y, z), middle, axes, strict=True)]
        within = (far[2][:, None, None] + far[1][:, None] + far[0]) <= 1
        found += intensity * within.reshape(shape[0], fine, shape[1], fine, shape[2], fine).mean((1, 3, 5))
    return torch.from_numpy(found)


def operator(
    of: ConeBeamSettings, shape: tuple[int, int, int], dtype: torch.dtype = torch.float64
) -> ConeBeamCT:
    return ConeBeamCT.of(shape, of, CPU, dtype=dtype)


# The projector ---------------------------------------------------------------------------------------------------

Blob = tuple[tuple[float, float, float], float]  # middle, deviation
BLOBS: list[Blob] = [((3.0, -2.0, 1.0), 6.0), ((-12.0, 9.0, -8.0), 3.0), ((8.0, 13.0, 7.0), 2.5)]


@every_scan
def test_line_integrals_are_exact(options: dict[str, Any]) -> None:
    """Of Gaussian blobs to a few thousandths; a tenth of a bin or a row beside it would be ten times as much."""
    of, shape = settings(**options), (44, 48, 52)
    source, ends = rays(of)
    exact, volume = np.zeros(ends.shape[:-1]), np.zeros(shape)
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    x, y, z = x, -y, -z * of.height_of_voxels()
    way = (ends - source) / np.linalg.norm(ends - source, axis=-1, keepdims=True)
    for middle, deviation in BLOBS:
        beside = np.cross(source - middle, way)
        exact += math.sqrt(2 * math.pi) * deviation * np.exp(-(beside**2).sum(-1) / (2 * deviation**2))
        away = sum((at - m) ** 2 for at, m in zip((x, y, z), middle, strict=True))
        volume += np.exp(-away / (2 * deviation**2))
    wanted = torch.from_numpy(exact.transpose(1, 0, 2) * of.pixel_size)
    found = operator(of, shape)(torch.from_numpy(volume))
    assert found.shape == wanted.shape
    assert float((found - wanted).norm() / wanted.norm()) < 0.012


BODY: list[Ellipsoid] = [
    ((0.0, 0.0, 0.0), (20.0, 15.0, 14.0), 1.0),
    ((6.0, -4.0, 3.0), (7.0, 5.0, 4.0), -0.6),
    ((-9.0, 5.0, -5.0), (4.0, 5.0, 6.0), 0.8),
]


@every_scan
def test_line_integrals_are_those_of_ellipsoids(options: dict[str, Any]) -> None:
    """Up to what voxels make of their edges."""
    of = settings(**options)
    A = operator(of, (44, 48, 52))
    found, exact = A(voxels(of, (44, 48, 52), BODY)), integrals(of, BODY)
    assert float((found - exact).norm() / exact.norm()) < 0.045
    assert float(found.sum() / exact.sum()) == pytest.approx(1, abs=3e-3)


@pytest.mark.parametrize(
    "options",
    [{}, {"start": 30, "turn": "clockwise"}, {"centre": 4.3}, {"bins": 40, "bin_width": 2.9}, {"arc": 200}],
    ids=str,
)
def test_the_central_slice_is_that_of_the_fan_beam(options: dict[str, Any]) -> None:
    """Both project a smooth picture alike, and FDK makes of it what FBP makes."""
    y, x = np.mgrid[-24:24, -20:20] + 0.5
    picture = np.exp(-((x - 4) ** 2 + (y + 3) ** 2) / 90) + 0.5 * np.exp(-((x + 7) ** 2 + (y - 6) ** 2) / 40)
    image = torch.from_numpy(picture)[None]
    given = {
        "views": 50,
        "bins": 72,
        "bin_width": 1.4,
        "source_distance": SOURCE,
        "detector_distance": BEHIND,
    } | options
    fan = FanBeamCT.of((1, 48, 40), FanBeamSettings(**given), CPU, dtype=torch.float64)
    cone = operator(ConeBeamSettings(**given, detector_rows=1, row_height=1.4), (1, 48, 40))
    assert cone.measurement_shape == fan.measurement_shape
    one, other = fan(image), cone(image)
    assert float((one - other).norm() / one.norm()) < 6e-3
    assert float((fan.pinv(one) - cone.pinv(one)).norm() / image.norm()) < 1e-6
    # in the middle row of a thick stack of such slices, too
    thick = operator(ConeBeamSettings(**given, detector_rows=3, row_height=1.4), (9, 48, 40))
    torch.testing.assert_close(thick(image.expand(9, 48, 40))[1], other[0], rtol=1e-6, atol=1e-9)


def test_wide_bins_are_means_of_rays() -> None:
    fine = settings(bins=96, bin_width=1.0, detector_rows=80, row_height=1.0)
    wide = settings(bins=24, bin_width=4.0, detector_rows=20, row_height=4.0)
    volume = voxels(fine, (44, 48, 52), BODY)
    found = operator(wide, (44, 48, 52))(volume)
    mean = operator(fine, (44, 48, 52))(volume).reshape(20, 4, 60, 24, 4).mean((1, 4))
    assert float((found - mean).norm() / mean.norm()) < 2e-3


def test_threads_change_no_bit() -> None:
    A = operator(settings(), (20, 48, 52), torch.float32)
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(A.image_shape, generator=rng), torch.rand(A.measurement_shape, generator=rng)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append((A(x), A.T(y), A.pinv(y)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


# FDK -------------------------------------------------------------------------------------------------------------

BALLS: list[Ellipsoid] = [
    ((12.3, 4.2, 0.0), (3.0, 3.0, 3.0), 1.0),
    ((-8.6, 11.4, 5.7), (3.0, 3.0, 3.0), 1.0),
    ((-3.1, -13.2, -7.9), (3.0, 3.0, 3.0), 1.0),
]
SHORT: dict[str, dict[str, Any]] = {
    f"short {name}": options | {"arc": 230.0, "views": 116}
    for name, options in SCANS.items()
    if name != "angles"
}


@pytest.mark.parametrize("options", (SCANS | SHORT).values(), ids=(SCANS | SHORT).keys())
def test_fdk_puts_things_where_they_are(options: dict[str, Any]) -> None:
    """To a tenth of a voxel and 4 % of the intensity, of a full turn and of a short scan, however the scanner stands."""
    of = settings(**{"views": 120} | options)
    shape = (44, 48, 52)
    found = operator(of, shape).pinv(integrals(of, BALLS)).numpy()
    height = of.height_of_voxels()
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    x, y, z = x, -y, -z * height
    for middle, _, _ in BALLS:
        away = np.sqrt(sum((at - m) ** 2 for at, m in zip((x, y, z), middle, strict=True)))
        weights = np.where(away < 6, np.clip(found, 0.1, None) - 0.1, 0)
        seen = [float((weights * at).sum() / weights.sum()) for at in (x, y, z)]
        assert np.abs(np.subtract(seen, middle)).max() < 0.1
        assert found[away < 1.5].mean() == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("options", [{}, {"arc": 215.0, "views": 108}, {"centre": 18.0, "bins": 64}], ids=str)
def test_fdk_gives_the_intensities_of_a_body(options: dict[str, Any]) -> None:
    """Of a full turn, of a short scan and of a detector beside the axis: the insides are even and as they should be."""
    of = settings(**{"views": 120, "fbp_filter": "hann"} | options)
    found = operator(of, (44, 48, 52)).pinv(integrals(of, BODY))
    truth = voxels(of, (44, 48, 52), BODY)
    even = torch.nn.functional.avg_pool3d(truth[None, None], 5, 1, 2)[0, 0]
    spread = torch.nn.functional.avg_pool3d(truth[None, None] ** 2, 5, 1, 2)[0, 0] - even**2
    inside = (spread < 1e-6) & (truth > 0.2)
    assert inside.sum() > 1000
    assert float((found - truth)[inside].abs().mean()) < 0.03
    assert float((found - truth)[inside].mean()) == pytest.approx(0, abs=0.02)


# What is automatic, and what is refused ---------------------------------------------------------------------------


def test_an_automatic_detector_sees_the_whole_volume() -> None:
    """Even the corners leave rays at the rim that meet nothing, and a smaller one would cut them off."""
    of = ConeBeamSettings(views=24, start=3.0)
    A = operator(of, (30, 40, 24))
    corners = torch.zeros(A.image_shape, dtype=torch.float64)
    corners[:: A.image_shape[0] - 1, :: A.image_shape[1] - 1, :: A.image_shape[2] - 1] = 1.0
    seen = A(corners)
    assert float(seen[[0, -1]].max()) < 1.5
    assert float(seen[[2, -3]].max()) > 0.01
    inside = A.T(torch.ones(A.measurement_shape, dtype=torch.float64))
    assert float(inside[0, 0, 0] / inside[15, 20, 12]) > 0.7


def test_voxels_are_as_high_as_the_volume_says() -> None:
    from padis_gui.core.images.image import Image

    volume = Image(
        pixels=np.zeros((5, 8, 8), np.float32), spacing=(0.5, 0.5), slice_spacing=2.0, slices=(0, 1, 2, 3, 4)
    )
    assert ConeBeamSettings().for_image(volume).height_of_voxels() == pytest.approx(4.0)
    in_mm = ConeBeamSettings(lengths="mm", pixel_size=0.5).for_image(volume)
    assert (in_mm.voxel_height, in_mm.height_of_voxels()) == (pytest.approx(2.0), pytest.approx(4.0))
    assert ConeBeamSettings(voxel_height=3.0).for_image(volume).height_of_voxels() == 3.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source_distance": 20.0}, r"farther from the axis of rotation than the image's corners"),
        ({"centre_row": 120.0, "detector_rows": 20}, r"its 20 rows lie beside it"),
        ({"detector_rows": None, "row_height": 1e-4}, r"At most 16384 detector rows"),
        ({"axis_offset": 500.0}, r"An axis near the middle ray"),
        ({"centre": -300.0}, r"lie beside it"),
        ({"views": 2000, "bins": 4096, "detector_rows": 4096}, r"billion readings"),
    ],
)
def test_a_scan_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        settings(**options).geometry((30, 40, 24))


def test_what_does_not_fit_into_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padis_gui.core.physics.cone.free_memory_mb", lambda _device: 10.0)
    with pytest.raises(SettingError, match="fits into memory"):
        operator(settings(), (44, 48, 52))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="wants CUDA")
def test_a_gpu_gives_the_same_up_to_rounding() -> None:
    of = settings(**SCANS["all"])
    here, there = (
        operator(of, (44, 48, 52)),
        ConeBeamCT.of((44, 48, 52), of, torch.device("cuda"), dtype=torch.float64),
    )
    x = voxels(of, (44, 48, 52), BODY, 1)
    y = here(x)
    for one, other in (
        (y, there(x.cuda())),
        (here.T(y), there.T(y.cuda())),
        (here.pinv(y), there.pinv(y.cuda())),
    ):
        torch.testing.assert_close(one, other.cpu(), rtol=1e-8, atol=1e-8)
