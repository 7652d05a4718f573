"""Laws of scan geometries, of filtered back projection, of a sinogram's noise; and two real scans."""

import itertools
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from padis_gui.core.physics import projector
from padis_gui.core.physics import scanner as scanner_module
from padis_gui.core.physics.filtered_backprojection import redundancy_weights, scanned_arc, view_weights
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.physics.scanner import (
    FanBeamCT,
    FanBeamSettings,
    ParallelBeamCT,
    ParallelBeamSettings,
    Scanner,
    ScannerSettings,
    settings_of,
)
from padis_gui.core.settings.declarations import as_before, make
from padis_gui.core.settings.errors import Interrupted, SettingError
from padis_gui.core.settings.watch import Watch
from tests.tiny import phantom
from tests.waiting import run_afresh

CPU = torch.device("cpu")
BEAMS = ("parallel", "fan")
both_beams = pytest.mark.parametrize("beam", BEAMS)


def scanner(beam: str, shape: tuple[int, ...], **values: object) -> Scanner:
    """The operator of settings for images (1, *shape)."""
    if beam == "parallel":
        return ParallelBeamCT.of((1, *shape), make(ParallelBeamSettings, values), CPU)
    return FanBeamCT.of((1, *shape), make(FanBeamSettings, values), CPU)


