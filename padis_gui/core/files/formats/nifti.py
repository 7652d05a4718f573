"""NIfTI (.nii, .nii.gz, .hdr with .img) and Analyze 7.5: a volume in pages, each plane laid out as DICOM lays it out."""

import gzip
import io
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.format import DatasetInfo, Format, describe_array
from padis_gui.core.files.formats.large import LARGE, ROWS
from padis_gui.core.files.formats.pages import (
    MILLIMETRES,
    SMALLEST,
    Page,
    Pages,
    Part,
    check_sides,
    display_name,
    page_of,
    quietly,
    shown,
    wrong_shape,
)
from padis_gui.core.settings.errors import InputError

_GZIP = b"\x1f\x8b"
_HEADER = 352  # bytes that tell one kind from another
_ANALYZE = ((348).to_bytes(4, "little"), (348).to_bytes(4, "big"))
_COARSE = 1.5  # a pitch so much longer than the others is that of slices
_ASSUMED = (
    "{} does not state its unit of length; its voxels are taken to be in mm, as FSL, SPM and ITK take them."
)


@dataclass(frozen=True, slots=True)
class _Plane:
    """Anatomical axes (0 left to right, 1 back to front, 2 bottom to top) of rows, columns and pages; page by page upwards.

    Rows run towards the back or the bottom and columns towards the patient's left or the back, as DICOM's do.
    """

    rows: int
    columns: int
    pages: int
    upwards: bool = True


# Pages follow DICOM's normal, rows x columns: to the top, to the back, to the right
_PLANES = {
    "axial": _Plane(1, 0, 2), "coronal": _Plane(2, 0, 1, upwards=False), "sagittal": _Plane(2, 1, 0),
}  # fmt: skip


def open_nifti(path: Path, dataset: str) -> Pages:
    """A volume, or several one after the other; each page is read when it is asked for.

    Pages are the plane that ``dataset`` names (axial, coronal or sagittal), else the one it was acquired in: where
    voxels are far longer one way, or too few for another plane; a volume alike all ways is axial.
    """
    with ExitStack() as opened:
        pages = _Nifti(path, dataset, opened)
        pages.keep(opened.pop_all())
    return pages


def list_nifti(path: Path) -> tuple[DatasetInfo, ...]:
    """The planes that a volume can be cut in; nothing for a picture."""
    with ExitStack() as opened:
        return _Nifti(path, "", opened).planes()


def _files(path: Path, opened: ExitStack) -> tuple[Any, Any]:
    """Header and image, open to be read: one file, or two that lie beside each other."""
    ending = path.suffix.lower()
    with path.open("rb") as start:
        begins = start.read(4)
    if begins[:2] == _GZIP or ending not in (".hdr", ".img"):
        packed = begins[:2] == _GZIP
        file: Any = gzip.open(path, "rb") if packed else path.open("rb")  # noqa: SIM115 - the stack closes it
        opened.enter_context(file)
        return file, file
    pair = []
    for wanted in (".hdr", ".img"):
        other = path.with_suffix(wanted if path.suffix.islower() else wanted.upper())
        if not other.is_file():
            raise InputError(
                f"A header (.hdr) with its image (.img) was wanted, but {display_name(path)} stands without "
                f"{display_name(other)}; put them into one folder."
            )
        pair.append(opened.enter_context(other.open("rb")))
    return pair[0], pair[1]


def _image(path: Path, opened: ExitStack) -> Any:
    """The volume, of which only the header has been read."""
    import nibabel

    quietly("nibabel.global")  # it prints what it mends in a header
    header, image = _files(path, opened)
    start = header.read(_HEADER)
    header.seek(0)
    kinds: dict[bool, Any] = {
        start[344:348] == b"n+1\0": nibabel.Nifti1Image,
        start[4:8] == b"n+2\0": nibabel.Nifti2Image,
        header is not image and start[344:348] == b"ni1\0": nibabel.Nifti1Pair,
        header is not image and start[4:8] == b"ni2\0": nibabel.Nifti2Pair,
    }
    if header is not image and start[:4] in _ANALYZE:
        kinds.setdefault(True, nibabel.Spm2AnalyzeImage)
    if True not in kinds:
        raise InputError(
            f"A NIfTI volume in one file, or in .hdr and .img, was wanted, but {display_name(path)} is none; save it as "
            ".nii or .nii.gz."
        )
    # SPM's .mat beside an Analyze image is not read: what reads MATLAB's files there does not bear damaged ones
    parts = {"header": header, "image": image, "mat": io.BytesIO()}
    files = {part: nibabel.FileHolder(fileobj=file) for part, file in parts.items()}
    return kinds[True].from_file_map(files, mmap=False)


