"""TIFF of every common kind: plain pages, and the series of ImageJ, OME and others with their slices and channels."""

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.format import DatasetInfo, Format, describe_array
from padis_gui.core.files.formats.large import LARGE, Block, blocks_of, check_memory, in_planes, memory_of
from padis_gui.core.files.formats.pages import (
    WHOLE,
    Page,
    Pages,
    Part,
    display_name,
    is_wide,
    page_of,
    quietly,
    shown,
)
from padis_gui.core.files.formats.stored import Stored
from padis_gui.core.files.formats.tiff_colours import (
    as_stored,
    check_readable,
    check_whole,
    colours_of,
    colours_of_block,
    is_coloured,
    is_mixed,
    is_on_its_side,
    stands_upright,
    upright,
)
from padis_gui.core.files.formats.tiff_meaning import meaning_of
from padis_gui.core.settings.errors import InputError

# files whose slices or channels lie otherwise than page by page
_IN_SERIES = ("ome", "imagej", "lsm", "stk", "shaped")
_FEW = 64
_MOST_AT_ONCE = 2**29


def open_tiff(path: Path, dataset: str) -> Pages:
    """A TIFF of any number of pages; only the directory of pages is read now.

    ``dataset`` is "series/channel", both counted from 0, where there are several; a channel may go by its name.
    """
    file = _opened(path)
    try:
        return _Tiff(path, file, dataset)
    except BaseException:
        file.close()
        raise


def list_tiff(path: Path) -> tuple[DatasetInfo, ...]:
    """The series and their channels; nothing where there is one of each."""
    with _opened(path) as file:
        found = []
        series = _series_of(file)
        if len(series) < 2 and (samples := _samples(file)) > 1:
            page, count = file.pages[0], _Tiff(path, file, "").count
            shape = (count, int(page.imagelength), int(page.imagewidth))
            return tuple(describe_array(f"0/{n}", shape, str(page.dtype)) for n in range(samples))
        for number, one in enumerate(series):
            says = meaning_of(file, number)
            planes = _Planes(one, says.is_ours)
            title = str(one.name)[:60] if len(series) > 1 else ""
            for channel in range(planes.channels):
                named = says.channels[channel] if channel < len(says.channels) else ""
                found.append(
                    describe_array(
                        f"{number}/{channel}", (len(planes.order), *one.keyframe.shape), str(one.dtype),
                        description=" · ".join(filter(None, (title, named))), pages=len(planes.order),
                    )
                )  # fmt: skip
        return tuple(found) if len(found) > 1 else ()


def _opened(path: Path) -> Any:
    quietly("tifffile")
    import tifffile

    return tifffile.TiffFile(path)


def _series_of(file: Any) -> list[Any]:
    """The series of a file in which they matter; none where a page is an image."""
    grouped = file.is_ome or file.is_imagej or file.is_lsm or file.is_stk
    if not grouped and not (file.is_shaped and len(file.pages) == 1):
        return []
    found = [one for one in file.series if one.keyframe is not None]
    return found if found and all(one.kind in _IN_SERIES for one in found) else []


class _Planes:
    """Which planes of a series are a page: ``order`` (pages, colours) counts planes as they are stored.

    A page goes through the slices of one time after the other; of ``channels`` there is one in a page.
    """

    def __init__(self, series: Any, ours: bool, channel: int = 0) -> None:
        self.series = series
        plane = tuple(series.keyframe.shape)
        shape = tuple(int(n) for n in series.shape)
        self.whole = shape[len(shape) - len(plane) :] != plane or series.keyframe.imagedepth > 1
        self.plane = 2 + ("S" in series.axes[-3:])  # axes of a plane
        lead = shape[: len(shape) - (self.plane if self.whole else len(plane))]
        axes = series.axes[: len(lead)]
        self.stored = prod(lead)
        # an ImageJ file that names no other axis counts its images as channels
        counted = "C" in axes and not (series.kind == "imagej" and axes == "C")
        coloured = ours and "C" in axes and lead[axes.index("C")] == 3
        self.channels = lead[axes.index("C")] if counted and not coloured else 1
        numbers = np.arange(self.stored).reshape(lead)
        if counted or coloured:
            numbers = np.moveaxis(numbers, axes.index("C"), -1)
            axes = axes.replace("C", "")
            numbers = numbers if coloured else numbers[..., channel : channel + 1]
        else:
            numbers = numbers[..., None]
        places = sorted(range(len(axes)), key=lambda n: (axes[n] == "Z", axes[n] == "T"))
        self.order: NDArray[Any] = numbers.transpose(*places, len(axes)).reshape(-1, numbers.shape[-1])


