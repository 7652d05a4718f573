"""Scans as beamlines write them: packed, linked, stated instead of listed, with bad fields, beside the axis."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch

from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.centre import find_axis
from padis_gui.core.files.scans.scan import line_integrals
from padis_gui.core.physics.filtered_backprojection import (
    bins_beside,
    completed,
    displaced_weights,
    unseen_weights,
)
from padis_gui.core.physics.geometry import Beam, Geometry
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.scanner import FanBeamCT, ParallelBeamCT, Scanner
from padis_gui.core.settings.errors import InputError
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.solvers.registry import find_solver
from tests.gaussian import GaussianPrior, any_tiling
from tests.scan_files import fan, parallel, write_exchange, write_htc, write_nxtomo
from tests.tiny import phantom

_FILTERS = {
    "bitshuffle": hdf5plugin.Bitshuffle(cname="none"), "bitshuffle, LZ4": hdf5plugin.Bitshuffle(cname="lz4"),
    "Blosc": hdf5plugin.Blosc(), "Blosc2": hdf5plugin.Blosc2(), "LZ4": hdf5plugin.LZ4(), "Zstandard": hdf5plugin.Zstd(),
}  # fmt: skip


@pytest.mark.parametrize("packing", _FILTERS)
@pytest.mark.parametrize("layout", ["exchange", "nxtomo", "plain"])
def test_what_beamlines_pack_by_is_unpacked(tmp_path: Path, packing: str, layout: str) -> None:
    path, truth = tmp_path / "a.h5", parallel(views=30)
    where = "data"
    if layout == "exchange":
        write_exchange(path, truth)
        where = "exchange/data"
    elif layout == "nxtomo":
        write_nxtomo(path, truth)
        where = "entry/instrument/detector/data"
    else:
        with h5py.File(path, "w") as file:
            file["data"] = np.arange(2 * 40 * 30, dtype=np.float32).reshape(2, 40, 30)
    expected = read_image(path)
    with h5py.File(path, "a") as file:
        values = file[where][()]
        del file[where]
        file.create_dataset(where, data=values, chunks=(1, *values.shape[1:]), **_FILTERS[packing])
    found = read_image(path)
    assert np.array_equal(found.pixels, expected.pixels)


def _packed_by(path: Path, number: int, options: tuple[int, ...] = ()) -> None:
    """Chunks of zeros that say they went through a filter of that number."""
    with h5py.File(path, "w") as file:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((1, 32, 32))
        how.set_filter(number, h5py.h5z.FLAG_OPTIONAL, options)
        space = h5py.h5s.create_simple((2, 32, 32))
        data = h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, how)
        for page in range(2):
            data.write_direct_chunk((page, 0, 0), bytes(2048), 0)


@pytest.mark.parametrize("number", [32100, 40000, 65000])
def test_a_filter_that_is_not_here_is_named_and_nothing_is_called_damaged(
    tmp_path: Path, number: int
) -> None:
    _packed_by(tmp_path / "a.h5", number)
    with pytest.raises(InputError, match=f"filter {number}") as caught:
        read_image(tmp_path / "a.h5")
    assert "damaged" not in str(caught.value)


def test_numbers_that_their_filter_cannot_unpack_are_said_to_be_so(tmp_path: Path) -> None:
    _packed_by(tmp_path / "a.h5", 32008, (0, 2))
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_image(tmp_path / "a.h5")


@pytest.mark.parametrize("layout", ["exchange", "nxtomo"])
def test_frames_in_another_file_are_refused_by_that_name(tmp_path: Path, layout: str) -> None:
    truth, path = parallel(views=20), tmp_path / "a.h5"
    where = "exchange/data" if layout == "exchange" else "entry/instrument/detector/data"
    (write_exchange if layout == "exchange" else write_nxtomo)(path, truth)
    with h5py.File(path, "a") as file, h5py.File(tmp_path / "frames.h5", "w") as other:
        other["data"] = file[where][()]
        del file[where]
        file[where] = h5py.ExternalLink("frames.h5", "/data")
    with pytest.raises(InputError, match="link into another file"):
        read_image(path)


def _stating(path: Path, **stated: float) -> None:
    """As tomoscan does, below /process/acquisition."""
    folders = {"rotation": "rotation", "flat": "flat_fields", "dark": "dark_fields"}
    with h5py.File(path, "a") as file:
        for name, value in stated.items():
            file[f"process/acquisition/{folders[name.split('_')[0]]}/{name}"] = value


def test_angles_flats_and_darks_that_are_stated_stand_for_arrays(tmp_path: Path) -> None:
    truth = parallel(views=60)
    write_exchange(tmp_path / "whole.h5", truth)
    expected = read_image(tmp_path / "whole.h5")
    for missing, stated in (
        ("theta", {"rotation_start": 0.0, "rotation_step": 3.0}), ("data_white", {"flat_field_value": 20_000.0}),
        ("data_dark", {"dark_field_value": 100.0}),
    ):  # fmt: skip
        path = tmp_path / f"{missing}.h5"
        write_exchange(path, truth, leave_out=(missing,))
        _stating(path, **stated)
        found = read_image(path)
        assert np.abs(found.pixels - expected.pixels).max() < 1e-4 * np.abs(expected.pixels).max(), missing
    write_exchange(tmp_path / "still.h5", truth, leave_out=("theta",))
    _stating(tmp_path / "still.h5", rotation_start=10.0, rotation_step=0.0)
    with pytest.raises(InputError, match="angles"):
        read_image(tmp_path / "still.h5")


@pytest.mark.parametrize("shift", [-9.5, 0.0, 7.25])
def test_an_axis_that_is_stated_is_taken(tmp_path: Path, shift: float) -> None:
    path = tmp_path / "a.nxs"
    more: dict[str, Any] = {"instrument/detector/x_rotation_axis_pixel_position": shift}
    write_nxtomo(path, parallel(views=20, arc=40.0, bins=120, centre=shift), **more)
    image = read_image(path)
    assert image.measured is not None
    assert image.measured.problem["centre"] == pytest.approx(shift)
    assert any("states the axis" in note for note in image.measured.notes)


@pytest.mark.parametrize("image_key", [0, 3])
def test_frames_taken_for_alignment_are_left_out(tmp_path: Path, image_key: int) -> None:
    """ESRF's files call them projections in image_key, and -1 in image_key_control."""
    truth, where = parallel(views=40), "entry/instrument/detector"
    expected = read_image(write_nxtomo(tmp_path / "good.nxs", truth))
    path = write_nxtomo(tmp_path / "a.nxs", truth)
    with h5py.File(path, "a") as file:
        key = file[f"{where}/image_key"][()]
        data, angles = file[f"{where}/data"][()], file["entry/sample/rotation_angle"][()]
        for name in (f"{where}/image_key", f"{where}/data", "entry/sample/rotation_angle"):
            del file[name]
        file[f"{where}/image_key"] = np.append(key, [image_key] * 3)
        file[f"{where}/image_key_control"] = np.append(key, [-1] * 3)
        file[f"{where}/data"] = np.concatenate([data, data[-3:] * 0.5])
        file["entry/sample/rotation_angle"] = np.append(angles, [0.0, 90.0, 45.0])
        file["entry/sample/rotation_angle"].attrs["units"] = "degree"
    assert np.array_equal(read_image(path).pixels, expected.pixels)


