"""HDF5 whose data lie in other files: refused by that name, or followed within its own folder on request."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.runs.inputs import files_of
from padis_gui.core.settings.errors import InputError, PadisError
from tests.scan_files import parallel, write_exchange, write_nxtomo

FOLLOWED = {"linked_files": "own-folder"}
STACK = np.random.default_rng(2).integers(0, 4000, (4, 40, 48)).astype(np.uint16)


def follow(path: Path, page: int = 0, **reading: object) -> Image:
    """What is read where links are followed."""
    return read_image(path, page, ReadingSettings(**(FOLLOWED | {"image_size": 32} | reading)))


def move_out(path: Path, part: str, other: str = "other.h5") -> Path:
    """Put a part of a file into another one, and a link in its place."""
    (path.parent / other).parent.mkdir(exist_ok=True)
    with h5py.File(path, "a") as file, h5py.File(path.parent / other, "a") as out:
        file.copy(part, out, "part")
        del file[part]
        file[part] = h5py.ExternalLink(other, "/part")
    return path


def move_into_virtual(path: Path, part: str, other: str = "frames.h5") -> Path:
    """Put a data set into another file, and a virtual one of halves of it in its place, as detectors write it."""
    with h5py.File(path, "a") as file, h5py.File(path.parent / other, "w") as out:
        values = file[part][()]
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        for n, half in enumerate((slice(None, len(values) // 2), slice(len(values) // 2, None))):
            out[f"half{n}"] = values[half]
            layout[half] = h5py.VirtualSource(other, f"half{n}", values[half].shape)
        del file[part]
        file.create_virtual_dataset(part, layout)
    return path


def images(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["entry/images"] = STACK
    return path


Write = Callable[[Path], Path]
# what is in another file, and how it was moved there
SPLIT: dict[str, tuple[Write, Callable[[Path], Path]]] = {
    "NXtomo: frames": (
        lambda p: write_nxtomo(p, parallel(20)), lambda p: move_out(p, "entry/instrument/detector/data")
    ),
    "NXtomo: frames in halves": (
        lambda p: write_nxtomo(p, parallel(20)), lambda p: move_into_virtual(p, "entry/instrument/detector/data")
    ),
    "NXtomo: angles": (lambda p: write_nxtomo(p, parallel(20)), lambda p: move_out(p, "entry/sample/rotation_angle")),
    "NXtomo: the scan": (lambda p: write_nxtomo(p, parallel(20)), lambda p: move_out(p, "entry")),
    "NXtomo: frames in a folder": (
        lambda p: write_nxtomo(p, parallel(20)), lambda p: move_out(p, "entry/instrument/detector/data", "below/a.h5")
    ),
    "Data Exchange: frames": (lambda p: write_exchange(p, parallel(20)), lambda p: move_out(p, "exchange/data")),
    "Data Exchange: all": (lambda p: write_exchange(p, parallel(20)), lambda p: move_out(p, "exchange")),
    "Data Exchange: flats in halves": (
        lambda p: write_exchange(p, parallel(20)), lambda p: move_into_virtual(p, "exchange/data_white")
    ),
    "images": (images, lambda p: move_out(p, "entry/images")),
    "images in halves": (images, lambda p: move_into_virtual(p, "entry/images")),
    "images: their group": (images, lambda p: move_out(p, "entry")),
    "a link to a link": (
        images, lambda p: (move_out(p, "entry/images"), move_out(p.with_name("other.h5"), "part", "third.h5"))[0]
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SPLIT)
def test_links_are_refused_by_name_and_followed_on_request(tmp_path: Path, what: str) -> None:
    write, split = SPLIT[what]
    whole = follow(write(tmp_path / "whole.h5"))
    path = split(write(tmp_path / "a.h5"))
    with pytest.raises(InputError, match=r"link into another file.*--linked-files own-folder") as caught:
        read_image(path)
    assert caught.value.remedy == "links"
    found = follow(path)
    np.testing.assert_array_equal(found.pixels, whole.pixels)
    assert (found.unit, found.window, found.pages) == (whole.unit, whole.window, whole.pages)


def test_the_hash_of_followed_links_is_of_all_files(tmp_path: Path) -> None:
    path = move_out(images(tmp_path / "a.h5"), "entry/images")
    alone, both = data_sha256(path), data_sha256(path, linked=True)
    assert alone != both
    with h5py.File(tmp_path / "other.h5", "a") as file:
        file["part"][0, 0, 0] += 1
    assert data_sha256(path) == alone
    assert data_sha256(path, linked=True) != both
    assert tmp_path / "other.h5" in files_of(path)  # which no result replaces


def _to(target: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            del file["entry/images"]
            file["entry/images"] = h5py.ExternalLink(target, "/part")

    return change


def _symlink(path: Path) -> None:
    _to("other.h5")(path)
    (path.parent / "other.h5").symlink_to(images(path.parents[1] / "outside.h5"))


def _pipe(path: Path) -> None:
    _to("pipe.h5")(path)
    os.mkfifo(path.parent / "pipe.h5")


def _circle(path: Path) -> None:
    with h5py.File(path, "a") as file, h5py.File(path.with_name("b.h5"), "w") as other:
        del file["entry/images"]
        file["entry/images"] = h5py.ExternalLink("b.h5", "/x")
        other["x"] = h5py.ExternalLink("a.h5", "/entry/images")


def _raw(path: Path) -> None:
    """Numbers that lie in any file."""
    with h5py.File(path, "a") as file:
        del file["entry/images"]
        file.create_dataset("entry/images", (40, 48), "u1", external=[("/etc/passwd", 0, 40 * 48)])


def _virtual(source: str, name: str = "part") -> Callable[[Path], None]:
    def change(path: Path) -> None:
        layout = h5py.VirtualLayout((40, 48), "u2")
        layout[...] = h5py.VirtualSource(source, name, (40, 48))
        with h5py.File(path, "a") as file:
            del file["entry/images"]
            file.create_virtual_dataset("entry/images", layout)

    return change


def _virtual_of_link(path: Path) -> None:
    _virtual("other.h5")(path)
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["part"] = h5py.ExternalLink("../outside.h5", "/entry/images")
    images(path.parents[1] / "outside.h5")


def _virtual_of_itself(path: Path) -> None:
    _virtual(path.name, "entry/images")(path)


OUT: dict[str, tuple[Callable[[Path], None], str]] = {
    "above": (_to("../outside.h5"), "leads out of it"), "anywhere": (_to("/etc/passwd"), "leads out of it"),
    "a link of the system": (_symlink, "leads out of it"), "a pipe": (_pipe, "not there or is no HDF5"),
    "nothing": (_to("gone.h5"), "not there or is no HDF5"), "a circle": (_circle, "no array of real numbers"),
    "numbers in any file": (_raw, "no HDF5"), "a virtual one above": (_virtual("../outside.h5"), "leads out of it"),
    "a virtual one of a link": (_virtual_of_link, "leads out of it"),
    "a virtual one of numbered files": (_virtual("frames-%%b.h5"), "numbered ones"),
    "a virtual one of itself": (_virtual_of_itself, "made of others|made of more"),
}  # fmt: skip


@pytest.mark.parametrize("what", OUT)
def test_links_that_lead_elsewhere_are_never_followed(tmp_path: Path, what: str) -> None:
    change, said = OUT[what]
    folder = tmp_path / "own"
    folder.mkdir()
    path = images(folder / "a.h5")
    change(path)
    with pytest.raises(PadisError, match=said):
        follow(path)


def test_a_circle_of_groups_ends(tmp_path: Path) -> None:
    path = images(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["entry/again"] = h5py.ExternalLink("a.h5", "/entry")
        file["entry/itself"] = file["entry"]
    np.testing.assert_array_equal(follow(path, dataset="entry/images").pixels[0], STACK[0])
