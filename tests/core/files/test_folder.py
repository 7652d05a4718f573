"""A folder opens as one stack: the slices of a series by their place, images by their names, of one size."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from padis_gui.core.files.formats import folder as folder_index
from padis_gui.core.files.formats.folder import Whole, data_sha256, folder_of_series
from padis_gui.core.files.formats.open import count_pages, list_datasets, open_pages
from padis_gui.core.files.formats.recognise import recognise_file
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import HU_WINDOW, ReadingSettings
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import file_sha256
from tests.core.files.test_formats import PAGES, hdf5, mat5, mat73, npz, series_of
from tests.core.files.test_read import dicom

RNG = np.random.default_rng(5)


def refused(path: Path, page: int = 0, dataset: str = "") -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, page, ReadingSettings(dataset=dataset))
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def png(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    Pillow.fromarray(array).save(path)
    return path


# -- series -----------------------------------------------------------------------------------------------


def test_the_series_of_a_folder(tmp_path: Path) -> None:
    slices = series_of(tmp_path, PixelSpacing=["0.7", "0.8"], SliceThickness="9")
    (tmp_path / "notes.txt").write_text("no image")
    png(tmp_path / "overview.png", np.zeros((40, 40), np.uint8))  # pictures beside a series are no slices
    assert count_pages(tmp_path) == 6
    for n in range(6):
        image = read_image(tmp_path, n)
        np.testing.assert_array_equal(image.pixels[0], slices[n] - 1024.0)
        assert (image.unit, image.window, image.page, image.pages) == ("HU", HU_WINDOW, n, 6)
        assert (image.spacing, image.slice_spacing, image.notes) == ((0.7, 0.8), 2.5, ())
        assert image.name == tmp_path.name
    with open_pages(tmp_path) as pages:
        assert pages.is_volume


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    for n in range(3):
        dicom(
            tmp_path / f"{n}.dcm", np.full((20, 31), 100, np.int16), slope=n + 1.0, intercept=-1000.0 * n,
            SeriesInstanceUID="1.2", InstanceNumber=str(n), RescaleType="HU",
        )  # fmt: skip
    assert [float(read_image(tmp_path, n).pixels[0, 0, 0]) for n in range(3)] == [100, -800, -1700]


def test_several_series_are_told_by_number_or_description(tmp_path: Path) -> None:
    bone = series_of(tmp_path, 4, uid="1.2.3", SeriesNumber="2", SeriesDescription="Bone")
    soft = series_of(tmp_path, 3, uid="1.2.4", SeriesNumber="11", SeriesDescription="Soft tissue")
    message = refused(tmp_path)
    assert "holds 2: " in message
    assert "2 (Bone, 4 slices)" in message
    assert "11 (Soft tissue, 3 slices)" in message
    for dataset, slices in (("2", bone), ("Soft tissue", soft), ("11", soft), ("1.2.3", bone)):
        image = read_image(tmp_path, 1, ReadingSettings(dataset=dataset))
        np.testing.assert_array_equal(image.pixels[0], slices[1] - 1024.0)
    assert "'Lung' was wanted" in refused(tmp_path, dataset="Lung")
    listed = list_datasets(tmp_path)
    assert sorted((d.name, d.shape, d.count, d.description) for d in listed) == [
        ("11", (3, 20, 31), 3, "CT · Soft tissue"), ("2", (4, 20, 31), 4, "CT · Bone"),
    ]  # fmt: skip


def test_series_without_numbers_or_words_go_by_their_uid(tmp_path: Path) -> None:
    series_of(tmp_path, 2, uid="1.2.3")
    series_of(tmp_path, 3, uid="1.2.4")
    assert {d.name for d in list_datasets(tmp_path)} == {"1.2.3", "1.2.4"}
    assert read_image(tmp_path, 2, ReadingSettings(dataset="1.2.4")).pages == 3


def test_a_slice_of_another_size_is_named(tmp_path: Path) -> None:
    series_of(tmp_path, 4)
    dicom(tmp_path / "odd.dcm", np.zeros((24, 31), np.int16), SeriesInstanceUID="1.2.3", PatientID="P1")
    message = refused(tmp_path)
    assert "odd.dcm has 24 x 31 pixels and others 20 x 31" in message
    (listed,) = list_datasets(tmp_path)
    assert not listed.usable
    assert "odd.dcm" in listed.why_not


def test_a_gap_in_a_series_is_said(tmp_path: Path) -> None:
    series_of(tmp_path, 7)
    with open_pages(tmp_path) as pages:
        names = [pages.page_name(n) for n in range(7)]
    (tmp_path / names[3]).unlink()
    image = read_image(tmp_path)
    assert image.slice_spacing == 2.5
    assert "2.5 to 5 mm apart" in image.notes[0]


def test_a_series_over_time_is_one_volume_after_the_other(tmp_path: Path) -> None:
    for n, (time, height) in enumerate((t, z) for z in (2.0, 0.0, 1.0) for t in (2, 1)):
        dicom(
            tmp_path / f"{n}.dcm", np.full((20, 31), 10 * time + height, np.int16), SeriesInstanceUID="1.2",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, height],
            TemporalPositionIdentifier=str(time), InstanceNumber=str(n),
        )  # fmt: skip
    found = [float(read_image(tmp_path, n).pixels[0, 0, 0]) for n in range(6)]
    assert found == [10, 11, 12, 20, 21, 22]
    assert read_image(tmp_path).slice_spacing == 1.0


def test_frames_are_ordered_by_their_place(tmp_path: Path) -> None:
    stored = np.arange(4, dtype=np.uint16)[:, None, None] * np.ones((1, 20, 31), np.uint16)
    heights = [4.0, -2.0, 1.0, 7.0]
    groups = []
    for height in heights:
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, height]
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    plane, shared = Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = Sequence([plane])
    path = dicom(
        tmp_path / "a.dcm", stored[0], stack=stored, NumberOfFrames="4",
        PerFrameFunctionalGroupsSequence=Sequence(groups), SharedFunctionalGroupsSequence=Sequence([shared]),
    )  # fmt: skip
    for source in (path, tmp_path):
        assert [float(read_image(source, n).pixels[0, 0, 0]) for n in range(4)] == [1, 2, 0, 3]
        assert read_image(source).slice_spacing == 3.0


def test_folders_below(tmp_path: Path) -> None:
    slices = series_of(tmp_path / "study", 3)
    assert read_image(tmp_path, 2).pages == 3
    np.testing.assert_array_equal(read_image(tmp_path, 2).pixels[0], slices[2] - 1024.0)
    (tmp_path / "study" / "again").symlink_to(tmp_path)  # a circle
    assert read_image(tmp_path, 2).pages == 3


# -- what is said of other modalities ---------------------------------------------------------------------


def test_other_modalities_are_said(tmp_path: Path) -> None:
    stored = RNG.integers(0, 3000, (20, 31), dtype=np.int16)
    stored[0, 0] = 30000
    magnetic = read_image(dicom(tmp_path / "mr.dcm", stored, modality="MR"))
    assert "MR (magnetic resonance), not CT" in magnetic.notes[0]
    assert magnetic.unit == ""
    assert magnetic.window[0] == 0
    assert 2500 < magnetic.window[1] < 30000  # one bright pixel does not darken the rest
    positrons = read_image(dicom(tmp_path / "pt.dcm", stored, modality="PT", slope=0.5, Units="BQML"))
    np.testing.assert_array_equal(positrons.pixels[0], stored * np.float32(0.5))
    assert (positrons.unit, positrons.window) == ("Bq/ml", (0.0, 15000.0))
    radiograph = read_image(dicom(tmp_path / "dx.dcm", stored, modality="DX"))
    assert "DX (radiography), not CT" in radiograph.notes[0]
    assert not read_image(dicom(tmp_path / "ct.dcm", stored)).notes
    energy = read_image(dicom(tmp_path / "z.dcm", stored, RescaleType="Z_EFF"))
    assert energy.unit == "Z_EFF"
    assert "not in HU" in energy.notes[0]


def test_a_ct_without_a_rescale_is_not_called_hu(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", RNG.integers(0, 3000, (20, 31), dtype=np.int16))
    import pydicom

    data = pydicom.dcmread(path)
    del data.RescaleSlope, data.RescaleIntercept
    data.save_as(path)
    image = read_image(path)
    assert image.unit == ""
    assert "does not say how to rescale" in image.notes[0]


# -- images -----------------------------------------------------------------------------------------------


def test_images_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for n in (1, 2, 9, 10, 11, 100):
        png(tmp_path / f"slice {n}.png", np.full((20, 31), n, np.uint8))
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "readme.md").write_text("words")
    with open_pages(tmp_path) as pages:
        assert pages.count == 6
        found = [(float(pages.read(n).pixels[0, 0, 0]), pages.page_name(n)) for n in range(6)]
    assert found == [(n, f"slice {n}.png") for n in (1, 2, 9, 10, 11, 100)]


def test_files_of_several_pages_give_all(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PAGES, photometric="minisblack")
    np.save(tmp_path / "b.npy", PAGES[0] * 2)
    with open_pages(tmp_path) as pages:
        assert pages.count == 6
        np.testing.assert_array_equal(pages.read(5).pixels[0], 2 * PAGES[0])
        np.testing.assert_array_equal(pages.read(3).pixels[0], PAGES[3])
        assert [pages.page_name(n) for n in (3, 5)] == ["a.tif page 3", "b.npy"]


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    for n in range(4):
        png(tmp_path / f"{n}.png", np.zeros((20, 31), np.uint8))
    png(tmp_path / "7.png", np.zeros((31, 20), np.uint8))
    assert "7.png has 31 x 20 pixels and others 20 x 31" in refused(tmp_path)


def test_a_damaged_image_keeps_its_place(tmp_path: Path) -> None:
    for n in range(3):
        png(tmp_path / f"{n}.png", np.full((20, 31), n, np.uint8))
    (tmp_path / "1.png").write_bytes(b"\x89PNG and nothing else")
    assert read_image(tmp_path, 2).pixels[0, 0, 0] == 2
    assert "1.png" in refused(tmp_path, 1)


@pytest.mark.parametrize("kind", ["series", "images"])
def test_a_folder_is_looked_through_once_while_nothing_changes(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "series":
        series_of(tmp_path, 4)
    else:
        for n in range(4):
            png(tmp_path / f"{n}.png", np.full((20, 31), n, np.uint8))
    first = read_image(tmp_path, 1)
    looked: list[Path] = []
    monkeypatch.setattr(
        folder_index, "recognise_file", lambda path: (looked.append(path), recognise_file(path))[1]
    )
    np.testing.assert_array_equal(read_image(tmp_path, 1).pixels, first.pixels)
    assert len(looked) <= 1  # the page itself
    (sorted(tmp_path.iterdir())[0]).unlink()
    assert read_image(tmp_path, 1).pages == 3
    assert len(looked) >= 3


def test_folders_without_images(tmp_path: Path) -> None:
    assert "without any" in refused(tmp_path)
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe.png")
    assert "without any" in refused(tmp_path)
    (tmp_path / "only.png").write_bytes(b"")
    assert "only.png is empty" in refused(tmp_path)
    assert folder_of_series(tmp_path / "only.png") is None


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", fail)
    assert "Permission denied" in refused(tmp_path)


# -- the whole that one file is of ------------------------------------------------------------------------


def test_one_slice_knows_its_series(tmp_path: Path) -> None:
    slices = series_of(tmp_path, 5, uid="1.2.3", SeriesNumber="4")
    with open_pages(tmp_path) as pages:
        third = tmp_path / pages.page_name(2)
    assert folder_of_series(third) == Whole(folder=tmp_path, dataset="", count=5, page=2, name="series")
    series_of(tmp_path, 3, uid="1.2.4", SeriesNumber="5")
    whole = folder_of_series(third)
    assert whole is not None
    assert whole.dataset == "4"
    image = read_image(whole.folder, whole.page, ReadingSettings(dataset=whole.dataset))
    np.testing.assert_array_equal(image.pixels[0], slices[2] - 1024.0)
    np.testing.assert_array_equal(image.pixels, read_image(third).pixels)
    alone = dicom(tmp_path / "alone.dcm", slices[0], SeriesInstanceUID="1.9")
    assert folder_of_series(alone) is None


def test_numbered_images_know_their_folder(tmp_path: Path) -> None:
    for n in (8, 9, 10):
        png(tmp_path / f"ct_{n}.png", np.zeros((20, 31), np.uint8))
    assert folder_of_series(tmp_path / "ct_10.png") == Whole(
        folder=tmp_path, dataset="", count=3, page=2, name="folder"
    )
    png(tmp_path / "photo.png", np.zeros((20, 31), np.uint8))
    assert folder_of_series(tmp_path / "ct_10.png") is None
    assert folder_of_series(tmp_path / "none.png") is None


# -- hashes -----------------------------------------------------------------------------------------------


def test_the_hash_of_a_folder_is_that_of_its_images(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        for n in range(3):
            png(folder / f"{n}.png", np.full((20, 31), n, np.uint8))
    first = data_sha256(one)
    assert first == data_sha256(other)
    assert data_sha256(one / "0.png") == file_sha256(one / "0.png")
    (one / "notes.txt").write_text("beside")
    assert data_sha256(one) == first
    (one / "0.png").rename(one / "9.png")  # another order of pages
    assert data_sha256(one) != first
    png(other / "1.png", np.full((20, 31), 77, np.uint8))
    assert data_sha256(other) != first
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="without any"):
        data_sha256(tmp_path / "empty")


# -- what a file holds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["npz", "hdf5", "mat5", "mat73"])
def test_arrays_are_listed_without_being_read(tmp_path: Path, kind: str) -> None:
    arrays = {"images": PAGES, "angles": np.arange(7.0), "phase": np.zeros((20, 20), complex)}
    if kind == "npz":
        path = npz(tmp_path / "a.npz", **arrays)
    elif kind == "hdf5":
        path = hdf5(tmp_path / "a.h5", **arrays)
    else:
        arrays |= {"images": np.moveaxis(PAGES, 0, 2), "angles": np.arange(7.0)[None]}
        path = (mat5 if kind == "mat5" else mat73)(tmp_path / "a.mat", **arrays)
    listed = {info.name: info for info in list_datasets(path)}
    assert set(listed) == set(arrays)
    assert (listed["images"].count, listed["images"].usable) == (5, True)
    assert listed["images"].shape == arrays["images"].shape
    assert listed["images"].dtype == "float32"
    assert not listed["angles"].usable
    assert not listed["phase"].usable
    assert all(info.why_not.endswith(".") for info in listed.values() if not info.usable)
    for name, info in listed.items():  # the list tells the truth
        if info.usable:
            assert count_pages(path, name) == info.count
        else:
            refused(path, dataset=name)


def test_fields_of_structures_are_listed(tmp_path: Path) -> None:
    path = mat5(tmp_path / "a.mat", scan={"picture": PAGES[0], "geometry": {"angles": np.arange(5.0)}})
    assert {(d.name, d.usable) for d in list_datasets(path)} == {
        ("scan.picture", True), ("scan.geometry.angles", False),
    }  # fmt: skip


def test_files_without_a_choice_list_nothing(tmp_path: Path) -> None:
    assert list_datasets(png(tmp_path / "a.png", np.zeros((20, 31), np.uint8))) == ()
    np.save(tmp_path / "a.npy", PAGES)
    assert list_datasets(tmp_path / "a.npy") == ()
    with pytest.raises(InputError):
        list_datasets(tmp_path / "none.h5")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    with pytest.raises(InputError, match=r"cut\.h5"):
        list_datasets(tmp_path / "cut.h5")


def test_what_is_not_read_is_not_needed_to_list(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (10**6, 4096, 4096), np.float32, chunks=(1, 64, 64))
    (listed,) = list_datasets(tmp_path / "a.h5")
    assert listed.count == 10**6


def test_the_real_series_opens_as_a_folder(shared: Path) -> None:
    folder = shared / "data" / "dicom"
    image = read_image(folder, 3)
    assert (image.pages, image.unit, image.slice_spacing) == (10, "HU", 5.0)
    file = sorted(folder.glob("*.dcm"))[0]
    whole = folder_of_series(file)
    assert whole is not None
    assert (whole.count, whole.name) == (10, "series")
    np.testing.assert_array_equal(read_image(folder, whole.page).pixels, read_image(file).pixels)