@pytest.mark.parametrize("what", ["flat", "dark"])
@pytest.mark.parametrize("sides", ["one", "a bin"])
@pytest.mark.parametrize("place", ["exchange", "stated"])
def test_a_field_of_one_value_or_of_one_a_bin_is_for_all_rows(
    tmp_path: Path, what: str, sides: str, place: str
) -> None:
    truth = parallel(views=40)
    name, level = ("data_white", 20_000.0) if what == "flat" else ("data_dark", 100.0)
    by_bin = level * (np.ones(96) if sides == "one" else np.linspace(0.8, 1.2, 96))
    images = np.broadcast_to(by_bin, (3, 3, 96)).astype(np.float32)
    expected = read_image(write_exchange(tmp_path / "good.h5", truth, **{name: images}), 1)
    given = np.float32(level) if sides == "one" else by_bin.astype(np.float32)
    if place == "exchange":
        path = write_exchange(tmp_path / "a.h5", truth, **{name: given})
    else:
        path = write_exchange(tmp_path / "a.h5", truth, leave_out=(name,))
        with h5py.File(path, "a") as file:
            file[f"process/acquisition/{what}_fields/{what}_field_value"] = given
    found = read_image(path, 1)
    assert np.abs(found.pixels - expected.pixels).max() < 1e-4 * np.abs(expected.pixels).max()
    with h5py.File(path, "a") as file:
        place_of = (
            f"exchange/{name}"
            if place == "exchange"
            else f"process/acquisition/{what}_fields/{what}_field_value"
        )
        del file[place_of]
        file[place_of] = np.full(7, level)
    with pytest.raises(InputError, match=what):
        read_image(path, 1)


