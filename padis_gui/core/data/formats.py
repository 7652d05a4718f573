"""The formats that images are read from, and how a file's own is told: by its content, else by its name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.data import dicom, hdf5, matlab, nifti, numpy_file, picture, tiff
from padis_gui.core.data.datasets import DatasetInfo
from padis_gui.core.data.pages import MOST_PAGES, Pages, display_name, in_one_sentence, shown
from padis_gui.core.errors import InputError

_ENOUGH = 520  # bytes that hold every signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format: ``names`` are what users call it, ``signatures`` (offset, bytes) pairs, any of which tells it.

    ``open_pages`` takes the path and the name of the array wanted ("" for the obvious one). Some files of a
    format that is ``by_name`` carry no signature; then the ending decides. ``list_datasets`` says what a file of a
    format holds that may hold several arrays. ``numbered`` files may be the slices of one stack.
    """

    kind: str
    open_pages: Callable[[Path, str], Pages]
    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    signatures: tuple[tuple[int, bytes], ...] = ()
    list_datasets: Callable[[Path], tuple[DatasetInfo, ...]] | None = None
    by_name: bool = False
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Recognised:
    """A file or folder with its format; ``name`` is what to call it in front of the user."""

    path: Path
    format: Format
    name: str

    @property
    def kind(self) -> str:
        """The name of the format, such as "DICOM file"."""
        return self.format.kind

    def open_pages(self, dataset: str = "") -> Pages:
        """Open it to read its pages one by one; close them, or use them in a ``with``.

        ``dataset`` names what is wanted of a file that may hold several (an array of NPZ, MATLAB and HDF5, series and
        channel of a TIFF, a series of a folder); empty takes the obvious one. Raises :class:`InputError` for what
        cannot be opened as images.
        """
        with in_one_sentence(self.name, self.kind):
            pages = self.format.open_pages(self.path, dataset)
        if not 1 <= pages.count <= MOST_PAGES:
            pages.close()
            raise InputError(
                f"1 to {MOST_PAGES} images were wanted, but {self.name} claims {pages.count}; get a fresh copy."
            )
        return pages

    def list_datasets(self) -> tuple[DatasetInfo, ...]:
        """What ``dataset`` can name, without reading it; empty where there is no choice.

        Raises :class:`InputError` for what cannot be opened.
        """
        if self.format.list_datasets is None:
            return ()
        with in_one_sentence(self.name, self.kind):
            return self.format.list_datasets(self.path)


_PICTURE = Format(
    kind=picture.KIND,
    names=("PNG", "JPEG", "BMP"),
    suffixes=(".png", ".jpg", ".jpeg", ".bmp"),
    signatures=((0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"BM")),
    open_pages=lambda path, _dataset: picture.open_picture(path, readable()),
    numbered=True,
)

FORMATS: tuple[Format, ...] = (
    Format(
        kind=tiff.KIND,
        names=("TIFF",),
        suffixes=(".tif", ".tiff", ".btf", ".tf8", ".lsm"),
        signatures=((0, b"II*\x00"), (0, b"MM\x00*"), (0, b"II+\x00"), (0, b"MM\x00+")),
        open_pages=tiff.open_tiff,
        list_datasets=tiff.list_tiff,
        numbered=True,
    ),
    Format(
        kind=numpy_file.NPY,
        names=("NPY",),
        suffixes=(".npy",),
        signatures=((0, b"\x93NUMPY"),),
        open_pages=numpy_file.open_npy,
        numbered=True,
    ),
    Format(
        kind=numpy_file.NPZ,
        names=("NPZ",),
        suffixes=(".npz",),
        signatures=((0, b"PK\x03\x04"), (0, b"PK\x05\x06")),
        open_pages=numpy_file.open_npz,
        list_datasets=numpy_file.list_npz,
    ),
    Format(
        kind=matlab.KIND,
        names=("MATLAB",),
        suffixes=(".mat",),
        signatures=((0, b"MATLAB "),),
        open_pages=matlab.open_matlab,
        list_datasets=matlab.list_matlab,
        by_name=True,  # v4 has no signature
    ),
    Format(
        kind=hdf5.KIND,
        names=("HDF5",),
        suffixes=(".h5", ".hdf5", ".nxs"),
        signatures=((0, b"\x89HDF\r\n\x1a\n"),),
        open_pages=hdf5.open_hdf5,
        list_datasets=hdf5.list_hdf5,
        by_name=True,  # it may begin with a block of the user's own
    ),
    Format(
        kind=nifti.KIND,
        names=("NIfTI",),
        suffixes=(".nii", ".nii.gz"),
        signatures=((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (0, b"\x1f\x8b")),
        open_pages=nifti.open_nifti,
    ),
    Format(
        kind=dicom.KIND,
        names=("DICOM",),
        suffixes=(".dcm", ".ima"),
        signatures=((128, b"DICM"),),
        open_pages=dicom.open_dicom,
        by_name=True,  # some lack the preamble
    ),
    _PICTURE,  # the last, as BMP's signature is only two bytes long
)
# In the order in which a user hears of them
_OFFERED = (_PICTURE, *FORMATS[:-1])
SUFFIXES = tuple(suffix for format_ in _OFFERED for suffix in format_.suffixes)


def readable(last: str = "or") -> str:
    """All formats in a sentence: PNG, JPEG, …, NIfTI ``last`` DICOM."""
    *names, final = (name for format_ in _OFFERED for name in format_.names)
    return f"{', '.join(names)} {last} {final}"


def recognise_file(path: Path) -> Recognised:
    """A file and its format, by its content rather than its name; a picture where nothing tells.

    Raises :class:`InputError` for what is no file, is empty or cannot be read.
    """
    name = display_name(path)
    try:
        start = _start(path, name)
    except OSError as error:
        raise InputError(
            f"{name} cannot be read ({error.strerror}); check its name and permissions."
        ) from None
    ending = path.name.lower()
    found = (
        *(f for f in FORMATS if any(start[at : at + len(sign)] == sign for at, sign in f.signatures)),
        *(f for f in FORMATS if f.by_name and ending.endswith(f.suffixes)),
        _PICTURE,
    )
    return Recognised(path, found[0], name)


def _start(path: Path, name: str) -> bytes:
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
        return path.is_file() and recognise_file(path).kind == dicom.KIND
    except (InputError, OSError):
        return False