def marked(size: int) -> Tensor:
    """A phantom (1, size, size) with a mark that no symmetry maps to itself."""
    image = phantom(size)[None].clone()
    image[:, size // 6 : size // 4, size * 5 // 8 : size * 15 // 16] = 1.0
    return image


def disc(size: int, radius: float, x: float = 0.0, y: float = 0.0) -> Tensor:
    """A disc of value 1 (1, size, size) around (x, y) pixels to the right of and above the middle."""
    axis = torch.arange(size) - (size - 1) / 2
    return ((axis[None] - x).square() + (-axis[:, None] - y).square() <= radius**2).float()[None]


def off(found: Tensor, truth: Tensor) -> float:
    """Relative error."""
    return float((found - truth).norm() / truth.norm())


# -- geometry ---------------------------------------------------------------------------------------------


@both_beams
def test_a_list_of_angles_is_the_same_scan(beam: str) -> None:
    even = scanner(beam, (24, 20), views=6, arc=90, bins=40)
    listed = scanner(beam, (24, 20), angles=[0, 15, 30, 45, 60, 75], bins=40)
    x = torch.rand(1, 24, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(listed(x), even(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings_type", [ParallelBeamSettings, FanBeamSettings])
def test_views_follow_the_list_of_angles(settings_type: type[ScannerSettings]) -> None:
    settings = make(settings_type, {"views": 20, "angles": ["0", " 7.5", "90"]})
    assert (settings.views, settings.angles) == (3, (0.0, 7.5, 90.0))
    assert make(settings_type, settings.model_dump(mode="json")) == settings
    assert make(settings_type, {"angles": (1.0, 2.0)}).views == 2
    with pytest.raises(SettingError, match="Views must be 1 to 2000, but 2001"):
        make(settings_type, {"angles": tuple(range(2001))})
    with pytest.raises(SettingError, match="Angles must be numbers"):
        make(settings_type, {"angles": ["0", "half"]})


@both_beams
def test_starting_later_turns_the_image(beam: str) -> None:
    x = marked(32)
    first, later = (scanner(beam, (32, 32), views=5, bins=64, start=start) for start in (0, 90))
    torch.testing.assert_close(later(x.rot90(1, (1, 2))), first(x), rtol=1e-3, atol=1e-3)


@both_beams
def test_the_other_turn_mirrors_the_image(beam: str) -> None:
    x = marked(32)
    ours, theirs = (
        scanner(beam, (32, 32), angles=[0, 10, 50, 200], bins=64, turn=turn)
        for turn in ("counter-clockwise", "clockwise")
    )
    torch.testing.assert_close(theirs(x.flip(2)).flip(2), ours(x), rtol=1e-3, atol=1e-3)


@both_beams
def test_bins_count_from_left_to_right_and_the_source_is_below(beam: str) -> None:
    A = scanner(beam, (33, 33), angles=[0, 90], bins=64, bin_width=1.5)
    sinogram = A(disc(33, 2, x=8, y=5))[0]
    bins = torch.arange(64) - 31.5
    at = (sinogram * bins).sum(1) / sinogram.sum(1) * 1.5
    # at 0 degrees the bins' axis is (1, 0), at 90 (0, 1); the fan magnifies what is nearer to the source
    expected = (8, 5) if beam == "parallel" else (8 * 66 / (33 + 5), 5 * 66 / (33 - 8))
    assert at.tolist() == pytest.approx(expected, abs=0.3)


@both_beams
@pytest.mark.parametrize("centre", [3, -7])
def test_the_centre_of_rotation_shifts_the_sinogram(beam: str, centre: int) -> None:
    x = marked(32)
    middle, aside = (scanner(beam, (32, 32), views=5, bins=96, bin_width=1.4, centre=c) for c in (0, centre))
    torch.testing.assert_close(aside(x), middle(x).roll(centre, 2), rtol=1e-3, atol=1e-3)


@both_beams
def test_wide_bins_are_the_mean_of_the_narrow_ones_inside(beam: str) -> None:
    x = marked(32)
    width = 1.0 if beam == "parallel" else 2.0  # one pixel on the axis of rotation
    wide = scanner(beam, (32, 32), views=5, bins=20, bin_width=3 * width, centre=0.5)
    narrow = scanner(beam, (32, 32), views=5, bins=60, bin_width=width, centre=1.5)
    torch.testing.assert_close(wide(x), narrow(x).reshape(1, 5, 20, 3).mean(3), rtol=1e-4, atol=1e-4)


@both_beams
def test_bins_beside_the_image_change_nothing(beam: str) -> None:
    x = marked(32)
    small, large = (scanner(beam, (32, 32), views=5, bins=bins, bin_width=1.5) for bins in (90, 290))
    torch.testing.assert_close(large(x)[..., 100:190], small(x), rtol=1e-5, atol=1e-5)
    assert float(large(x)[..., :100].abs().max()) == 0


@both_beams
def test_lengths_in_millimetres(beam: str) -> None:
    distances = {} if beam == "parallel" else {"source_distance": 60.0, "detector_distance": 40.0}
    in_mm = {name: 0.25 * length for name, length in distances.items()}
    pixels = scanner(beam, (32, 32), views=5, bins=64, bin_width=2.0, **distances)
    mm = scanner(beam, (32, 32), views=5, bins=64, bin_width=0.5, lengths="mm", pixel_size=0.25, **in_mm)
    x = marked(32)
    torch.testing.assert_close(mm(x) / 0.25, pixels(x) / (40 / 256), rtol=1e-4, atol=1e-4)


@both_beams
@pytest.mark.parametrize("shape", [(64, 64), (40, 96), (700, 30)])
def test_an_automatic_detector_sees_the_whole_image(beam: str, shape: tuple[int, int]) -> None:
    A = scanner(beam, shape, angles=[0, 40, 90], centre=11)
    assert A.geometry.bins >= 512
    edges = A.geometry.positions()[[0, -1]] + A.geometry.bin_width * torch.tensor([-0.5, 0.5])
    assert float(edges[0]) <= -0.999 * A.geometry.reach(shape)
    assert float(edges[1]) >= 0.999 * A.geometry.reach(shape)
    assert bool((A.T(torch.ones(A.measurement_shape)) > 0).all())


def test_the_published_fan_has_512_bins_of_a_pixel_on_the_axis() -> None:
    """[C]: 40 and 40 from the axis for an image 40 wide on 256 pixels; its bins then are two pixels wide."""
    A = scanner("fan", (256, 256), views=8)
    assert (A.geometry.bins, A.geometry.bin_width) == (512, pytest.approx(2.0))


@pytest.mark.parametrize("centre", [0.0, 2.6])
def test_fan_equals_astras_own_projector(centre: float) -> None:
    import astra

    degrees = (0.0, 23.0, 115.0, 286.0)
    A = scanner(
        "fan", (30, 41), angles=degrees, bins=70, bin_width=1.5, pixel_size=1.0, centre=centre,
        source_distance=80.0, detector_distance=50.0,
    )  # fmt: skip
    geometry = astra.geom_2vec(astra.create_proj_geom("fanflat", 1.5, 70, np.deg2rad(degrees), 80.0, 50.0))
    geometry["Vectors"][:, 2:4] -= centre * geometry["Vectors"][:, 4:6]
    projector = astra.create_projector("line_fanflat", geometry, astra.create_vol_geom(30, 41))
    try:
        x = torch.rand(1, 30, 41, generator=torch.Generator().manual_seed(0))
        theirs = torch.from_numpy((astra.OpTomo(projector) @ x.numpy().ravel()).reshape(1, 4, 70))
        torch.testing.assert_close(A(x), theirs, rtol=1e-3, atol=1e-3)
    finally:
        astra.projector.delete(projector)


def test_fan_measures_the_chords_of_a_disc() -> None:
    """A ray at the fan angle g passes the axis at the distance D sin g; its chord is 2 sqrt(r^2 - D^2 sin^2 g)."""
    A = scanner("fan", (129, 129), views=6, bins=160, source_distance=200.0, pixel_size=0.5)
    fan_angles = torch.atan(A.geometry.positions() / (200.0 + 129.0))
    chord = 2 * (50.0**2 - (200 * torch.sin(fan_angles)).square()).clamp(min=0).sqrt()
    error = A(disc(129, 50))[0] / 0.5 - chord
    assert float(error.abs().mean()) < 0.5
    assert float(error[:, (chord > 60)].abs().max()) < 2.5


def test_a_distant_source_is_a_parallel_beam() -> None:
    x = marked(64)
    far = scanner(
        "fan", (64, 64), views=8, arc=180, bins=96, bin_width=1.0, source_distance=1e7, detector_distance=0
    )
    assert off(far(x), scanner("parallel", (64, 64), views=8, bins=96)(x)) < 0.02


@both_beams
@pytest.mark.parametrize("values", [
    {"angles": (0.1, 7.3, 200.25), "start": -77.0, "turn": "clockwise", "centre": 5.3, "bins": 90},
    {"views": 9, "arc": 120.0, "bin_width": 0.7, "lengths": "mm", "pixel_size": 0.5},
    {"views": 5, "bins": 64},
])  # fmt: skip
def test_settings_give_a_geometry_that_gives_the_same_scan_again(
    beam: str, values: dict[str, object]
) -> None:
    """Also one in mm, and whatever was automatic."""
    first = scanner(beam, (40, 52), **values)
    pixel = first.pixel_size
    in_mm = first.geometry.with_lengths("mm", lambda length: length * pixel)
    for again in (
        scanner(beam, (40, 52), **settings_of(in_mm, pixel)),
        scanner(beam, (40, 52), **settings_of(first.geometry, 1.0) | {"pixel_size": pixel}),
    ):
        np.testing.assert_allclose(again.geometry.vectors, first.geometry.vectors, atol=1e-9)
        assert again.geometry.bins == first.geometry.bins
        torch.testing.assert_close(again(marked(52)[:, :40]), first(marked(52)[:, :40]), rtol=1e-4, atol=1e-4)


def test_binned_bins_are_seen_where_their_middles_were() -> None:
    fine = scanner("fan", (40, 40), views=3, bins=103, bin_width=1.5, centre=4.25).geometry
    coarse = fine.binned(4)
    assert (coarse.bins, coarse.bin_width) == (25, 6.0)
    middles = fine.positions()[1:101].reshape(25, 4).mean(1)
    torch.testing.assert_close(coarse.positions(), middles, rtol=0, atol=1e-3)


# -- filtered back projection -----------------------------------------------------------------------------

SCANS: dict[str, dict[str, object]] = {
    "full turn": {"views": 120},
    "clockwise": {"views": 120, "turn": "clockwise", "start": 30},
    "off centre": {"views": 120, "centre": -8.2},
    "wide bins": {"views": 120, "bins": 60, "bin_width": 2.2},
    "narrow bins": {"views": 120, "bins": 280, "bin_width": 0.5},
    "listed twice": {"angles": (*range(0, 360, 3), 360, *range(0, 60, 3))},
    "one and a half turns": {"angles": tuple(range(0, 540, 4))},
    "uneven": {"angles": tuple(np.random.default_rng(0).uniform(0, 360, 200).tolist())},
}
FAN_SCANS: dict[str, dict[str, object]] = {
    "short scan": {"views": 90, "arc": 225},
    "three quarters": {"views": 100, "arc": 270, "start": -100},
    "detector on the axis": {"views": 120, "detector_distance": 0},
    "far": {"views": 80, "source_distance": 900, "arc": 200},
}


@pytest.mark.parametrize(
    ("beam", "scan"),
    [(beam, name) for beam in BEAMS for name in SCANS] + [("fan", name) for name in FAN_SCANS],
)
def test_fbp_recovers_a_disc(beam: str, scan: str) -> None:
    """Its value, its place, and nothing around it; from as many views as it takes."""
    values = {"bins": 128, **(SCANS.get(scan) or FAN_SCANS[scan])}
    if beam == "fan":  # its opening around the disc is 28 degrees
        values = {"source_distance": 90, "detector_distance": 60, **values}
    A = scanner(beam, (64, 64), pixel_size=0.7, **values)
    truth = 0.7 * disc(64, 18, x=6, y=-3)
    found = A.pinv(A(truth))
    inside, outside = disc(64, 15, x=6, y=-3).bool(), ~disc(64, 21, x=6, y=-3).bool()
    assert found.shape == truth.shape
    assert float(found[inside].mean()) == pytest.approx(0.7, rel=0.02)
    assert float(found[inside].std()) < 0.04
    assert abs(float(found[outside].mean())) < 0.02


@both_beams
def test_fbp_is_not_mirrored_or_turned(beam: str) -> None:
    truth = marked(64)
    A = (
        scanner(beam, (64, 64), views=120, source_distance=200)
        if beam == "fan"
        else scanner(beam, (64, 64), views=120)
    )
    error = off(A.pinv(A(truth)), truth)
    assert error < 0.25
    for flip in ((1,), (2,), (1, 2)):
        assert off(A.pinv(A(truth)), truth.flip(flip)) > 2 * error


@both_beams
def test_more_of_the_turn_gives_more_of_the_image(beam: str) -> None:
    truth = marked(64)
    distances = {"source_distance": 150} if beam == "fan" else {}
    errors = []
    for arc in (60, 120, 180, 240):
        A = scanner(beam, (64, 64), views=arc // 2, arc=arc, bins=128, **distances)
        errors.append(off(A.pinv(A(truth)), truth))
    assert errors[0] > errors[1] > 1.5 * errors[2]
    assert errors[3] < 1.1 * errors[2]


def test_a_wide_fan_is_weighted_right() -> None:
    """A disc seen under 73 degrees is as even as one that is far away."""
    A = scanner("fan", (64, 64), views=240, bins=160, source_distance=47, pixel_size=1)
    truth = disc(64, 28)
    found = A.pinv(A(truth))
    assert float(found[disc(64, 25).bool()].mean()) == pytest.approx(1, rel=0.01)
    assert float(found[disc(64, 8).bool()].mean()) == pytest.approx(1, rel=0.02)
    rim = disc(64, 25).bool() & ~disc(64, 22).bool()
    assert float(found[rim].mean()) == pytest.approx(1, rel=0.02)


def test_a_short_scan_needs_its_weights() -> None:
    truth = marked(64)
    A = scanner("fan", (64, 64), views=110, arc=225, bins=128, source_distance=200)
    found = off(A.pinv(A(truth)), truth)
    every = view_weights(A.angles, 2 * math.pi)[:, None] * torch.cos(
        torch.atan(A.geometry.positions() / (200 + 64))
    )
    A.__dict__["_view_weights"] = every * 180 / 225  # the right mean, but some rays count twice
    assert off(A.pinv(A(truth)), truth) > 1.5 * found


@pytest.mark.parametrize("arc", [360, 300, 225, 180, 120])
def test_both_measurements_of_a_ray_count_once(arc: int) -> None:
    angles = torch.deg2rad(torch.arange(arc, dtype=torch.float64))
    fan = torch.arange(-20, 21)
    weights = redundancy_weights(angles, torch.deg2rad(fan.double()))
    for view in range(0, arc, 7):
        for index, degrees in enumerate(fan.tolist()):
            again = (view + 180 - 2 * degrees) % 360
            total = float(weights[view, index]) + (float(weights[again, 40 - index]) if again < arc else 0.0)
            assert total == pytest.approx(1, abs=1e-6)
    assert float(weights.min()) >= 0


def test_views_stand_for_the_whole_turn() -> None:
    rng = torch.Generator().manual_seed(0)
    uneven = torch.rand(40, generator=rng, dtype=torch.float64) * 20 - 7
    for period in (math.pi, 2 * math.pi):
        weights = view_weights(uneven, period)
        assert float(weights.sum()) == pytest.approx(period)
        assert float(weights.min()) >= 0
    even = torch.arange(8, dtype=torch.float64) * math.pi / 8
    torch.testing.assert_close(view_weights(even, math.pi), torch.full((8,), math.pi / 8).double())
    assert float(view_weights(torch.zeros(1), math.pi)) == pytest.approx(math.pi)
    twice = view_weights(torch.tensor([0.0, 0.0, math.pi / 2]), math.pi)
    assert twice.tolist() == pytest.approx([math.pi / 4, math.pi / 4, math.pi / 2], rel=1e-5)


def test_a_limited_arc_stands_for_itself() -> None:
    limited = torch.deg2rad(torch.arange(30, 150, 2.0, dtype=torch.float64))
    assert float(view_weights(limited, math.pi).sum()) == pytest.approx(math.radians(120))
    start, arc = scanned_arc(limited.flip(0) + 6 * math.pi)
    assert (math.degrees(start), math.degrees(arc)) == pytest.approx((29, 120))
    assert scanned_arc(torch.arange(9) * 2 * math.pi / 9)[1] == pytest.approx(2 * math.pi)


# -- what cannot be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beam", "values", "message"),
    [
        ("parallel", {"bins": 32, "centre": 300}, r"its 32 bins lie beside it"),
        ("fan", {"bins": 32, "bin_width": 1, "centre": -300}, r"its 32 bins lie beside it"),
        ("fan", {"bins": 32, "centre": 16}, r"its centre is 16 of 32 bins aside"),
        ("parallel", {"bin_width": 1e5}, r"one is 1e\+05 px wide"),
        ("fan", {"bin_width": 1e5, "lengths": "mm"}, r"one is 6.4e\+05 px wide"),
        ("parallel", {"bin_width": 1e-5}, r"At most 16384 detector bins were wanted"),
        ("fan", {"bin_width": 1e-5}, r"At most 16384 detector bins were wanted"),
        ("fan", {"source_distance": 45}, r"corners \(45.3 px\) was wanted, but its distance is 45 px"),
        ("fan", {"source_distance": 45.2549, "lengths": "pixels"}, r"detector bins|corners"),
        ("fan", {"source_distance": 40, "lengths": "mm", "pixel_size": 1}, r"its distance is 40 px"),
    ],
)  # fmt: skip
def test_geometries_that_see_nothing_say_so(beam: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        scanner(beam, (64, 64), **values)


@both_beams
@pytest.mark.parametrize("values", [{}, {"bins": 40, "bin_width": 5.0}, {"bins": 20, "bin_width": 1.0}])
def test_the_expected_size_of_a_matrix(beam: str, values: dict[str, object]) -> None:
    """From above, and not far: else scans that fit would be refused."""
    A = scanner(beam, (60, 90), views=9, **values)
    A(torch.zeros(A.image_shape))
    actual = A._matrices[0]._nnz()
    assert 0.95 * actual < projector.expected_entries(A.geometry, (60, 90)) < 3 * actual


@both_beams
def test_a_matrix_that_does_not_fit_is_a_setting_error(beam: str, monkeypatch: pytest.MonkeyPatch) -> None:
    A = scanner(beam, (2048, 2048), views=2000, system_matrix="stored")
    with pytest.raises(SettingError, match=r"2000 views of 2048 × 2048 px have about \d+\.\d billion"):
        A(torch.zeros(A.image_shape))
    with pytest.raises(SettingError, match="take fewer views"):
        A.T(torch.zeros(A.measurement_shape))
    monkeypatch.setattr("padis_gui.core.physics.projector.free_memory_mb", lambda device: 1.0)
    A = scanner(beam, (64, 64), views=20)
    with pytest.raises(SettingError, match=r"20 views of 64 × 64 px need about .* GiB are free on the CPU"):
        A(torch.zeros(A.image_shape))


def test_back_projection_needs_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    A = scanner("fan", (64, 64), views=60)
    y = A(marked(64))
    monkeypatch.setattr("padis_gui.core.physics.projector.free_memory_mb", lambda device: 0.0)
    again = scanner("fan", (64, 64), views=60)
    assert torch.equal(again.pinv(y), A.pinv(y))


@both_beams
@pytest.mark.parametrize("shape", [(2048, 2048), (64, 2048), (2048, 100)])
def test_large_images(beam: str, shape: tuple[int, int]) -> None:
    """A detector that sees a part of them keeps this short."""
    A = scanner(beam, shape, angles=[20], bins=64, bin_width=1.0)
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    y = torch.rand(A.measurement_shape, generator=torch.Generator().manual_seed(1))
    left, right = float((A(x) * y).sum().double()), float((x * A.T(y)).sum().double())
    assert left == pytest.approx(right, rel=1e-4)
    assert A.pinv(y).shape == x.shape


@both_beams
@pytest.mark.parametrize(
    "values",
    [
        {"views": 7},
        {"angles": [0, 30, 45, 60, 90, 135, 180, 270, 12.3], "bins": 61, "bin_width": 1.0},
        {"views": 9, "bins": 75, "bin_width": 2.3, "centre": 3.7, "turn": "clockwise"},
    ],
)
def test_a_matrix_is_that_of_whole_views_wherever_it_is_cut(
    beam: str, values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: ASTRA's own rows, and scipy's transpose of them."""
    shape = (50, 37)
    A = scanner(beam, shape, **values)
    expected = astra_rows(A.geometry, shape, A.pixel_size)
    for at_once in (1, 900, 2**18):
        monkeypatch.setattr(projector, "_ENTRIES_AT_ONCE", at_once)
        monkeypatch.setattr(projector, "_ENTRIES_SORTED", at_once)
        made = scanner(beam, shape, **values)._matrices
        for found, wanted in zip(made, (expected, expected.T.tocsr()), strict=True):
            assert np.array_equal(found.crow_indices().numpy(), wanted.indptr)
            assert np.array_equal(found.col_indices().numpy(), wanted.indices)
            assert np.array_equal(found.values().numpy(), wanted.data)


def astra_rows(geometry: Geometry, shape: tuple[int, int], scale: float) -> Any:
    """The matrix of the views as ASTRA makes them, each with its whole detector."""
    import astra
    from scipy.sparse import csr_matrix

    first, end = geometry.within(geometry.reach(shape))
    rays = projector.rays_a_bin(geometry)
    seen = geometry.part(first, end).finer(rays)
    name, kernel = (
        ("parallel_vec", "linear") if geometry.beam == "parallel" else ("fanflat_vec", "line_fanflat")
    )
    detector = astra.create_proj_geom(name, seen.bins, seen.vectors)
    made = astra.create_projector(kernel, detector, astra.create_vol_geom(*shape))
    number = astra.projector.matrix(made)
    whole = astra.matrix.get(number)
    astra.matrix.delete(number)
    astra.projector.delete(made)
    if rays > 1:
        mean = (whole.data / rays, whole.indices, whole.indptr[::rays])
        whole = csr_matrix(mean, shape=(whole.shape[0] // rays, whole.shape[1]))
        whole.sum_duplicates()
    lengths = np.zeros((geometry.views, geometry.bins), dtype=np.int64)
    lengths[:, first:end] = np.diff(whole.indptr).reshape(geometry.views, -1)
    starts = np.concatenate([[0], lengths.ravel().cumsum()])
    values = (whole.data * scale).astype(np.float32)
    return csr_matrix((values, whole.indices, starts), shape=(lengths.size, math.prod(shape)))


MEASURED: list[dict[str, object]] = [
    {"views": 9},
    {"angles": [0, 30, 45, 60, 90, 135, 180, 270, 12.3], "bins": 61, "bin_width": 1.0},
    {"views": 7, "bins": 33, "bin_width": 3.1, "centre": 5.7, "turn": "clockwise", "pixel_size": 0.3},
    {"views": 5, "bins": 40, "bin_width": 0.6, "centre": -15, "start": 77},
]


@both_beams
@pytest.mark.parametrize("values", MEASURED)
@pytest.mark.parametrize("astra_is_here", [True, False])
def test_matrix_free_products_are_those_of_the_matrix(
    beam: str, values: dict[str, object], astra_is_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each is the transpose of the other."""
    if not astra_is_here:
        monkeypatch.setattr(projector, "find_spec", lambda name: None)
    monkeypatch.setattr(projector, "_ENTRIES_PROJECTED", 9000)  # so that there are several parts
    shape = (50, 37)
    stored, free = (scanner(beam, shape, **values, system_matrix=way) for way in ("stored", "matrix-free"))
    x = torch.rand(stored.image_shape, generator=torch.Generator().manual_seed(0))
    y = torch.rand(stored.measurement_shape, generator=torch.Generator().manual_seed(1))
    for found, wanted in ((free(x), stored(x)), (free.T(y), stored.T(y))):
        assert float((found - wanted).norm()) < 1e-5 * float(wanted.norm())
    left, right = float((free(x).double() * y).sum()), float((x * free.T(y).double()).sum())
    assert left == pytest.approx(right, rel=1e-5)
    assert free.norm == pytest.approx(stored.norm, rel=0.02)
    assert "_matrices" not in vars(free)


@both_beams
def test_matrix_free_bits_do_not_depend_on_threads(beam: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "_ENTRIES_PROJECTED", 9000)
    A = scanner(beam, (50, 37), views=20, system_matrix="matrix-free")
    x = torch.rand(A.image_shape, generator=torch.Generator().manual_seed(0))
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append((A(x), A.T(A(x))))
    finally:
        torch.set_num_threads(before)
    for forward, back in found[1:]:
        assert torch.equal(forward, found[0][0])
        assert torch.equal(back, found[0][1])


@both_beams
def test_a_matrix_free_product_is_interrupted_between_its_parts(
    beam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves no thread behind."""
    monkeypatch.setattr(projector, "_ENTRIES_PROJECTED", 9000)
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise Interrupted

    A = scanner(beam, (50, 37), views=20, system_matrix="matrix-free")
    before = set(threading.enumerate())
    asking = A.interrupted_by(check)
    for product, shape in ((asking, A.image_shape), (asking.T, A.measurement_shape)):
        asked.clear()
        with pytest.raises(Interrupted):
            product(torch.ones(shape))
        assert len(asked) == 3
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("settings_type", [ParallelBeamSettings, FanBeamSettings])
def test_a_matrix_is_stored_where_it_is_small_or_wanted(settings_type: type[ScannerSettings]) -> None:
    small, large = (128, 128), (1024, 1024)
    found = {
        (way, shape): make(settings_type, {"views": 720, "system_matrix": way}).stored_entries(shape)
        for way in ("auto", "stored", "matrix-free")
        for shape in (small, large)
    }
    settings = make(settings_type, {"views": 720})
    for shape in (small, large):
        assert found["stored", shape] == settings.entries(shape)
        assert found["matrix-free", shape] == 0
    assert found["auto", small] == settings.entries(small)
    assert found["auto", large] == 0
    assert 16 * settings.entries(large) > 4 * 2**30 > 16 * settings.entries(small)
    assert as_before(settings_type, {"views": 720})["system_matrix"] == "auto"


def test_a_scan_is_reconstructed_where_there_is_no_astra() -> None:
    """It has no wheels for some systems."""
    code = (
        "import sys; sys.modules['astra'] = None\n"
        "import torch\n"
        "from padis_gui.core.physics.scanner import FanBeamCT, FanBeamSettings\n"
        "for way in ('stored', 'matrix-free'):\n"
        "    A = FanBeamCT.of((1, 32, 32), FanBeamSettings(views=9, system_matrix=way), torch.device('cpu'))\n"
        "    print(float(A.pinv(A(torch.ones(1, 32, 32))).mean()))\n"
    )
    # a module that is None is found by nobody
    stored, free = map(float, run_afresh(code).split())
    assert stored == pytest.approx(free, rel=1e-5)


@both_beams
def test_long_work_in_parts_has_the_bits_of_the_whole(beam: str, monkeypatch: pytest.MonkeyPatch) -> None:
    A = scanner(beam, (60, 90), views=40)
    x = torch.rand(A.image_shape, generator=torch.Generator().manual_seed(0))
    y = A(x)
    back, fbp = A.T(y), A.pinv(y)
    monkeypatch.setattr(scanner_module, "_PRODUCT_AT_ONCE", 100_000)
    monkeypatch.setattr(scanner_module, "_PIXELS_AT_ONCE", 500)
    monkeypatch.setattr(scanner_module, "_VIEWS_WEIGHTED", 7)
    checks: list[None] = []
    watch = Watch(lambda: checks.append(None))
    assert torch.equal(A.measured(x, watch), y)
    assert len(checks) >= A._matrices[0]._nnz() // 100_000
    assert torch.equal(A.transposed(y, watch), back)
    assert torch.equal(scanner(beam, (60, 90), views=40).pinv(y, watch), fbp)


def test_photons_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    clean, settings = torch.rand(1, 30, 50), ParallelBeamSettings(photons=1e3)
    whole, _ = settings.noisy(clean, torch.Generator().manual_seed(3))
    monkeypatch.setattr("padis_gui.core.physics.settings._COUNTED_AT_ONCE", 64)
    assert torch.equal(settings.noisy(clean, torch.Generator().manual_seed(3))[0], whole)


# -- noise ------------------------------------------------------------------------------------------------


def clean_and(settings: ScannerSettings) -> Tensor:
    """The clean sinogram of a phantom as these settings see it."""
    A = scanner("parallel", (64, 64), views=30, bins=96, pixel_size=settings.pixel_size)
    return A(phantom(64)[None])


@pytest.mark.parametrize(
    "values",
    [
        {"noise": 0.03},
        {"photons": 1e5},
        {"photons": 3e3},
        {"photons": 1e4, "noise": 0.02},
        {"photons": 500.0},
        {"noise": 0.03, "noise_correlation": 2.0},
        {"photons": 3e3, "noise_correlation": 1.5},
        {"gain": 0.02, "noise": 0.03},
        {"gain": 0.02, "noise": 0.01, "photons": 1e4, "noise_correlation": 1.0},
    ],
)
@pytest.mark.parametrize("pixel_size", [40 / 256, 1.0])
def test_the_stated_deviation_is_that_of_the_noise(values: dict[str, float], pixel_size: float) -> None:
    settings = ParallelBeamSettings(pixel_size=pixel_size, **values)
    clean = clean_and(settings)
    noisy, stated = settings.noisy(clean, torch.Generator().manual_seed(0))
    assert float((noisy - clean).square().mean().sqrt()) == pytest.approx(stated, rel=0.1)
    assert abs(float((noisy - clean).mean())) < 0.1 * stated
    assert settings.is_noisy


def test_many_photons_approach_the_clean_sinogram() -> None:
    errors = []
    for photons in (1e3, 1e5, 1e7, 1e9):
        settings = FanBeamSettings(photons=photons)
        clean = clean_and(settings)
        errors.append(off(settings.noisy(clean, torch.Generator().manual_seed(0))[0], clean))
    assert errors[-1] < 1e-4
    # a hundred times as many photons, a tenth of the noise
    ratios = [first / second for first, second in itertools.pairwise(errors)]
    assert ratios == pytest.approx([10] * 3, rel=0.1)


def test_noise_is_fixed_by_the_generator() -> None:
    settings = ParallelBeamSettings(photons=1e4, noise=0.01)
    clean = clean_and(settings)
    first, second, other = (settings.noisy(clean, torch.Generator().manual_seed(s))[0] for s in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_gain_stays_through_all_views() -> None:
    """The rings' offsets are the same in every view, as large as is said, and whatever else is drawn stays as it was."""
    clean = torch.rand(1, 40, 4000)
    ringed, stated = ParallelBeamSettings(gain=0.02).noisy(clean, torch.Generator().manual_seed(0))
    offsets = ringed - clean
    torch.testing.assert_close(offsets, offsets[:, :1].expand_as(offsets), rtol=1e-5, atol=1e-6)
    wanted = 0.02 * float(clean.square().mean().sqrt())
    assert stated == pytest.approx(wanted)
    assert float(offsets[0, 0].std()) == pytest.approx(wanted, rel=0.05)
    noisy, _ = ParallelBeamSettings(noise=0.01).noisy(clean, torch.Generator().manual_seed(0))
    both, _ = ParallelBeamSettings(noise=0.01, gain=0.02).noisy(clean, torch.Generator().manual_seed(0))
    torch.testing.assert_close(both - noisy, offsets, rtol=1e-3, atol=1e-6)


def test_a_gain_is_a_factor_of_the_photons() -> None:
    """With so many photons that counting adds nothing, the counts are g times those without a gain."""
    clean, photons = torch.rand(1, 20, 300), 1e12
    plain = ParallelBeamSettings(photons=photons)
    ringed = ParallelBeamSettings(photons=photons, gain=0.05)
    (without, _), (having, _) = (s.noisy(clean, torch.Generator().manual_seed(0)) for s in (plain, ringed))
    ratio = torch.exp((plain.absorption / plain.length_of_a_pixel) * (without - having).double())
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert float(ratio.std()) > 0.005


@pytest.mark.parametrize("length", [1.0, 2.0, 5.0])
def test_noise_is_correlated_along_the_detector_as_it_is_said(length: float) -> None:
    """exp(-d^2 / (4 length^2)) between bins d apart, nothing between views, and as strong as independent noise."""
    clean = torch.ones(1, 400, 500)
    settings = ParallelBeamSettings(noise=1.0, noise_correlation=length)
    noise = (settings.noisy(clean, torch.Generator().manual_seed(0))[0] - clean)[0].double()
    assert float(noise.square().mean()) == pytest.approx(1.0, abs=0.03)
    for apart in range(1, 8):
        found = float((noise * noise.roll(apart, dims=1)).mean())
        assert found == pytest.approx(math.exp(-(apart**2) / (4 * length**2)), abs=0.03)
    assert abs(float((noise[1:] * noise[:-1]).mean())) < 0.03


@pytest.mark.parametrize("values", [{}, {"noise": 0.03}, {"noise": 0.02, "photons": 1e4}])
def test_without_a_gain_and_a_correlation_the_noise_is_what_it_was(values: dict[str, float]) -> None:
    """Bit for bit, as recipes of before need it."""
    settings, clean = ParallelBeamSettings(**values), torch.rand(1, 30, 50)
    rng = torch.Generator().manual_seed(5)
    deviation = settings.noise * float(clean.square().mean().sqrt())
    measured, stated = clean + deviation * torch.randn(clean.shape, generator=rng), deviation
    if settings.photons is not None:
        scale = settings.absorption / settings.length_of_a_pixel
        counts = torch.poisson(settings.photons * torch.exp(-scale * measured.double()), generator=rng).clamp(
            min=1
        )
        measured = (-torch.log(counts / settings.photons) / scale).float()
        stated = float((deviation**2 + (float((1 / counts).mean().sqrt()) / scale) ** 2) ** 0.5)
    found = settings.noisy(clean, torch.Generator().manual_seed(5))
    assert torch.equal(found[0], measured)
    assert found[1] == stated


def test_what_is_absorbed_does_not_depend_on_the_unit_of_length() -> None:
    """The same object on pixels of another size: the same photons are counted."""
    found = []
    for pixel_size in (40 / 256, 2.5):
        settings = FanBeamSettings(photons=1e4, pixel_size=pixel_size)
        noisy, stated = settings.noisy(clean_and(settings), torch.Generator().manual_seed(0))
        found.append((noisy / pixel_size, stated / pixel_size))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-3, atol=1e-3)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-3)


# -- real scans -------------------------------------------------------------------------------------------


def helsinki(shared: Path) -> tuple[Tensor, Tensor, dict[str, object]]:
    """Sinogram (1, 721, 560), its published FBP (1, 512, 512) in 1/px, and the geometry's settings."""
    from scipy.io import loadmat

    folder = shared / "data" / "htc2022"
    scan = loadmat(folder / "htc2022_ta_full.mat", squeeze_me=True, struct_as_record=False)["CtDataFull"]
    published = loadmat(folder / "htc2022_ta_full_recon_fbp.mat", squeeze_me=True)["reconFullFbp"]
    told = scan.parameters
    values = {
        "angles": tuple(told.angles.tolist()), "lengths": "mm", "bins": told.numDetectorsPost,
        "bin_width": told.pixelSizePost, "pixel_size": told.effectivePixelSizePost,
        "source_distance": told.distanceSourceOrigin, "fbp_filter": "ram-lak",
        "detector_distance": told.distanceSourceDetector - told.distanceSourceOrigin,
    }  # fmt: skip
    return torch.from_numpy(scan.sinogram).float()[None], torch.from_numpy(published).float()[None], values


def correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's r."""
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


def test_fbp_of_a_real_fan_beam_scan_is_the_published_one(shared: Path) -> None:
    """Its middle part at full resolution; the value too: the published one is in 1/px, ours in 1/mm."""
    sinogram, published, values = helsinki(shared)
    published = published[:, 176:336, 176:336]
    A = scanner("fan", (160, 160), **values)
    found = A.pinv(sinogram)
    assert correlation(found, published) > 0.999
    assert float(found.mean() * A.pixel_size) == pytest.approx(float(published.mean()), rel=0.01)
    assert correlation(A.pinv(sinogram.roll(3, 2)), published) < 0.99


def test_a_real_fan_beam_scan_is_what_the_matrix_predicts(shared: Path) -> None:
    sinogram, published, values = helsinki(shared)
    views = slice(0, 720, 180)
    A = scanner("fan", (512, 512), **values | {"angles": values["angles"][views]})
    predicted = A(published / A.pixel_size)
    assert off(predicted, sinogram[:, views]) < 0.06
    assert off(predicted.flip(2), sinogram[:, views]) > 0.1


def test_a_real_parallel_scan_is_sharpest_around_its_centre_of_rotation(shared: Path) -> None:
    """The axis is at column 295.5 of 640; around another one edges double, and air gets negative."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(shared / "data" / "tooth" / "tooth.h5") as file:
        data, flats, darks = (
            torch.from_numpy(file[f"exchange/{name}"][:, 0]).double()
            for name in ("data", "data_white", "data_dark")
        )
        angles = tuple(file["exchange/theta"][:].tolist())
    dark = darks.mean(0)
    transmission = (data - dark) / (flats.mean(0) - dark)
    sinogram = -transmission.clamp(min=1e-4).log()[None].float()
    details, negative = {}, {}
    for centre in (-24 - 12, -24, -24 + 12, 0):  # 295.5 is 24 columns before the middle, 319.5
        A = scanner(
            "parallel", (160, 160), angles=angles, bins=640, bin_width=0.5, centre=centre, pixel_size=1
        )
        found = A.pinv(sinogram)
        details[centre] = float(found.diff(dim=1).square().mean() + found.diff(dim=2).square().mean())
        negative[centre] = float(found.clamp(max=0).square().mean())
    assert details[-24] > 1.05 * details[0]
    assert min(negative, key=negative.__getitem__) == -24
    assert negative[0] > 3 * negative[-24]
