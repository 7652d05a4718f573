"""OME-Zarr: a folder of images in several resolutions, as NGFF describes them (ngff.openmicroscopy.org, 0.1 to 0.5).

A folder has one image, or several below it (bioformats2raw's layout, the fields of a well); an image has axes of time,
channels and space, and levels, each an array of Zarr half as large as the one before. A folder that is one array without
any of that is an array as those of NPY and HDF5 are.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.arrays import ArrayPages, find_layout
from padis_gui.core.files.formats.format import MOST_LISTED, DatasetInfo, Format, describe_array
from padis_gui.core.files.formats.pages import (
    MILLIMETRES,
    WHOLE,
    Page,
    Pages,
    Part,
    check_sides,
    display_name,
    is_wide,
    page_of,
    shown,
)
from padis_gui.core.images.size import LARGEST
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import read_json

if TYPE_CHECKING:
    from padis_gui.core.files.formats.zarr_array import StoredArray

_MOST_IMAGES, _MOST_LEVELS, _MOST_CHANNELS = 1000, 30, 1000
_MOST_VALUES = 2**33  # of a level that is read at once
_SPACE, _TIME, _CHANNEL = "space", "time", "channel"
_USUAL = {"z": _SPACE, "y": _SPACE, "x": _SPACE, "t": _TIME, "c": _CHANNEL}
# a note of the layout that bioformats2raw writes: images in folders that are called by their numbers
_NUMBERED = "bioformats2raw.layout"
_VERSION_3, _GROUP_2, _ARRAY_2, _ATTRIBUTES_2 = "zarr.json", ".zgroup", ".zarray", ".zattrs"
_METADATA = (_VERSION_3, _GROUP_2, _ARRAY_2)
OWN_ATTRIBUTE = "padis-gui"  # of an image that this program wrote: what it says of its run
_LONGEST_UNIT = 20


@dataclass(frozen=True, slots=True)
class _Node:
    """A folder of Zarr: ``fields`` are an array's as its version has them, None for a group."""

    attributes: Mapping[str, Any]
    fields: Mapping[str, Any] | None


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a group or an array of Zarr."""
    return any((folder / name).is_file() for name in _METADATA)


class _ZarrFolder:
    """A folder with its groups and arrays; ``name`` is what to call it in sentences."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = Path(os.path.realpath(root)), name

    def inside(self, path: str) -> Path:
        """Where something of the folder lies. Raises :class:`InputError` where a link or a name leads out of it."""
        if "\0" not in path:
            found = Path(os.path.realpath(self.root / path))
            if found.is_relative_to(self.root):
                return found
        raise InputError(
            f"Data inside of {self.name} were wanted, but {shown(path[-80:])} leads out of it; copy what it names into the "
            "folder."
        )

    def node(self, path: str = "") -> _Node | None:
        """What lies at ``path`` below the folder; None where that is neither group nor array."""
        start = f"{path}/" if path else ""
        if (found := self._json(start + _VERSION_3)) is not None:
            is_array = found.get("node_type") == "array"
            return _Node(_mapping(found.get("attributes")), found if is_array else None)
        array = self._json(start + _ARRAY_2)
        if array is None and self._json(start + _GROUP_2) is None:
            return None
        return _Node(_mapping(self._json(start + _ATTRIBUTES_2)), array)

    def _json(self, path: str) -> Mapping[str, Any] | None:
        file = self.inside(path)
        return _mapping(read_json(file)) if file.exists() else None

    def array(self, path: str) -> "StoredArray":
        """The array at ``path``. Raises :class:`InputError` where there is none, or none that is read."""
        node = self.node(path)
        if node is None or node.fields is None:
            raise InputError(
                f"An array was wanted, but {self.name} has none at {shown(path[-80:]) or 'its top'}; get a complete copy."
            )
        from padis_gui.core.files.formats.zarr_array import (
            StoredArray,  # a second, which other formats need not wait
        )

        start = f"{path}/" if path else ""
        return StoredArray(node.fields, self.name, lambda key: self.inside(start + key))


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    kind: str
    unit: str


@dataclass(frozen=True, slots=True)
class _Image:
    """An image of the folder at ``path``: ``levels`` are arrays with the pitch of every axis in its own unit, or None."""

    path: str
    title: str
    axes: tuple[_Axis, ...]
    levels: tuple[tuple[str, tuple[float, ...] | None], ...]
    channels: tuple[str, ...]
    unit: str = ""
    window: tuple[float, float] | None = None

    def axis(self, kind: str) -> int | None:
        """Where the first axis of a kind stands."""
        return next((n for n, axis in enumerate(self.axes) if axis.kind == kind), None)


