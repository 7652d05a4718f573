"""Planes of a volume: which voxels they show, and that a large stack is read by strips within its budget."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import Interrupted
from padis_gui.viewmodels.pictures.planes import Place, Plane, VoxelGrid, plane_of, plane_sources, take
from padis_gui.viewmodels.pictures.sources import BUILT_IN
from padis_gui.viewmodels.state.stack import StackReader

sides = st.integers(1, 6)


@given(st.tuples(sides, sides, sides), st.data())
def test_a_pixel_of_each_plane_is_the_voxel_that_it_says(shape, data):
    """Whatever is clicked: the plane's picture has the volume's own value there, and back again is the same pixel."""
    volume = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    grid = VoxelGrid(shape=shape)
    at = Place(*(data.draw(st.integers(0, side - 1)) for side in shape))
    for plane in Plane:
        picture = take(volume, plane, at.across(plane))
        assert picture.shape == grid.sides(plane)
        row, column = (data.draw(st.integers(0, side - 1)) for side in picture.shape)
        place = grid.place(plane, row, column, at)
        assert picture[row, column] == volume[place.slice, place.row, place.column]
        assert place.across(plane) == at.across(plane)
        assert grid.pixel(place, plane) == (row, column)


def test_the_first_slice_is_the_lowest_line():
    volume = np.zeros((3, 4, 5), np.float32)
    volume[0] = 1
    for plane in (Plane.CORONAL, Plane.SAGITTAL):
        assert take(volume, plane, 2)[:, 0].tolist() == [0, 0, 1]


def test_places_in_words_count_from_one_and_say_mm_where_they_are_known():
    place = Place(4, 2, 1)
    assert VoxelGrid(shape=(9, 9, 9)).in_words(place) == "column 2, row 3, slice 5"
    known = VoxelGrid(shape=(9, 9, 9), spacing=(0.5, 0.7), slice_spacing=5.0)
    assert known.in_words(place) == "column 2, row 3, slice 5 (0.7, 1.0, 20.0 mm)"
    assert known.caption(place, Plane.CORONAL) == "row 3 of 9"
    assert known.pitch(Plane.CORONAL) == (5.0, 0.7)
    assert known.pitch(Plane.SAGITTAL) == (5.0, 0.5)
    assert VoxelGrid(shape=(9, 9, 9), spacing=(0.5, 0.7)).pitch(Plane.CORONAL) is None


def test_every_source_of_a_plane_shares_the_levels_of_its_own():
    known = {source.key: source for source in BUILT_IN}
    for source in plane_sources():
        key, plane = plane_of(source.key)
        assert source.levels_group == known[key].levels_group
        assert source.lattice is plane.lattice
        assert plane.value in source.label


# Reading ------------------------------------------------------------------------------------------------------

SHAPE = (7, 44, 40)


def written(folder: Path, kind: str) -> tuple[Path, np.ndarray, ReadingSettings]:
    """A stack in a format, its pixels, and how it is read."""
    volume = np.random.default_rng(3).integers(-500, 500, SHAPE).astype(np.int16)
    path, reading = folder / f"stack.{kind}", ReadingSettings()
    if kind == "tif":
        tifffile.imwrite(path, volume, photometric="minisblack")
    elif kind == "npy":
        np.save(path, volume)
    else:
        with h5py.File(path, "w") as file:
            file["slices"] = volume
    return path, volume.astype(np.float32), reading


def read_all(reader: StackReader, **wanted: int) -> tuple[list[Plane], list[float]]:
    came: list[Plane] = []
    shares: list[float] = []
    reader.want({Plane(name): at for name, at in wanted.items()})
    reader.read(
        lambda: None, lambda plane, _at: came.append(plane), lambda _plane, went: shares.append(went.share)
    )
    return came, shares


@pytest.mark.parametrize("kind", ["tif", "npy", "h5"])
@pytest.mark.parametrize("whole", [0, 2**30])
@pytest.mark.parametrize(
    "changes", [{}, {"crop": (2, 3, 17, 18)}, {"pixel_binning": 2, "crop": (0, 1, 39, 41)}, {"longest_side": 20}]
)  # fmt: skip
def test_planes_are_those_of_the_slices_as_they_are_read(tmp_path, kind, whole, changes):
    """Whether all of it is held or strips are: each plane is what reading every slice by itself gives."""
    path, _, reading = written(tmp_path, kind)
    reading = reading.model_copy(update=changes)
    example = read_image(path, 2, reading)
    wanted = np.concatenate([read_image(path, page, reading).pixels for page in range(SHAPE[0])])
    reader = StackReader(path, example, whole=whole, slab=4 * 3 * SHAPE[0] * example.shape[1])
    try:
        at = {"axial": 5, "coronal": 9, "sagittal": 11}
        came, shares = read_all(reader, **at)
        assert set(came) == set(Plane)
        assert came[0] is Plane.AXIAL, "slices go first"
        assert shares[-1] == 1
        for name, index in at.items():
            seen = reader.at_once(Plane(name), index)
            assert np.array_equal(seen, take(wanted, Plane(name), index))
        assert (reader.complete is not None) == bool(whole)
    finally:
        reader.close()


def test_a_large_stack_is_held_by_strips_and_neighbours_are_there_already(tmp_path):
    path, volume, _ = written(tmp_path, "npy")
    row = 4 * SHAPE[0] * SHAPE[2]
    reader = StackReader(path, read_image(path, 0), whole=0, slab=5 * row)
    try:
        read_all(reader, coronal=10)
        assert reader.nbytes == 5 * row
        for near in (8, 9, 11, 12):
            assert np.array_equal(reader.at_once(Plane.CORONAL, near), take(volume, Plane.CORONAL, near))
        assert reader.at_once(Plane.CORONAL, 13) is None
        assert reader.at_once(Plane.SAGITTAL, 3) is None
        read_all(reader, coronal=23)
        assert reader.nbytes == 5 * row
        assert np.array_equal(reader.at_once(Plane.CORONAL, 23), take(volume, Plane.CORONAL, 23))
    finally:
        reader.close()


def test_the_latest_wish_wins_and_what_was_read_of_a_slab_is_not_read_again(tmp_path, monkeypatch):
    path, volume, _ = written(tmp_path, "npy")
    reader = StackReader(path, read_image(path, 0), whole=0, slab=4 * SHAPE[0] * SHAPE[2])
    pages: list[int] = []
    parts = reader._source.parts
    monkeypatch.setattr(
        reader._source, "parts", lambda page, wanted: pages.append(page) or parts(page, wanted)
    )

    def went(plane, how):
        if len(pages) == 3:
            reader.want({Plane.CORONAL: 4, Plane.AXIAL: 6})  # looks elsewhere in the middle of it
        if len(pages) == 4 + SHAPE[0]:
            reader.want({Plane.CORONAL: 4})

    try:
        came = []
        reader.want({Plane.CORONAL: 2})
        reader.read(lambda: None, lambda plane, at: came.append((plane, at)), went)
        assert came == [(Plane.AXIAL, 6), (Plane.CORONAL, 4)]
        assert pages == [0, 1, 2, 6, *range(SHAPE[0])]
        assert np.array_equal(reader.at_once(Plane.CORONAL, 4), take(volume, Plane.CORONAL, 4))
        reader.want({Plane.SAGITTAL: 1})
        with pytest.raises(Interrupted):
            reader.read(_interrupt, lambda *_: None, lambda *_: None)
        pages.clear()
        reader.read(lambda: None, lambda *_: None, lambda *_: None)
        assert pages == list(range(SHAPE[0]))
    finally:
        reader.close()


def _interrupt() -> None:
    raise Interrupted


def test_a_slice_that_cannot_be_read_is_missing_and_the_others_are_there(tmp_path):
    path = tmp_path / "sizes.tif"
    with tifffile.TiffWriter(path) as file:
        for side in (24, 32, 24):
            file.write(np.full((side, side), side, np.float32))
    reader = StackReader(path, read_image(path, 0))
    try:
        read_all(reader, coronal=3)
        seen = reader.at_once(Plane.CORONAL, 3)
        assert np.isnan(seen[1]).all()
        assert (seen[[0, 2]] == 24).all()
        assert list(reader.missing) == [1]
    finally:
        reader.close()