@pytest.mark.parametrize("part", ["exchange/data_white", "exchange/data_dark", "exchange/theta", "exchange"])
def test_no_part_of_a_scan_in_another_file_is_taken_for_missing(tmp_path: Path, part: str) -> None:
    path = write_exchange(tmp_path / "a.h5", parallel(views=20))
    with h5py.File(path, "a") as file, h5py.File(tmp_path / "other.h5", "w") as other:
        file.copy(part, other, "part")
        del file[part]
        file[part] = h5py.ExternalLink("other.h5", "/part")
    with pytest.raises(InputError, match="link into another file"):
        read_image(path)


@pytest.mark.parametrize("blank", [[3], [0, 19], list(range(2, 14))])
def test_views_without_a_beam_are_said(blank: list[int]) -> None:
    counts = 100.0 + 19_900.0 * np.exp(-parallel(views=20).sinogram)
    good = line_integrals("a", counts, np.full(96, 20_000.0), np.full(96, 100.0))
    assert not [note for note in good.notes if "blank" in note]
    counts[blank] = 100.0
    found = line_integrals("a", counts, np.full(96, 20_000.0), np.full(96, 100.0))
    (said,) = [note for note in found.notes if "blank" in note]
    assert said.startswith(f"{len(blank)} of 20 views")
    assert f"({blank[0] + 1}" in said


@pytest.mark.parametrize("angle", [0.0, 12.5])
@pytest.mark.parametrize("layout", ["exchange", "nxtomo", "nxtomo, not the flats", "htc", "beside"])
def test_angles_that_never_change_are_refused(tmp_path: Path, angle: float, layout: str) -> None:
    truth, still = parallel(views=20), np.full(20, angle)
    match layout:
        case "exchange":
            path = write_exchange(tmp_path / "a.h5", truth, theta=still)
        case "nxtomo" | "nxtomo, not the flats":
            apart = 90.0 if "not" in layout else 0.0
            angles = np.concatenate([still[:4] + apart, still, still[:2]])
            path = write_nxtomo(tmp_path / "a.nxs", truth, **{"sample/rotation_angle": angles})
        case "htc":
            path = write_htc(tmp_path / "a.mat", fan(views=20), angles=still)
        case _:
            path = tmp_path / "a.npy"
            np.save(path, truth.sinogram.astype(np.float32)[None])
            path.with_suffix(".json").write_text(
                f'{{"format": "padis-gui scan geometry", "version": 1, "beam": "parallel", "angles": {still.tolist()}}}'
            )
    with pytest.raises(InputError, match=rf"all 2[06] of {path.name} are {angle:g}"):
        read_image(path)