class _Tiff(Pages):
    def __init__(self, path: Path, file: Any, dataset: str) -> None:
        super().__init__(path, TIFF.kind, file.close)
        self._path, self._file = path, file
        series = _series_of(file)
        number, channel = _choice(dataset, len(series), display_name(path))
        self._says = meaning_of(file, number)
        self._planes: _Planes | None = None
        self._notes: tuple[str, ...] = ()
        if series:
            self._planes = self._chosen(series[number], channel)
            self.is_volume = "Z" in series[number].axes and self._says.slice_spacing is not None
        self._kept = () if series else _full_pages(file)
        self.count = len(self._kept if self._planes is None else self._planes.order)
        one_channel = self._planes is None or self._planes.channels == 1
        self._sample = int(channel) if one_channel and channel.isdigit() else 0
        if one_channel and not channel and (samples := _samples(file)) > 1:
            self._notes += (
                f"{self.name} has {samples} channels; the first is read, another by a data set such as 0/1.",
            )
        if len(series) > 1 and not dataset:
            self._notes += (
                f"{self.name} has {len(series)} images; the first is read, another by its number as the data set.",
            )
        if not self.count:
            raise InputError(f"An image was wanted, but {self.name} has no pages; save it anew.")
        self._whole: NDArray[Any] | None = None

    def _chosen(self, series: Any, channel: str) -> _Planes:
        names = self._says.channels
        planes = _Planes(series, self._says.is_ours)
        if planes.channels == 1:
            return planes
        if channel in names:
            wanted = names.index(channel)
        elif not channel or channel.isdigit():
            wanted = int(channel or 0)
        else:
            wanted = planes.channels
        if wanted >= planes.channels:
            raise InputError(
                f"Channel '{shown(channel[:40])}' was wanted, but {self.name} has the channels 0 to {planes.channels - 1}"
                f"{_named(names)}; choose one of those."
            )
        if not channel:
            self._notes += (
                f"{self.name} has {planes.channels} channels{_named(names)}; the first is read, another by a data set "
                "such as 0/1.",
            )
        return _Planes(series, self._says.is_ours, wanted)

    def sides(self, page: int) -> tuple[int, int] | None:
        planes = self._planes
        source = self._file.pages[self._kept[page]].keyframe if planes is None else planes.series.keyframe
        rows, columns = int(source.imagelength), int(source.imagewidth)
        return (columns, rows) if is_on_its_side(source) else (rows, columns)

    def _read(self, page: int, part: Part) -> Page:
        planes = self._planes
        source = self._file.pages[self._kept[page]] if planes is None else planes.series.keyframe
        alone = self.count == 1 and source.keyframe.dtype is not None and is_wide(source.keyframe.dtype)
        wanted = part if stands_upright(source) and not alone else WHOLE
        stored = (
            [(source, None)] if planes is None else [self._stored(planes, int(n)) for n in planes.order[page]]
        )
        large = self._large(stored, source)
        if large is not None:
            values = large[wanted]
        else:
            found = [self._of_page(one, offset, wanted) for one, offset in stored]
            values = found[0] if len(found) == 1 else np.stack(found, axis=-1)
            values = upright(values, source)
        spacing = self._says.spacing
        if spacing is not None and is_on_its_side(source):
            spacing = spacing[1], spacing[0]
        keyframe = self._file.pages[0] if planes is None else planes.series.keyframe
        bits, type_ = keyframe.bitspersample, source.keyframe.dtype
        # 12 bits in 16 are white at 4095, as 4 bits in 8 are at 15
        packed = type_.kind == "u" and 1 < bits < 8 * type_.itemsize and values.ndim != 3
        return page_of(
            self._says.calibrated(values), self.name, part=WHOLE if wanted is part else part, alone=alone,
            unit=self._says.unit, window=(0.0, float(2**bits - 1)) if packed else self._says.window,
            spacing=spacing, slice_spacing=self._says.slice_spacing, notes=self._notes, stored=type_,
        )  # fmt: skip

    def _stored(self, planes: _Planes, number: int) -> tuple[Any, int | None]:
        """The page of the file that a plane of the series is, and where the plane begins where it is none of its own.

        An array for the page: the series is loaded whole where its planes do not lie in the file as they are.
        """
        series = planes.series
        keyframe = series.keyframe
        check_readable(keyframe, self.name)
        if not planes.whole and len(series.pages) == planes.stored:
            source = series.pages[number]
            if source is None:
                raise InputError(
                    f"A page inside {self.name} was wanted, but it lies in another file that is not there; put the files "
                    "of the set into one folder."
                )
            return source, None
        if series.dataoffset is None or planes.whole:
            if self._whole is None:
                size = prod(int(n) for n in series.shape) * series.dtype.itemsize
                if size > _MOST_AT_ONCE:
                    raise InputError(
                        f"Pages that can be read alone were wanted, but those of {self.name} make one block of "
                        f"{size / 2**30:.2g} GiB; save it a page at a time."
                    )
                self._whole = series.asarray().reshape(planes.stored, *series.shape[-planes.plane :])
            return np.asarray(self._whole[number]), None
        return keyframe, series.dataoffset + number * prod(keyframe.shape) * series.dtype.itemsize

    def _of_page(self, source: Any, offset: int | None, part: Part) -> NDArray[Any]:
        """A part of a page as it is stored, grey or in colours."""
        if isinstance(source, np.ndarray) and self._planes is not None:
            return colours_of(source, self._planes.series.keyframe, self._sample, self.name)[part]
        if offset is None:
            if part == WHOLE or source.parent is not self._file or not _in_one_piece(source):
                return colours_of(source.asarray(), source, self._sample, self.name)[part]
            offset = source.dataoffsets[0]
        # of a grey page that lies in the file as it is, the rest is not read
        keyframe = source.keyframe
        values = Stored.of(self._path)[offset:].array(
            np.dtype(self._file.byteorder + keyframe.dtype.char), keyframe.shape
        )
        if len(values.shape) == 2:
            return colours_of(values[part], source, self._sample, self.name)
        return colours_of(values[()], source, self._sample, self.name)[part]

    def _large(self, stored: Sequence[tuple[Any, int | None]], turned: Any) -> NDArray[Any] | None:
        """A large page by its parts, upright; None for what is read at once, if that takes no more memory than is meant.

        ``stored`` is that page, or are the pages that are its colours; ``turned`` is the page that says how they stand.
        """
        source = stored[0][0]
        if isinstance(source, np.ndarray):
            return None
        for one, offset in stored:
            check_readable(one, self.name)
            if offset is None:
                check_whole(one, self.name)
        page = source.keyframe
        pixels, kind = page.imagelength * page.imagewidth, page.dtype
        colours = 3 if is_coloured(page) else len(stored)
        if page.imagedepth > 1:  # no page shows that
            check_memory(self.name, page.nbytes)
            return None
        if max(page.nbytes * len(stored), 4 * pixels * colours) <= LARGE:
            return None
        becomes = pixels * colours * (kind.itemsize if is_wide(kind) else 4)
        if is_mixed(page):
            mixed = 3 * pixels * kind.itemsize
            check_memory(self.name, mixed + max(page.nbytes, becomes))
            return None
        check_memory(
            self.name, max(memory_of(source, becomes), becomes + 4 * pixels * colours * is_wide(kind))
        )

        def blocks() -> Iterator[Block]:
            for channel, (one, offset) in enumerate(stored):
                for block in blocks_of(one, becomes, offset):
                    found = colours_of_block(block, one, self._sample, self.name)
                    if found is not None:
                        yield found._replace(
                            sample=found.sample + channel, values=self._says.calibrated(found.values)
                        )

        rows, columns = page.imagelength, page.imagewidth
        sides = (columns, rows) if is_on_its_side(turned) else (rows, columns)
        planes = in_planes(
            blocks(),
            sides,
            lying=lambda plane: as_stored(plane, turned),
            dtype=kind if is_wide(kind) else np.float32,
        )
        return planes if colours > 1 else planes[..., 0]