def folder_of(path: Path) -> Path:
    """The folder where a path is that of a Zarr folder's metadata, such as ``zarr.json``; others as they are."""
    is_metadata = path.name in (*_METADATA, _ATTRIBUTES_2)
    return path.parent if is_metadata and is_zarr(path.parent) else path


def own_attributes(folder: Path) -> Mapping[str, Any]:
    """What this program says of a run in an image that it wrote; nothing of other folders. Raises :class:`InputError` and
    :class:`ValueError` for folders that cannot be read."""
    node = _ZarrFolder(folder, display_name(folder)).node()
    return {} if node is None else _mapping(node.attributes.get(OWN_ATTRIBUTE))


def finest_level(folder: Path) -> NDArray[Any]:
    """All numbers of the finest level of the first image of a folder, which this program wrote."""
    found = _ZarrFolder(folder, display_name(folder))
    images = _images(found)
    array = found.array(_image(found, *images[0]).levels[0][0] if images else "")
    lead = array.shape[:-2]
    if prod(array.shape) > _MOST_VALUES:
        raise ValueError("it claims more pixels than fit into memory")
    planes = [array[(*index, *WHOLE)] for index in np.ndindex(*lead)]
    return np.stack(planes).reshape(array.shape)


def _own_meaning(attributes: Mapping[str, Any]) -> tuple[str, tuple[float, float] | None]:
    """Unit and window of an image that this program wrote."""
    about = _mapping(_mapping(attributes.get(OWN_ATTRIBUTE)).get("about"))
    window, unit = about.get("window"), about.get("unit")
    ends = (
        (float(window[0]), float(window[1]))
        if isinstance(window, list) and len(window) == 2 and all(type(n) in (int, float) for n in window)
        else None
    )
    good = ends is not None and -np.inf < ends[0] < ends[1] < np.inf
    return unit[:_LONGEST_UNIT] if isinstance(unit, str) else "", ends if good else None


def zarr_files(folder: Path, most: int) -> list[Path]:
    """All files of a Zarr folder. Raises :class:`InputError` where they are more than ``most``."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        found += [Path(place, file) for file in files]
        if len(found) > most:
            raise InputError(
                f"At most {most} files were wanted, but {display_name(folder)} has more; save it with larger chunks."
            )
    return found


def open_ome_zarr(path: Path, dataset: str) -> Pages:
    """An image's pages: its slices, of one time after the other.

    ``dataset`` is "image/channel/level", each counted from 0 and 0 where it is left out; a channel may go by its name.
    """
    folder = _ZarrFolder(path, display_name(path))
    images = _images(folder)
    if images is None:
        array = folder.array("")
        return ArrayPages(path, OME_ZARR.kind, array, find_layout(array.shape, folder.name))
    return _OmeZarr(path, folder, images, dataset)


def list_ome_zarr(path: Path) -> tuple[DatasetInfo, ...]:
    """Images, channels and levels; nothing where there is one of each."""
    folder = _ZarrFolder(path, display_name(path))
    found: list[DatasetInfo] = []
    images = _images(folder) or []
    for number, (where, title) in enumerate(images):
        image = _image(folder, where, title)
        arrays = [folder.array(level) for level, _ in image.levels]
        channels = _count(image, arrays[0])
        for channel in range(channels):
            for level, array in enumerate(arrays):
                if len(found) == MOST_LISTED:
                    return tuple(found)
                pages = prod(array.shape[:-2]) // channels
                described = (
                    image.title if len(images) > 1 else "",
                    image.channels[channel] if channel < len(image.channels) else "",
                    f"level {level}, smaller" if level else "",
                )
                found.append(
                    describe_array(
                        f"{number}/{channel}/{level}", (pages, *array.shape[-2:]), str(array.dtype), pages=pages,
                        description=" · ".join(filter(None, described)),
                    )
                )  # fmt: skip
    return tuple(found) if len(found) > 1 else ()


# -- what the metadata say --------------------------------------------------------------------------------


def _images(folder: _ZarrFolder) -> list[tuple[str, str]] | None:
    """Where the images lie and what they are called; None where the folder is an array of its own."""
    node = folder.node()
    if node is None or node.fields is not None:
        return None
    says = _ome(node.attributes)
    if isinstance(says.get("multiscales"), list):
        return [("", "")]
    if isinstance(plate := says.get("plate"), dict):
        wells = [_text(well.get("path")) for well in _mappings(plate.get("wells"))]
        some = f", such as {folder.name}/{wells[0]}" if wells else ""
        raise InputError(
            f"An image was wanted, but {folder.name} is a plate of {len(wells)} wells; open one of them{shown(some)}."
        )
    if isinstance(well := says.get("well"), dict):
        found = [_text(field.get("path")) for field in _mappings(well.get("images"))]
    elif _NUMBERED in says or _NUMBERED in node.attributes:
        series = folder.node("OME")
        listed = None if series is None else _ome(series.attributes).get("series")
        found = [_text(one) for one in listed] if isinstance(listed, list) else _numbered(folder)
    else:
        raise InputError(
            f"An image with multiscales was wanted, but {folder.name} is a group of Zarr without them; open the folder "
            "of one of its images or arrays."
        )
    if not 1 <= len(found) <= _MOST_IMAGES or not all(found):
        raise InputError(
            f"1 to {_MOST_IMAGES} images were wanted, but {folder.name} names {len(found)}; open the folder of one of them."
        )
    return [(one, one) for one in found]


def _numbered(folder: _ZarrFolder) -> list[str]:
    """The folders 0, 1, …"""
    found: list[str] = []
    while len(found) <= _MOST_IMAGES and is_zarr(folder.inside(str(len(found)))):
        found.append(str(len(found)))
    return found


def _image(folder: _ZarrFolder, path: str, title: str) -> _Image:
    """The image at ``path``; raises :class:`InputError` and :class:`ValueError` for what is none."""
    node = folder.node(path)
    says = {} if node is None else _ome(node.attributes)
    several = _mappings(says.get("multiscales"))
    if not several:
        raise InputError(
            f"An image with multiscales was wanted, but {folder.name} has none at {shown(path[-80:]) or 'its top'}; get a "
            "complete copy."
        )
    first = several[0]
    axes = _axes(first.get("axes"))
    over_all = _scale(first.get("coordinateTransformations"))
    levels = []
    for level in _mappings(first.get("datasets"))[:_MOST_LEVELS]:
        where, scale = _text(level.get("path")), _scale(level.get("coordinateTransformations"))
        if scale is not None and over_all is not None and len(over_all) == len(scale):
            scale = tuple(one * other for one, other in zip(scale, over_all, strict=True))
        levels.append((f"{path}/{where}" if path else where, scale))
    if not levels:
        raise ValueError("its multiscales have no datasets")
    if axes is None:
        count = len(folder.array(levels[0][0]).shape)
        axes = tuple(_Axis(name, _USUAL[name], "") for name in "tczyx"[-count:])
    omero = says.get("omero")
    channels = _mappings(omero.get("channels")) if isinstance(omero, dict) else []
    named = tuple(_text(channel.get("label"))[:60] for channel in channels[:_MOST_CHANNELS])
    unit, window = _own_meaning({} if node is None else node.attributes)
    return _Image(path, title or _text(first.get("name"))[:60], axes, tuple(levels), named, unit, window)


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where NGFF's words stand: from 0.5 on below ``ome``, before that in the open."""
    found = attributes.get("ome")
    return found if isinstance(found, dict) else attributes