@pytest.mark.parametrize("images", [3, 5, 20])
@pytest.mark.parametrize(("what", "bad"), [("dark", 0.0), ("dark", 20_100.0), ("flat", 100.0), ("flat", 5e4)])
def test_one_bad_field_of_several_is_left_out_and_said(what: str, images: int, bad: float) -> None:
    rng = np.random.default_rng(images)
    truth = parallel(views=20).sinogram
    levels = {"dark": 100.0, "flat": 20_000.0}
    fields = {name: rng.normal(level, 3.0, (images, truth.shape[1])) for name, level in levels.items()}
    counts = 100.0 + 19_900.0 * np.exp(-truth)
    good = line_integrals("a", counts, fields["flat"], fields["dark"])
    assert not [note for note in good.notes if "left out" in note]
    fields[what][1] = bad
    found = line_integrals("a", counts, fields["flat"], fields["dark"])
    assert np.abs(found.values - good.values).max() < 0.01
    assert f"1 of {images} {what} fields is far from the others and was left out." in found.notes


def test_flats_of_a_beam_that_fades_are_all_taken() -> None:
    rng = np.random.default_rng(1)
    flats = rng.normal(np.linspace(20_000, 17_000, 20)[:, None], 30.0, (20, 96))
    found = line_integrals("a", np.full((4, 96), 1000.0), flats, np.full((5, 96), 100.0))
    assert not [note for note in found.notes if "left out" in note]