def _in_one_piece(page: Any) -> bool:
    """Whether the strips of a page lie behind each other, neither packed nor compressed."""
    starts, lengths = page.dataoffsets, page.databytecounts
    return bool(page.is_memmappable) and all(
        start + length == following
        for start, length, following in zip(starts, lengths, starts[1:], strict=False)
    )


def _samples(file: Any) -> int:
    """How many grey pictures a page holds side by side: neither colours nor opacity."""
    page = file.pages[0] if len(file.pages) else None
    if page is None or getattr(page.photometric, "name", "") not in ("MINISBLACK", "MINISWHITE"):
        return 1
    return int(page.samplesperpixel) - len([extra for extra in page.extrasamples if extra in (1, 2)])


def _named(names: tuple[str, ...]) -> str:
    given = [shown(name[:40]) for name in names[:8] if name]
    return f" ({', '.join(given)})" if given else ""


def _choice(dataset: str, series: int, name: str) -> tuple[int, str]:
    """The number of the series, and the channel as it is called."""
    first, _, channel = dataset.strip("/").partition("/")
    number = int(first) if first.isdigit() and len(first) < 9 else 0 if not first else -1
    if not 0 <= number < max(series, 1):
        raise InputError(
            f"The image '{shown(dataset[:60])}' was wanted, but {name} has the images 0 to {max(series, 1) - 1}; name "
            "one of those, and a channel as in 0/1."
        )
    return number, channel


def _full_pages(file: Any) -> Sequence[int]:
    """The pages that are images of their own; some may be thumbnails or masks of others."""
    everything = range(len(file.pages))
    if not 1 < len(everything) <= _FEW:
        return everything
    return [n for n in everything if not (file.pages[n].is_reduced or file.pages[n].is_mask)] or everything


TIFF = Format(
    kind="TIFF",
    names=("TIFF",),
    numbered=True,
    suffixes=(".tif", ".tiff", ".btf", ".tf8", ".lsm"),
    signatures=((0, b"II*\x00"), (0, b"MM\x00*"), (0, b"II+\x00"), (0, b"MM\x00+")),
    open_pages=open_tiff,
    list_datasets=list_tiff,
)