class _Nifti(Pages):
    is_volume = True

    def __init__(self, path: Path, dataset: str, opened: ExitStack) -> None:
        super().__init__(path, NIFTI.kind)
        image = _image(path, opened)
        self._array, self._shape = image.dataobj, tuple(int(n) for n in image.shape)
        if len(self._shape) < 2 or min(self._shape) < 1:
            raise wrong_shape(self.name, self._shape)
        self._axes, self._forwards = _orientation(image.affine, flat=len(self._shape) == 2)
        self._pitches, self._notes = _pitches(image.header, self.name)
        self._plane = _PLANES["axial"]
        if self._axes is not None:
            self._plane = self._chosen(dataset.strip().lower(), image.header)
        self._depth = self._length(self._plane.pages)
        check_sides(self.name, self._sides(self._plane))
        self.count = self._depth * int(np.prod(self._shape[3:], dtype=object))

    def keep(self, opened: ExitStack) -> None:
        """Hold the files open until the pages are closed."""
        self._close = opened.close

    def planes(self) -> tuple[DatasetInfo, ...]:
        """The planes by their names."""
        if self._axes is None:
            return ()
        volumes, kind = int(np.prod(self._shape[3:], dtype=object)), str(self._array.dtype)[:60]
        return tuple(
            describe_array(name, (self._length(plane.pages) * volumes, *self._sides(plane)), kind)
            for name, plane in _PLANES.items()
        )

    def _chosen(self, wanted: str, header: Any) -> _Plane:
        if wanted in _PLANES:
            return _PLANES[wanted]
        if wanted:
            raise InputError(
                f"The plane '{shown(wanted[:40])}' was wanted, but {self.name} can be cut in the planes axial, coronal and "
                "sagittal; name one of those."
            )
        name = next(
            (one for one in self._likely(header) if min(self._sides(_PLANES[one])) >= SMALLEST), "axial"
        )
        if name != "axial":
            self._notes += (
                f"The pages of {self.name} are {name}, the plane it was acquired in; the data set axial cuts it across.",
            )
        return _PLANES[name]

    def _likely(self, header: Any) -> list[str]:
        """The planes, first the one in which it was most probably acquired."""
        across = {plane.pages: name for name, plane in _PLANES.items()}
        pitches = [self._pitch(axis) or 1.0 for axis in range(3)]
        *_, middle, longest = sorted(pitches)
        found = [across[pitches.index(longest)]] if longest > _COARSE * middle else []
        found.append("axial")
        of_slices = header.get_dim_info()[2] if hasattr(header, "get_dim_info") else None
        if of_slices is not None and self._axes is not None and of_slices in self._axes:
            found.append(across[self._axes.index(of_slices)])
        return found + [across[axis] for axis in sorted(range(3), key=self._length)]

    def _axis(self, anatomical: int) -> int:
        """The file's axis that runs along an anatomical one."""
        return anatomical if self._axes is None else self._axes[anatomical]

    def _length(self, anatomical: int) -> int:
        axis = self._axis(anatomical)
        return self._shape[axis] if axis < min(3, len(self._shape)) else 1

    def _pitch(self, anatomical: int) -> float | None:
        axis = self._axis(anatomical)
        return self._pitches[axis] if axis < len(self._pitches) else None

    def _sides(self, plane: _Plane) -> tuple[int, int]:
        return self._length(plane.rows), self._length(plane.columns)

    def sides(self, page: int) -> tuple[int, int] | None:
        return self._sides(self._plane)

    def _read(self, page: int, part: Part) -> Page:
        plane = self._plane
        rows, columns, depth = (self._axis(axis) for axis in (plane.rows, plane.columns, plane.pages))
        volume, slice_ = divmod(page, self._depth)
        index: list[Any] = [slice(None)] * len(self._shape)
        if depth < len(self._shape):
            upwards = self._forwards[plane.pages] == plane.upwards
            index[depth] = slice_ if upwards else self._depth - 1 - slice_
        later = np.unravel_index(volume, self._shape[3:], order="F") if self._shape[3:] else ()
        index[3:] = [int(n) for n in later]
        values = self._values(index, max(rows, columns))
        if values.ndim not in (2, 3):
            raise wrong_shape(self.name, self._shape)
        if rows > columns:
            values = values.swapaxes(0, 1)
        turned = [-1 if self._forwards[axis] else 1 for axis in (plane.rows, plane.columns)]
        values = values[:: turned[0], :: turned[1]]
        across, along = self._pitch(plane.rows), self._pitch(plane.columns)
        return page_of(
            values, self.name, part=part, alone=self.count == 1,
            spacing=None if across is None or along is None else (across, along),
            slice_spacing=self._pitch(plane.pages), notes=self._notes,
        )  # fmt: skip

    def _values(self, index: list[Any], along: int) -> NDArray[Any]:
        """What is there; of a large page in double precision some at a time along an axis of the file."""
        array = self._array
        scaled = (array.slope, array.inter) != (1, 0)
        if 8 * prod(self._sides(self._plane)) <= LARGE or array.dtype.names or not scaled:
            return _in_colours(np.asarray(array[tuple(index)]))
        parts = []
        for first in range(0, self._shape[along], ROWS):
            index[along] = slice(first, first + ROWS)
            parts.append(np.asarray(array[tuple(index)]).astype(np.float32))
        return np.concatenate(parts, axis=-1)