def _mappings(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(found: Any) -> str:
    return found if isinstance(found, str) else str(found) if isinstance(found, int) else ""


def _axes(found: Any) -> tuple[_Axis, ...] | None:
    """The axes as 0.4 has them, or 0.3; None for those of versions before, which are always t, c, z, y and x."""
    if not isinstance(found, list):
        return None
    axes = []
    for axis in found:
        name = _text(axis.get("name")) if isinstance(axis, dict) else _text(axis)
        kind = _text(axis.get("type")) if isinstance(axis, dict) else ""
        axes.append(
            _Axis(
                name, kind or _USUAL.get(name, ""), _text(axis.get("unit")) if isinstance(axis, dict) else ""
            )
        )
    if len(axes) < 2 or any(axis.kind != _SPACE for axis in axes[-2:]):
        raise ValueError("its last two axes are not of space")
    return tuple(axes)


def _scale(found: Any) -> tuple[float, ...] | None:
    """The pitch of every axis; None where it is not said."""
    for one in _mappings(found):
        scale = one.get("scale")
        if (
            one.get("type") == "scale"
            and isinstance(scale, list)
            and all(type(n) in (int, float) for n in scale)
        ):
            return tuple(float(n) for n in scale)
    return None


def _count(image: _Image, array: "StoredArray") -> int:
    """How many channels it has."""
    if len(array.shape) != len(image.axes):
        raise ValueError(f"it has {len(image.axes)} axes, and its numbers {len(array.shape)}")
    channel = image.axis(_CHANNEL)
    return 1 if channel is None else array.shape[channel]


# -- its pages --------------------------------------------------------------------------------------------


class _OmeZarr(Pages):
    def __init__(
        self, path: Path, folder: _ZarrFolder, images: Sequence[tuple[str, str]], dataset: str
    ) -> None:
        super().__init__(path, OME_ZARR.kind)
        given = [part.strip() for part in dataset.strip("/").split("/")] if dataset.strip("/") else []
        first, channel, level = (*given, "", "", "")[:3]
        number = self._number(first if len(given) <= 3 else dataset, len(images), "images", dataset)
        image = _image(folder, *images[number])
        which = self._number(level, len(image.levels), "levels", dataset)
        where, scale = image.levels[which]
        self._array = folder.array(where)
        self._sides = self._array.shape[-2], self._array.shape[-1]
        channels = _count(image, self._array)
        self._channel_axis = image.axis(_CHANNEL)
        self._channel = (
            image.channels.index(channel)
            if channel in image.channels[:channels] and channel
            else self._number(channel, channels, "channels", dataset)
        )
        self._unit, self._window = image.unit, image.window
        self._check_sides(image, number)
        self._lead = tuple(n for axis, n in enumerate(self._array.shape[:-2]) if axis != self._channel_axis)
        self.count = prod(self._lead)
        self._pitches, self._notes = _pitches(image, scale, self.name)
        depth = image.axes[-3] if len(image.axes) > 2 else None
        self._slices = depth is not None and depth.kind == _SPACE
        self.is_volume = self._slices and self._pitches is not None
        if not dataset:
            self._notes += _choices(self.name, len(images), channels, image.channels)

    def _number(self, text: str, count: int, what: str, dataset: str) -> int:
        found = int(text) if text.isdecimal() and len(text) < 9 else -1 if text else 0
        if not 0 <= found < count:
            raise InputError(
                f"The data set '{shown(dataset[:60])}' was wanted, but {self.name} has the {what} 0 to {count - 1}; name "
                "image, channel and level, as in 0/1/0."
            )
        return found

    def _check_sides(self, image: _Image, number: int) -> None:
        if len(image.levels) > 1 and max(self._sides) > LARGEST:
            raise InputError(
                f"An image of at most {LARGEST} pixels a side was wanted, but this level of {self.name} has "
                f"{' x '.join(map(str, self._sides))}; read a smaller one by a data set such as "
                f"{number}/{self._channel}/{len(image.levels) - 1}."
            )
        check_sides(self.name, self._sides)

    def sides(self, page: int) -> tuple[int, int] | None:
        return self._sides

    def _read(self, page: int, part: Part) -> Page:
        alone = self.count == 1 and is_wide(self._array.dtype)
        index: list[int | slice] = [int(n) for n in np.unravel_index(page, self._lead)] if self._lead else []
        if self._channel_axis is not None:
            index.insert(self._channel_axis, self._channel)
        values = self._array[(*index, *(WHOLE if alone else part))]
        notes = self._notes
        if self._array.missing:
            notes += (
                f"{self._array.missing} of the chunks of {self.page_name(page)} are not there; their pixels have the value "
                "that the file gives to such.",
            )
        pitches = self._pitches
        return page_of(
            values, self.name, unit=self._unit, window=self._window, part=part if alone else WHOLE, alone=alone,
            notes=notes, spacing=None if pitches is None else (pitches[-2], pitches[-1]),
            slice_spacing=pitches[-3] if pitches is not None and self._slices else None,
        )  # fmt: skip


def _pitches(
    image: _Image, scale: tuple[float, ...] | None, name: str
) -> tuple[tuple[float, ...] | None, tuple[str, ...]]:
    """The pitch of every axis of space in mm, the others as they are; None, and a note, where they cannot be told."""
    space = [n for n, axis in enumerate(image.axes) if axis.kind == _SPACE]
    if scale is None or len(scale) != len(image.axes) or any(not 0 < scale[n] < np.inf for n in space):
        return None, ()
    units = {image.axes[n].unit for n in space}
    if unknown := sorted(units - set(MILLIMETRES)):
        if unknown == [""]:
            return None, (f"{name} does not state its unit of length; the pixel size is not known.",)
        return None, (
            f"The unit {shown(unknown[-1][:40])} of {name} is no length; the pixel size is not known.",
        )
    return tuple(
        pitch * MILLIMETRES[axis.unit] if axis.kind == _SPACE else pitch
        for pitch, axis in zip(scale, image.axes, strict=True)
    ), ()


def _choices(name: str, images: int, channels: int, named: Sequence[str]) -> tuple[str, ...]:
    """What else there would be to read."""
    notes: tuple[str, ...] = ()
    if images > 1:
        notes += (f"{name} has {images} images; the first is read, another by its number as the data set.",)
    if channels > 1:
        given = [shown(one[:40]) for one in named[: min(8, channels)] if one]
        listed = f" ({', '.join(given)})" if given else ""
        notes += (
            f"{name} has {channels} channels{listed}; the first is read, another by a data set such as 0/1.",
        )
    return notes


OME_ZARR = Format(
    kind="folder of OME-Zarr",
    names=("OME-Zarr",),
    open_pages=open_ome_zarr,
    list_datasets=list_ome_zarr,
)