@pytest.mark.parametrize("images", [2**24 // 96 + 1, 10**6])
@pytest.mark.parametrize(
    "what", ["exchange/data_white", "exchange/data_dark", "flats of NXtomo", "darks of NXtomo"]
)
def test_fields_are_counted_before_they_are_read(tmp_path: Path, what: str, images: int) -> None:
    if "NXtomo" in what:
        path, images = tmp_path / "a.nxs", min(images, 250_000)
        key = np.repeat([0, 1, 2], [20, *((images, 1) if "flats" in what else (1, images))])
        write_nxtomo(
            path, parallel(views=20), leave_out=("instrument/detector/data",),
            **{"instrument/detector/image_key": key, "sample/rotation_angle": np.arange(len(key)) % 180.0},
        )  # fmt: skip
        where, shape = "entry/instrument/detector/data", (len(key), 3, 96)
    else:
        path = write_exchange(tmp_path / "a.h5", parallel(views=20), leave_out=(what.split("/")[1],))
        where, shape = what, (images, 3, 96)
    with h5py.File(path, "a") as file:
        file.create_dataset(where, shape, "u2", chunks=(1, 3, 96), compression="gzip")
    with pytest.raises(InputError, match=rf"declares {images}|at most 2\^25 readings"):
        read_image(path)


def test_what_a_row_declares_is_counted_before_it_is_read(tmp_path: Path) -> None:
    path = write_exchange(tmp_path / "a.h5", parallel(views=20), leave_out=("data", "theta"))
    with h5py.File(path, "a") as file:
        shape = (8192, 3, 4097)
        file.create_dataset("exchange/data", shape, "u2", chunks=(1, 3, 4097), compression="gzip")
        file["exchange/theta"] = np.linspace(0, 180, 8192)
    with pytest.raises(InputError, match=r"at most 2\^25 readings a row"):
        read_image(path)


# Half acquisition: a full turn by a detector beside the axis ------------------------------------------

_VIEWS = 240


def _beside(
    axis: float, bins: int, beam: Beam = "parallel", source: float = 150.0
) -> tuple[Scanner, torch.Tensor]:
    """A full turn, and what it measures; a fan beam's detector is as far from the axis as the source, its bins as wide."""
    fan = beam == "fan"
    geometry = Geometry(
        beam=beam, angles=np.arange(_VIEWS) * 360.0 / _VIEWS, arc=360.0, bins=bins, bin_width=2.0 if fan else 1.0,
        centre=axis - (bins - 1) / 2, unit="pixels",
        **({"source_distance": source, "detector_distance": source} if fan else {}),
    )  # fmt: skip
    A = (FanBeamCT if fan else ParallelBeamCT)((1, 64, 64), geometry, pixel_size=1.0)
    return A, A(phantom(64)[None])


def _error(A: Scanner, y: torch.Tensor) -> float:
    x, truth = A.pinv(y)[0], phantom(64)
    rows, columns = np.mgrid[-31.5:31.6, -31.5:31.6]
    inside = torch.from_numpy(np.hypot(rows, columns) < 30)
    return float((x - truth)[inside].norm() / truth[inside].norm())


@pytest.mark.parametrize("beam", ["parallel", "fan"])
@pytest.mark.parametrize(("axis", "bins"), [(8.0, 56), (12.5, 60), (47.0, 56), (4.0, 52)])
def test_half_acquisition_gives_what_a_whole_detector_does(axis: float, bins: int, beam: Beam) -> None:
    whole = _error(*_beside(47.5, 96, beam))
    assert _error(*_beside(axis, bins, beam)) < 1.1 * whole + 0.01
    assert displaced_weights(_beside(47.5, 96, beam)[0].geometry) is None


@pytest.mark.parametrize("source", [60.0, 120.0, 2000.0])
def test_half_acquisition_by_a_fan_beam_holds_for_every_distance(source: float) -> None:
    whole = _error(*_beside(47.5, 96, "fan", source))
    for axis, bins in ((8.0, 56), (20.0, 68), (47.0, 56)):
        assert _error(*_beside(axis, bins, "fan", source)) < 1.1 * whole + 0.01


@pytest.mark.parametrize("beam", ["parallel", "fan"])
@pytest.mark.parametrize(("axis", "bins"), [(8.0, 56), (12.5, 60), (47.0, 56)])
def test_both_readings_of_a_ray_add_up_to_one(axis: float, bins: int, beam: Beam) -> None:
    A, _ = _beside(axis, bins, beam)
    weights = displaced_weights(A.geometry)
    assert weights is not None
    positions = A.geometry.positions().numpy()
    for position, weight in zip(positions, weights.tolist(), strict=True):
        if positions.min() <= -position <= positions.max():
            again = np.interp(-position, positions, weights.numpy())
            assert weight + again == pytest.approx(1.0, abs=0.01)
        else:
            assert weight == pytest.approx(1.0)


def test_a_view_goes_on_smoothly_where_it_ends_in_the_object_and_not_where_it_ends_in_air() -> None:
    A, _ = _beside(12.5, 60)
    beside = bins_beside(A.geometry)
    rows = torch.ones(2, 60, dtype=torch.float64)
    found = completed(rows, beside)
    assert found.shape == (2, 60 + sum(beside))
    assert torch.equal(found[:, beside[0] : beside[0] + 60], rows)
    assert not found[:, : beside[0]].any()  # whose weights have come down to 0
    assert (found[0, beside[0] + 60 :].diff() < 0).all()
    rows[:, -8:] = 0
    assert not completed(rows, beside)[:, -beside[1] :].any()


@pytest.mark.parametrize("axis", [6.0, 15.3, 40.0, 79.5, 120.7, 152.0])
def test_the_axis_is_found_over_the_whole_detector(axis: float) -> None:
    bins = 160
    geometry = Geometry(
        beam="parallel", angles=np.arange(180) * 2.0, bins=bins, centre=axis - (bins - 1) / 2, unit="pixels"
    )
    A = ParallelBeamCT((1, 128, 128), geometry, pixel_size=0.02)
    values = A(phantom(128)[None])[0].numpy()
    found = find_axis(values, geometry)
    assert found is not None
    assert (bins - 1) / 2 + found.centre == pytest.approx(axis, abs=0.3)


# An axis near the detector's edge, or beyond it: next to no ray is measured twice -----------------------

# x, y, radius in bins, attenuation: an object that reaches from the axis over most of the detector
_DISCS = (
    (0.0, 0.0, 130.0, 0.01), (60.0, 25.0, 22.0, 0.02), (-50.0, -58.0, 14.0, -0.01), (-80.0, 50.0, 12.0, 0.03),
    (15.0, -8.0, 6.0, 0.02), (3.0, 90.0, 25.0, 0.01), (-5.0, 12.0, 4.0, -0.01),
)  # fmt: skip


def _line_integrals(axis: float, bins: int = 160, views: int = 180, discs: Any = _DISCS) -> np.ndarray:
    """Of discs, by their formula, over a full turn of a parallel beam; the axis is at this bin, which may not be there."""
    turn = (np.arange(views) * 2 * np.pi / views)[:, None]
    along = np.arange(bins)[None] - axis
    away = [(a, r, along - x * np.cos(turn) - y * np.sin(turn)) for x, y, r, a in discs]
    return sum(2 * a * np.sqrt(np.maximum(r**2 - d**2, 0)) for a, r, d in away).astype(np.float32)


def _full_turn(axis: float, bins: int = 160, views: int = 180, **more: Any) -> Geometry:
    angles = np.arange(views) * 360.0 / views
    return Geometry(
        beam="parallel", angles=angles, bins=bins, centre=axis - (bins - 1) / 2, unit="pixels", **more
    )


@pytest.mark.parametrize("axis", [-5.5, -3.1, -0.8, 0.3, 2.6, 4.5])
@pytest.mark.parametrize(("last", "noise"), [(False, 0.0), (True, 0.003)], ids=["first bin", "last bin"])
def test_the_axis_is_found_about_the_edge_and_beyond_it(axis: float, last: bool, noise: float) -> None:
    values = _line_integrals(axis)
    values += noise * values.max() * np.random.default_rng(1).standard_normal(values.shape).astype(np.float32)
    found = find_axis(np.ascontiguousarray(values[:, ::-1]) if last else values, _full_turn(axis))
    assert found is not None
    at = 79.5 + (-found.centre if last else found.centre)
    assert at == pytest.approx(
        axis, abs=0.4 + 0.1 * max(-axis, 0)
    )  # the less is known the more was not measured
    assert found.method == "the moments of opposite views"


@pytest.mark.parametrize("what", ["round", "within", "air", "upright"])
def test_no_axis_beyond_the_edge_is_made_up(what: str) -> None:
    """What looks alike from all sides, an object wider than the detector, a small one, one that never turned."""
    small = [(x / 4, y / 4, r / 4, a) for x, y, r, a in _DISCS]
    values = {
        "round": _line_integrals(79.5, discs=((0.0, 0.0, 60.0, 0.01), (0.0, 0.0, 20.0, 0.01))),
        "within": _line_integrals(83.0), "air": _line_integrals(70.0, discs=small),
        "upright": np.repeat(_line_integrals(-5.0)[:1], 180, axis=0),
    }[what]  # fmt: skip
    found = find_axis(values, _full_turn(79.5))
    assert found is None or "moments" not in found.method


@pytest.mark.parametrize("axis", [-14.0, -6.4, -2.0, -0.2, 0.0, 0.3, 1.4, 20.0])
@pytest.mark.parametrize("last", [False, True], ids=["first bin", "last bin"])
def test_back_projection_about_an_axis_that_the_detector_does_not_see(axis: float, last: bool) -> None:
    """Close to the truth, and no bright or dark point where nothing was measured."""
    side, pixel = 128, 2.2
    place = 159 - axis if last else axis
    values = _line_integrals(axis)
    values = np.roll(values, 90, axis=0)[:, ::-1] if last else values  # seen from the other side
    A = ParallelBeamCT((1, side, side), _full_turn(place, bin_width=1 / pixel), pixel_size=pixel)
    found = A.pinv(torch.from_numpy(np.ascontiguousarray(values))[None])[0].numpy()
    x, y = (
        ((np.arange(side) - (side - 1) / 2) * pixel)[None],
        (((side - 1) / 2 - np.arange(side)) * pixel)[:, None],
    )
    truth = sum(a * (np.hypot(x - cx, y - cy) < r) for cx, cy, r, a in _DISCS)
    inside = np.hypot(x, y) < 120
    assert np.linalg.norm((found - truth)[inside]) < 0.2 * np.linalg.norm(truth[inside])
    middle = np.hypot(x, y) < max(-axis, 3.0)
    assert found[middle].mean() == pytest.approx(truth[middle].mean(), rel=0.12)


@pytest.mark.parametrize("axis", [-14.0, -6.4, -0.5, 0.0, 0.3, 1.4, 8.0])
def test_a_view_and_its_opposite_add_up_to_one_also_where_neither_was_measured(axis: float) -> None:
    geometry = _full_turn(axis, bins=60)
    weights, unseen = displaced_weights(geometry), unseen_weights(geometry)
    assert weights is not None
    own = torch.cat([(unseen * weights[0]).flip(0), weights]).numpy()
    at = np.arange(-len(unseen), 60) - axis
    grid = np.linspace(-20, 20, 81)
    both = np.interp(grid, at, own, left=0.0) + np.interp(-grid, at, own, left=0.0)
    np.testing.assert_allclose(both, 1.0, atol=0.06)  # linearly between bins
    assert not len(unseen_weights(_full_turn(29.5, bins=60)))


def test_an_axis_beyond_the_detector_is_said_with_what_no_ray_sees(tmp_path: Path) -> None:
    counts = 100.0 + 19_900.0 * np.exp(-_line_integrals(-6.4))
    theta = np.arange(180) * 2.0
    path = write_exchange(tmp_path / "a.h5", parallel(20), data=counts[:, None], theta=theta, rows=1,
                          data_white=np.full((3, 1, 160), 20_000.0), data_dark=np.full((3, 1, 160), 100.0))  # fmt: skip
    image = read_image(path)
    assert image.measured is not None
    assert 79.5 + image.measured.problem["centre"] == pytest.approx(-6.4, abs=1.0)
    (said,) = [note for note in image.measured.notes if "beyond the detector" in note]
    assert "no ray passes within" in said
    assert image.window[1] == pytest.approx(0.04 * 319 / 256, rel=0.6)  # of the densest disc, in pixels


@pytest.mark.parametrize(("axis", "beam"), [(8.0, "parallel"), (-2.5, "parallel"), (8.0, "fan")])
@pytest.mark.parametrize("solver", ["least-squares", "sirt", "tv", "red", "dds", "fast"])
def test_iterative_methods_finish_where_the_detector_is_beside_the_axis(
    solver: str, axis: float, beam: Beam
) -> None:
    """They need no weights: no pixel grows, and the measurement is explained."""
    A, y = _beside(axis, 56, beam)
    chosen = find_solver(solver)
    problem = Problem(operator=A, measurement=y, noise=0.0, truth=phantom(64)[None])
    settings = chosen.settings_type(**{"steps": 12} if "steps" in chosen.settings_type.model_fields else {})
    prior = GaussianPrior(mean=0.3, deviation=0.3)
    found = drain(
        chosen.iterates(problem, prior, any_tiling(64, 64), settings, torch.Generator().manual_seed(1))
    )
    x = found.estimate
    assert bool(torch.isfinite(x).all())
    assert float((A(x) - y).norm() / y.norm()) < 0.05
    rows, columns = np.mgrid[-31.5:31.6, -31.5:31.6]
    seen = torch.from_numpy((np.hypot(rows, columns) < 30) & (np.hypot(rows, columns) > max(0.0, -axis)))
    truth = phantom(64)
    assert float((x[0] - truth)[seen].norm() / truth[seen].norm()) < 0.35
