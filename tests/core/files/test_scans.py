"""Real measurements: every layout gives the same slice, reductions agree with the whole, scales are undone."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.read import relative_noise
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.problem import as_measured, scan_settings
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.settings.errors import InputError, SettingError
from tests.scan_files import (
    ABSORBS,
    DETECTOR,
    SIZE,
    SOURCE,
    WIDTH,
    Truth,
    fan,
    parallel,
    write_exchange,
    write_htc,
    write_nxtomo,
)
from tests.tiny import phantom

CPU = torch.device("cpu")


def read(path: Path, page: int = 0, **reading: object) -> Image:
    return read_image(path, page, ReadingSettings(**{"image_size": SIZE} | reading))


def correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def truth_on(image: Image) -> NDArray[np.float32]:
    """The phantom of 64 mm, in 1/mm, on the grid of an image."""
    assert image.spacing is not None
    pitch = image.spacing[0]
    at = (np.arange(image.shape[0]) - (image.shape[0] - 1) / 2) * pitch + (SIZE - 1) / 2
    index = np.round(at).astype(int)
    inside = (index >= 0) & (index < SIZE)
    index = index.clip(0, SIZE - 1)
    return ABSORBS * phantom(SIZE).numpy()[np.ix_(index, index)] * np.outer(inside, inside)


# -- layouts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["htc", "exchange", "nxtomo"])
def test_each_layout_gives_the_phantom_in_its_unit(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "scan"
    if layout == "htc":
        image = read(write_htc(path.with_suffix(".mat"), fan()))
    elif layout == "exchange":
        image = read(write_exchange(path.with_suffix(".h5"), parallel()))
    else:
        image = read(write_nxtomo(path.with_suffix(".nxs"), parallel()))
    measured = image.measured
    assert measured is not None
    assert measured.physics == ("ct-fan" if layout == "htc" else "ct-parallel")
    assert image.unit == "1/mm"
    assert image.pages == (1 if layout == "htc" else 3)
    expected = truth_on(image)
    assert correlation(image.pixels[0], expected) > 0.93
    body = np.isclose(expected, 0.5 * ABSORBS)
    assert float(np.median(image.pixels[0][body])) == pytest.approx(0.5 * ABSORBS, rel=0.05)
    # the physics that the file states predicts what it holds
    settings = scan_settings(measured)
    operator = find_physics(measured.physics).make(image.pixels.shape, settings, CPU)
    y = torch.from_numpy(measured.values)
    assert float((operator(torch.from_numpy(expected[None])) - y).norm() / y.norm()) < 0.06


@pytest.mark.parametrize("write", [write_exchange, write_nxtomo])
def test_rows_are_pages_and_only_theirs_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    path = write(tmp_path / "a.h5", parallel(), rows=4)
    first = read(path).measured
    asked = []
    original = h5py.Dataset.__getitem__

    def spy(self: h5py.Dataset, *index: object) -> object:
        found = original(self, *index)
        asked.append(np.size(found))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(h5py.Dataset, "__getitem__", spy)
        third = read(path, 2).measured
    assert first is not None
    assert third is not None
    np.testing.assert_allclose(third.values, first.values / 3, atol=2e-5)
    assert max(asked) <= (first.values.shape[1] + 6) * first.values.shape[2]  # a row of every frame
    with pytest.raises(InputError, match="rows 0 to 3"):
        read(path, 4)


def test_a_scan_may_be_opened_as_a_plain_image(tmp_path: Path) -> None:
    truth = fan()
    image = read(write_htc(tmp_path / "a.mat", truth), role="image")
    assert image.measured is None
    np.testing.assert_array_equal(image.pixels[0], truth.sinogram)


def test_one_of_several_scans_in_a_file(tmp_path: Path) -> None:
    write_nxtomo(tmp_path / "a.nxs", parallel(), entry="a")
    write_nxtomo(tmp_path / "a.nxs", parallel(views=40), entry="b")
    first, second = read(tmp_path / "a.nxs").measured, read(tmp_path / "a.nxs", dataset="b").measured
    assert first is not None
    assert second is not None
    assert (first.values.shape[1], second.values.shape[1]) == (90, 40)
    assert any("Of 2 scans" in note for note in first.notes)


@pytest.mark.parametrize(
    ("units", "scale"), [("degrees", 1.0), ("rad", np.pi / 180), (None, np.pi / 180), (None, 1.0)]
)
def test_angles_in_any_unit(tmp_path: Path, units: str | None, scale: float) -> None:
    truth = parallel()
    image = read(write_exchange(tmp_path / "a.h5", truth, units=units, theta=truth.angles * scale))
    assert image.measured is not None
    np.testing.assert_allclose(image.measured.problem["angles"], truth.angles, atol=1e-9)
    assert any("radians" in note for note in image.measured.notes) == (units is None and scale < 1)


def test_a_structure_saved_by_a_later_matlab(tmp_path: Path) -> None:
    truth = fan()
    first = read(write_htc(tmp_path / "a.mat", truth))
    with h5py.File(tmp_path / "b.mat", "w", userblock_size=512) as file:
        file["CtDataFull/sinogram"] = truth.sinogram.T.astype(np.float64)
        for name, value in {
            "distanceSourceOrigin": SOURCE, "distanceSourceDetector": SOURCE + DETECTOR, "pixelSizePost": WIDTH,
        }.items():  # fmt: skip
            file[f"CtDataFull/parameters/{name}"] = np.full((1, 1), value)
        file["CtDataFull/parameters/angles"] = truth.angles[:, None]
    with (tmp_path / "b.mat").open("r+b") as block:
        block.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    second = read(tmp_path / "b.mat")
    np.testing.assert_array_equal(second.pixels, first.pixels)
    assert first.measured is not None
    assert second.measured is not None
    assert second.measured.problem == first.measured.problem


# -- counts -----------------------------------------------------------------------------------------------


def test_dead_bins_dark_readings_and_drift_are_mended_and_said(tmp_path: Path) -> None:
    truth = parallel()
    clean = read(write_exchange(tmp_path / "clean.h5", truth, rows=1)).measured
    with h5py.File(tmp_path / "clean.h5") as file:
        data, white = file["exchange/data"][:], file["exchange/data_white"][:]
    dark = 100.0
    white[..., 50] = dark  # dead
    data[..., 50] = dark
    data[3, 0, 40] = 90  # below the dark
    data = dark + (data - dark) * np.linspace(1.0, 1.03, len(data))[:, None, None]
    image = read(write_exchange(tmp_path / "bad.h5", truth, rows=1, data=data, data_white=white))
    assert clean is not None
    assert not any("dead" in note or "drift" in note or "dark" in note for note in clean.notes)
    assert image.measured is not None
    notes = " ".join(image.measured.notes)
    assert "1 of 96 detector bins are dead" in notes
    assert "half a count" in notes
    assert "drift of up to" in notes
    mended = image.measured.values[0]
    assert np.isfinite(mended).all()
    mended[3, 40] = clean.values[0, 3, 40]
    others = np.arange(96) != 50
    np.testing.assert_allclose(mended[:, others], clean.values[0][:, others], atol=2e-3)
    assert np.abs(mended[:, 50] - clean.values[0][:, 50]).max() < 0.1 * clean.values.max()


def test_an_object_that_leaves_the_field_of_view_is_not_normalised_by_it(tmp_path: Path) -> None:
    truth = parallel(bins=40)
    image = read(write_exchange(tmp_path / "a.h5", truth, rows=1))
    assert image.measured is not None
    np.testing.assert_allclose(image.measured.values[0], truth.sinogram, atol=1e-4)


# -- the axis of rotation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [-7.3, 0.0, 0.45, 5.75])
@pytest.mark.parametrize(
    ("beam", "arc", "views"),
    [("parallel", 180, 90), ("parallel", 360, 60), ("parallel", 120, 60), ("fan", 360, 60)],
)
def test_the_axis_is_found(tmp_path: Path, beam: str, arc: float, views: int, centre: float) -> None:
    if beam == "parallel":
        image = read(write_exchange(tmp_path / "a.h5", parallel(views, arc, centre=centre), rows=1))
    else:
        image = read(write_htc(tmp_path / "a.mat", fan(views, arc, centre=centre)))
    assert image.measured is not None
    assert image.measured.problem["centre"] == pytest.approx(centre, abs=0.25)
    assert any(note.startswith("The axis of rotation was found") for note in image.measured.notes)


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_the_axis_is_found_in_noise(tmp_path: Path, noise: float) -> None:
    rng = np.random.default_rng(1)

    def noisy(truth: Truth) -> Truth:
        drawn = noise * truth.sinogram.max() * rng.standard_normal(truth.sinogram.shape)
        return Truth((truth.sinogram + drawn).astype(np.float32), truth.angles, truth.centre)

    images = (
        read(write_exchange(tmp_path / "a.h5", noisy(parallel(centre=3.3)), rows=1)),
        read(write_htc(tmp_path / "a.mat", noisy(fan(centre=3.3)))),
    )
    for image in images:
        assert image.measured is not None
        assert image.measured.problem["centre"] == pytest.approx(3.3, abs=0.5)


@pytest.mark.parametrize(("bins", "centre"), [(40, 2.3), (56, 14.0)])
@pytest.mark.parametrize("arc", [180, 360])
def test_the_axis_of_an_object_wider_than_the_detector(
    tmp_path: Path, bins: int, centre: float, arc: int
) -> None:
    image = read(write_exchange(tmp_path / "a.h5", parallel(arc // 2, arc, bins=bins, centre=centre), rows=1))
    assert image.measured is not None
    assert image.measured.problem["centre"] == pytest.approx(centre, abs=0.25)


def test_where_the_scan_does_not_tell_the_middle_is_taken_and_said(tmp_path: Path) -> None:
    image = read(write_htc(tmp_path / "a.mat", fan(40, 90)))
    assert image.measured is not None
    assert image.measured.problem["centre"] == 0
    assert any("set the centre of rotation" in note for note in image.measured.notes)


# -- reduction --------------------------------------------------------------------------------------------


def test_reduced_scans_agree_with_the_whole(tmp_path: Path) -> None:
    path = write_htc(tmp_path / "a.mat", fan(views=181, arc=362, bins=131, centre=2.5))
    whole = read(path)
    for reading in ({"take_views": 60}, {"binning": 2}, {"binning": 3, "take_views": 90}):
        reduced = read(path, **reading)
        assert reduced.window == whole.window
        assert reduced.spacing == whole.spacing
        assert correlation(reduced.pixels, whole.pixels) > 0.97
    # a finer image is the same picture: the mean of its pixels
    finer = read(path, image_size=2 * SIZE).pixels[0].reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
    assert correlation(finer, whole.pixels[0]) > 0.99
    # bins binned by the reader are those of a detector that has such bins
    coarse = read(path, binning=2).measured
    assert coarse is not None
    settings = scan_settings(coarse)
    operator = find_physics("ct-fan").make(whole.pixels.shape, settings, CPU)
    y = torch.from_numpy(coarse.values)
    assert float((operator(torch.from_numpy(truth_on(whole)[None])) - y).norm() / y.norm()) < 0.06


def test_a_closed_turn_is_not_taken_twice(tmp_path: Path) -> None:
    angles = np.linspace(0, 360, 181)
    truth = fan(views=180)
    closed = Truth(np.concatenate([truth.sinogram, truth.sinogram[:1]]), angles, 0.0)
    path = write_htc(tmp_path / "a.mat", closed)
    for views in (4, 60, 180):
        taken = np.array(read(path, take_views=views).measured.problem["angles"])
        np.testing.assert_allclose(taken, np.arange(views) * 360 / views)
    assert len(read(path).measured.problem["angles"]) == 181
    np.testing.assert_allclose(
        read(path, angle_from=90, angle_to=180).measured.problem["angles"], np.arange(90, 180, 2)
    )
    limited = read(path, angle_from=90, angle_to=181, take_views=4).measured.problem["angles"]
    np.testing.assert_allclose(limited, [90, 120, 150, 180])
    assert len(limited) == 4


def test_half_a_turn_of_a_parallel_beam_and_a_whole_one(tmp_path: Path) -> None:
    angles = np.linspace(0, 180, 91)
    truth = parallel(90)
    closed = Truth(np.concatenate([truth.sinogram, truth.sinogram[:1, ::-1]]), angles, 0.0)
    path = write_exchange(tmp_path / "half.h5", closed, rows=1)
    np.testing.assert_allclose(read(path, take_views=9).measured.problem["angles"], np.arange(9) * 20)
    path = write_exchange(tmp_path / "whole.h5", parallel(120, 360), rows=1)
    for views in (15, 20):  # no two of them see the same rays
        taken = np.sort(np.mod(read(path, take_views=views).measured.problem["angles"], 180))
        assert np.diff(taken).min() > 0.6 * 180 / views


# -- scaling ----------------------------------------------------------------------------------------------


def test_the_scaling_holds_the_densest_and_is_undone(tmp_path: Path) -> None:
    path = write_htc(tmp_path / "a.mat", fan())
    image = read(path)
    low, high = image.window
    assert low == 0
    assert 0.95 * ABSORBS <= high <= 1.5 * ABSORBS
    x = torch.from_numpy((image.pixels - low) / np.float32(high - low))
    np.testing.assert_allclose(image.from_unit(x), image.pixels, atol=1e-7)
    chosen = read(path, scale_low=0.001, scale_high=0.05)
    assert chosen.window == (0.001, 0.05)
    for one in (image, chosen):  # the same attenuation solves both problems
        settings = scan_settings(one.measured)
        operator = find_physics("ct-fan").make(one.pixels.shape, settings, CPU)
        problem = as_measured(operator, one, settings)
        x = torch.from_numpy((truth_on(one)[None] - one.window[0]) / (one.window[1] - one.window[0])).float()
        assert float((operator(x) - problem.measurement).norm() / problem.measurement.norm()) < 0.07
    with pytest.raises(SettingError, match="raise white"):
        read(path, scale_high=-1)


def test_a_little_metal_does_not_darken_the_rest(tmp_path: Path) -> None:
    from padis_gui.core.physics.geometry import Geometry
    from padis_gui.core.physics.scanner import FanBeamCT

    picture = ABSORBS * phantom(SIZE)[None]
    picture[:, 40:42, 30:32] = 40 * ABSORBS
    truth = fan()
    geometry = Geometry(
        beam="fan", angles=truth.angles, bins=128, bin_width=WIDTH, source_distance=SOURCE,
        detector_distance=DETECTOR, unit="pixels",
    )  # fmt: skip
    A = FanBeamCT((1, SIZE, SIZE), geometry, pixel_size=1.0)
    image = read(write_htc(tmp_path / "a.mat", Truth(A(picture)[0].numpy(), truth.angles, 0.0)))
    assert image.window[1] < 4.5 * ABSORBS


def test_noise_is_estimated_and_its_double_assumed(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    truth = fan(views=180)
    strength = float(np.sqrt(np.mean(truth.sinogram**2)))
    for wanted in (0.02, 0.05):
        noisy = (truth.sinogram + wanted * strength * rng.standard_normal(truth.sinogram.shape)).astype(
            np.float32
        )
        found = relative_noise(noisy)
        assert found == pytest.approx(wanted, rel=0.3)
        image = read(write_htc(tmp_path / "a.mat", Truth(noisy, truth.angles, 0.0)))
        assert image.measured.problem["noise"] == pytest.approx(2 * found, rel=0.05)
    assert relative_noise(np.zeros((20, 20), np.float32)) == 0


# -- real scans -------------------------------------------------------------------------------------------


def test_the_helsinki_scan_gives_the_supplied_reconstruction(shared: Path) -> None:
    """In our convention of angles it comes out unturned; the supplied one is in 1/px of 0.1483 mm."""
    folder = shared / "data" / "htc2022"
    supplied = read_image(folder / "htc2022_ta_full_recon_fbp.mat").pixels[0]
    image = read_image(folder / "htc2022_ta_full.mat")
    pitch = 0.2 * 410.66 / 553.74
    settings = scan_settings(image.measured).model_copy(update={"pixel_size": pitch, "fbp_filter": "ram-lak"})
    operator = find_physics("ct-fan").make((1, 512, 512), settings, CPU)
    found = operator.pinv(torch.from_numpy(image.measured.values))[0].numpy()
    assert correlation(found, supplied) > 0.999
    assert float(np.vdot(found, supplied) / np.vdot(supplied, supplied)) * pitch == pytest.approx(1, rel=0.01)
    assert image.unit == "1/mm"
    assert image.measured.problem["centre"] == pytest.approx(0, abs=0.5)
    assert 0.04 <= image.window[1] <= 0.05
    few = read_image(folder / "htc2022_ta_full.mat", 0, ReadingSettings(take_views=20, binning=2))
    assert few.measured.values.shape == (1, 20, 280)
    assert few.window == image.window


def test_the_tooth(shared: Path) -> None:
    image = read_image(shared / "data" / "tooth" / "tooth.h5", 1)
    assert image.pages == 2
    assert image.unit == "1/px"
    assert image.measured.physics == "ct-parallel"
    assert image.measured.problem["centre"] + 639 / 2 == pytest.approx(295.5, abs=1)
    assert image.measured.values.shape == (1, 181, 640)
    assert any("drift" in note for note in image.measured.notes)
