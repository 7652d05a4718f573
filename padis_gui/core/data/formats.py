"""The formats that images are read from, and how a file's own is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.data import dicom, hdf5, matlab, nifti, numpy_file, picture, tiff
from padis_gui.core.data.datasets import DatasetInfo
from padis_gui.core.data.pages import Pages, display_name, shown
from padis_gui.core.errors import InputError

_ENOUGH = 520  # bytes that hold every signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format: ``signatures`` are (offset, bytes) pairs, any of which tells it.

    ``open_pages`` takes the path and the name of the array wanted ("" for the obvious one). Some files of a
    format that is ``by_name`` carry no signature; then the ending decides. ``list_datasets`` says what a file of a
    format holds that may hold several arrays.
    """

    kind: str
    suffixes: tuple[str, ...]
    signatures: tuple[tuple[int, bytes], ...]
    open_pages: Callable[[Path, str], Pages]
    list_datasets: Callable[[Path], tuple[DatasetInfo, ...]] | None = None
    by_name: bool = False


_PICTURE = Format(
    kind=picture.KIND,
    suffixes=(".png", ".jpg", ".jpeg", ".bmp"),
    signatures=((0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"BM")),
    open_pages=picture.open_picture,
)

FORMATS: tuple[Format, ...] = (
    Format(
        kind=tiff.KIND,
        suffixes=(".tif", ".tiff", ".btf", ".tf8", ".lsm"),
        signatures=((0, b"II*\x00"), (0, b"MM\x00*"), (0, b"II+\x00"), (0, b"MM\x00+")),
        open_pages=tiff.open_tiff,
        list_datasets=tiff.list_tiff,
    ),
    Format(
        kind=numpy_file.NPY,
        suffixes=(".npy",),
        signatures=((0, b"\x93NUMPY"),),
        open_pages=numpy_file.open_npy,
    ),
    Format(
        kind=numpy_file.NPZ,
        suffixes=(".npz",),
        signatures=((0, b"PK\x03\x04"), (0, b"PK\x05\x06")),
        open_pages=numpy_file.open_npz,
        list_datasets=numpy_file.list_npz,
    ),
    Format(
        kind=matlab.KIND,
        suffixes=(".mat",),
        signatures=((0, b"MATLAB "),),
        open_pages=matlab.open_matlab,
        list_datasets=matlab.list_matlab,
        by_name=True,  # v4 has no signature
    ),
    Format(
        kind=hdf5.KIND,
        suffixes=(".h5", ".hdf5", ".nxs"),
        signatures=((0, b"\x89HDF\r\n\x1a\n"),),
        open_pages=hdf5.open_hdf5,
        list_datasets=hdf5.list_hdf5,
        by_name=True,  # it may begin with a block of the user's own
    ),
    Format(
        kind=nifti.KIND,
        suffixes=(".nii", ".nii.gz"),
        signatures=((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (0, b"\x1f\x8b")),
        open_pages=nifti.open_nifti,
    ),
    Format(
        kind=dicom.KIND,
        suffixes=(".dcm", ".ima"),
        signatures=((128, b"DICM"),),
        open_pages=dicom.open_dicom,
        by_name=True,  # some lack the preamble
    ),
    _PICTURE,
)

SUFFIXES = tuple(suffix for format_ in (_PICTURE, *FORMATS[:-1]) for suffix in format_.suffixes)


def recognise(path: Path) -> Format:
    """The format of a file, by its content rather than its name; a picture where nothing tells.

    Raises :class:`InputError` for what is no file, is empty or cannot be read.
    """
    try:
        start = _start(path)
    except OSError as error:
        raise InputError(
            f"{display_name(path)} cannot be read ({error.strerror}); check its name and permissions."
        ) from None
    for format_ in FORMATS:
        if any(start[at : at + len(sign)] == sign for at, sign in format_.signatures):
            return format_
    for format_ in FORMATS:
        if format_.by_name and path.name.lower().endswith(format_.suffixes):
            return format_
    return _PICTURE


def _start(path: Path) -> bytes:
    name = display_name(path)
    if path.is_dir():
        raise InputError(f"An image file was wanted, but {name} is a folder; open one of the files in it.")
    if not path.exists():
        if path.is_symlink():
            raise InputError(
                f"An image file was wanted, but {name} is a link that leads nowhere or in a circle; open the file itself."
            )
        raise InputError(f"An image file was wanted, but {shown(str(path))} does not exist; check the name.")
    if not path.is_file():
        raise InputError(
            f"An image file was wanted, but {name} is a device or pipe; save it to a file first."
        )
    with path.open("rb") as file:
        start = file.read(_ENOUGH)
    if not start:
        raise InputError(f"An image was wanted, but {name} is empty; get a fresh copy.")
    return start


def may_be_an_image(path: Path) -> bool:
    """Whether a file's name is that of an image, or it is DICOM without an ending, as scanners write it."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        return path.is_file() and recognise(path).kind == dicom.KIND
    except (InputError, OSError):
        return False
