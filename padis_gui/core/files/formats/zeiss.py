"""Zeiss Xradia's images: `.txrm` (projections), `.xrm` (one image) and `.txm` (slices), which are OLE files.

An OLE file (Microsoft, [MS-CFB]: Compound File Binary File Format) is a tree of named streams. The names of Xradia's
and what they hold are known from dxchange's reader (`read_txrm`, `read_metadata`): ImageInfo/ImageWidth, ImageHeight,
DataType (3 uint8, 5 uint16, 10 float32), NoOfImages, PixelSize in µm; the images are ImageData1/Image1 to Image100,
ImageData2/Image101 and so on. Only the sectors that hold the rows asked for are read.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.format import Format
from padis_gui.core.files.formats.pages import (
    MOST_PAGES,
    Page,
    Pages,
    Part,
    check_sides,
    display_name,
    page_of,
)
from padis_gui.core.settings.errors import InputError

_TYPES: dict[int, np.dtype[Any]] = {3: np.dtype("u1"), 5: np.dtype("<u2"), 10: np.dtype("<f4")}
_IN_A_STORAGE = 100  # images
_MOST_VALUES = 4 * MOST_PAGES  # bytes of a stream of numbers


class Streams:
    """The streams of an open OLE file, by paths whose case doesn't matter."""

    def __init__(self, path: Path) -> None:
        import olefile  # type: ignore[import-untyped]

        self.name = display_name(path)
        self._file = olefile.OleFileIO(str(path))
        self.close = self._file.close

    def has(self, path: str) -> bool:
        """Whether there is such a stream or storage."""
        return self._entry(path) is not None

    def size(self, path: str) -> int:
        """The bytes of a stream; 0 where there is none."""
        entry = self._entry(path)
        return 0 if entry is None else int(entry.size)

    def _entry(self, path: str) -> Any | None:
        found: Any | None = self._file.root
        for part in path.lower().split("/"):
            found = None if found is None else found.kids_dict.get(part)
        return found

    def values(self, path: str, dtype: str, count: int = 1) -> NDArray[Any] | None:
        """The first ``count`` numbers of a stream; None where there is none, or fewer."""
        size = count * np.dtype(dtype).itemsize
        if not size <= self.size(path) <= _MOST_VALUES:
            return None
        return np.frombuffer(self._file.openstream(path).read(size), dtype)

    def value(self, path: str, dtype: str) -> float | None:
        """The first number of a stream; None where there is none."""
        found = self.values(path, dtype)
        return None if found is None else float(found[0])

    def part(self, path: str, start: int, length: int) -> bytes:
        """Bytes of a stream, of whose sectors the others are not read; raises :class:`InputError` where there are none."""
        entry, file = self._entry(path), self._file
        if entry is None or start + length > entry.size:
            raise InputError(
                f"The stream {path} was wanted, but {self.name} lacks it or a part of it; get a whole copy."
            )
        if entry.size < file.minisectorcutoff:
            stream: bytes = file.openstream(path).read()
            return stream[start : start + length]
        sector, side, chain = entry.isectStart, file.sectorsize, file.fat
        for _ in range(start // side):
            sector = chain[sector]
        skipped = start % side
        found = []
        for _ in range(-(-(skipped + length) // side)):
            found.append(file.getsect(sector))
            sector = chain[sector]
        return b"".join(found)[skipped : skipped + length]


class ZeissPages(Pages):
    """The images of a file; ``streams`` are what else it holds."""

    def __init__(self, path: Path, kind: str) -> None:
        self.streams = streams = Streams(path)
        super().__init__(path, kind, streams.close)
        try:
            stated = {
                n: streams.value(f"ImageInfo/{n}", "<u4")
                for n in ("ImageWidth", "ImageHeight", "DataType", "NoOfImages")
            }
            if None in stated.values():
                raise InputError(
                    f"Zeiss Xradia's ImageInfo was wanted, but {self.name} is another OLE file, such as an Office "
                    "document, or lacks it; open a .txrm, .xrm or .txm."
                )
            width, height, kind_of, listed = (int(each or 0) for each in stated.values())
            check_sides(self.name, (height, width))
            if kind_of not in _TYPES:
                raise InputError(
                    f"Images of type 3, 5 or 10 (8 or 16 bits, float) were wanted, but {self.name} has the type {kind_of}; "
                    "export it as TIFF."
                )
            taken = streams.value("ImageInfo/ImagesTaken", "<u4")
            self.count = int(taken) if taken and 0 < taken < listed else listed
            self._sides, self._dtype = (height, width), _TYPES[kind_of]
            # a count that no file of this size can hold is refused before anything is made of it
            if (
                not 1
                <= self.count
                <= min(MOST_PAGES, path.stat().st_size // (height * width * self._dtype.itemsize))
            ):
                raise InputError(
                    f"{self.count} images of {height} x {width} were wanted, as {self.name} says, but it is too "
                    "small for them; get a whole copy."
                )
            pixel = streams.value("ImageInfo/PixelSize", "<f4")
            sound = pixel is not None and np.isfinite(pixel) and 1e-6 < pixel < 1e6
            self.pixel = pixel / 1000 if sound and pixel is not None else None
            angles = streams.values("ImageInfo/Angles", "<f4", self.count)
            self.is_volume = self.count > 1 and (angles is None or not np.ptp(angles))
        except BaseException:
            self.close()
            raise

    def sides(self, page: int) -> tuple[int, int] | None:
        return self._sides

    def image(self, path: str, rows: slice, dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
        """Rows of an image as it is stored, (rows, columns)."""
        dtype = self._dtype if dtype is None else dtype
        width = self._sides[1]
        line = width * dtype.itemsize
        first, end, _ = rows.indices(self._sides[0])
        data = self.streams.part(path, first * line, (end - first) * line)
        return np.frombuffer(data, dtype).reshape(end - first, width)

    def page_stream(self, page: int) -> str:
        """The path of a page's stream."""
        return f"ImageData{page // _IN_A_STORAGE + 1}/Image{page + 1}"

    def _read(self, page: int, part: Part) -> Page:
        values = self.image(self.page_stream(page), part[0])[:, part[1]]
        spacing = None if self.pixel is None else (self.pixel, self.pixel)
        return page_of(
            values, self.name, spacing=spacing, slice_spacing=self.pixel if self.is_volume else None
        )


ZEISS = Format(
    kind="Zeiss file",
    names=("Zeiss TXRM",),
    suffixes=(".txrm", ".xrm", ".txm"),
    signatures=((0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),),
    open_pages=lambda path, _dataset: ZeissPages(path, "Zeiss file"),
)