def _in_colours(values: NDArray[Any]) -> NDArray[Any]:
    """Colours, which NIfTI keeps as records, as (rows, columns, 3); other numbers as they are."""
    names = values.dtype.names
    if names is None or len(names) < 3:
        return values
    return np.stack([values[name] for name in names[:3]], axis=-1)


def _orientation(affine: Any, *, flat: bool) -> tuple[tuple[int, int, int] | None, tuple[bool, bool, bool]]:
    """The file's axes that run along left-right, back-front and bottom-top, and whether they run that way.

    None for what the affine maps to a plane or nowhere: it is shown as the file has it.
    """
    from nibabel.orientations import io_orientation

    try:
        found = io_orientation(affine)  # type: ignore[no-untyped-call]
    except (ValueError, np.linalg.LinAlgError):
        found = np.full((3, 2), np.nan)
    if flat or not np.isfinite(found).all():
        return None, (True, True, True)
    axes = {int(direction): axis for axis, direction in enumerate(found[:, 0])}
    order = axes[0], axes[1], axes[2]
    return order, (bool(found[order[0], 1] > 0), bool(found[order[1], 1] > 0), bool(found[order[2], 1] > 0))


def _pitches(header: Any, name: str) -> tuple[tuple[float | None, ...], tuple[str, ...]]:
    """Distance along each of the file's axes in mm where its unit is one of length, and a note where it states none."""
    zooms = header.get_zooms()[:3]
    notes: tuple[str, ...] = ()
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "mm"  # Analyze is in mm
    if unit == "unknown":
        unit, notes = "mm", (_ASSUMED.format(name),)
    scale = MILLIMETRES.get(unit)
    if scale is None:
        return (), ()
    found = (float(zoom) * scale for zoom in zooms)
    return tuple(pitch if 0 < pitch < float("inf") else None for pitch in found), notes


NIFTI = Format(
    kind="NIfTI file",
    names=("NIfTI", "Analyze"),
    suffixes=(".nii", ".nii.gz", ".img"),
    signatures=(
        (344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (4, b"ni2\0"), (0, _GZIP), *((0, size) for size in _ANALYZE),
    ),
    by_name=True,  # an .img is told by the header beside it
    open_pages=open_nifti,
    list_datasets=list_nifti,
)  # fmt: skip
