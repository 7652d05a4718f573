"""The formats that images are read from, and how a file's own is told: by its content, else by its name."""

from pathlib import Path

from padis_gui.core.files.formats.dicom import DICOM
from padis_gui.core.files.formats.format import Format, Recognised
from padis_gui.core.files.formats.hdf5 import HDF5
from padis_gui.core.files.formats.matlab import MATLAB
from padis_gui.core.files.formats.nifti import NIFTI
from padis_gui.core.files.formats.numpy_file import NPY, NPZ
from padis_gui.core.files.formats.ome_zarr import OME_ZARR
from padis_gui.core.files.formats.pages import display_name, shown
from padis_gui.core.files.formats.picture import KIND, open_picture
from padis_gui.core.files.formats.scanner import NIKON, PHOENIX, SKYSCAN
from padis_gui.core.files.formats.tiff import TIFF
from padis_gui.core.files.formats.zeiss import ZEISS
from padis_gui.core.settings.errors import InputError

_ENOUGH = 520  # bytes that hold every signature

# What no other format recognises is given to Pillow; the record stands here, as its message names all formats
PICTURE = Format(
    kind=KIND,
    names=("PNG", "JPEG", "BMP"),
    suffixes=(".png", ".jpg", ".jpeg", ".bmp"),
    signatures=((0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"BM")),
    open_pages=lambda path, _dataset: open_picture(path, readable()),
    numbered=True,
)
FORMATS: tuple[Format, ...] = (
    TIFF,
    NPY,
    NPZ,
    MATLAB,
    HDF5,
    NIFTI,
    OME_ZARR,
    DICOM,
    ZEISS,
    NIKON,
    SKYSCAN,
    PHOENIX,
    PICTURE,
)
# In the order in which a user hears of them
_OFFERED = (PICTURE, *FORMATS[:-1])
SUFFIXES = tuple(suffix for format_ in _OFFERED for suffix in format_.suffixes)
_IN_FOLDERS = tuple(suffix for f in _OFFERED if f.files_beside is None for suffix in f.suffixes)


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
    signed = [f for f in FORMATS if any(start[at : at + len(sign)] == sign for at, sign in f.signatures)]
    found = (
        *sorted(signed, key=lambda f: not f.before_others),
        *(f for f in FORMATS if f.is_begun_by is not None and f.is_begun_by(start)),
        *(f for f in FORMATS if f.by_name and ending.endswith(f.suffixes)),
        PICTURE,
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
    if path.name.lower().endswith(_IN_FOLDERS):
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        return path.is_file() and recognise_file(path).format is DICOM
    except (InputError, OSError):
        return False
