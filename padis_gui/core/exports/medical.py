"""Results as medical imaging has them: NIfTI, and DICOM as a derived image or a series of them."""

import gzip
import json
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from padis_gui import __version__
from padis_gui.core.exports.content import RunContent, Stack
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, write_atomically, writing_atomically

_COMMENT = 6  # NIfTI's code of an extension that holds text
_PRIVATE_GROUP, _CREATOR = 0x0099, "padis-gui"
_CT, _SECONDARY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"  # DICOM PS3.4, table B.5-1
_LONG = 64  # characters of a text that DICOM calls long


def _recipe_text(stack: Stack) -> str:
    return json.dumps(stack.recipe.model_dump(mode="json"), ensure_ascii=True)


def export_nifti(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the image or volume as :func:`write_nifti` does; returns what was written."""
    return write_nifti(path, Stack.of(run))


def write_nifti(path: Path, stack: Stack) -> str:
    """Write NIfTI-1 in float32, slice by slice, packed where the name ends in .gz; returns what was written.

    Columns run to the patient's left and rows to the back, as axial slices are shown; pixel pitch and slice distance are in
    mm where they are known, and have no unit where not. The recipe is in the header's extension as text (JSON).
    """
    from nibabel.nifti1 import Nifti1Extension, Nifti1Image

    slices = stack.grey("NIfTI")
    depth, rows, columns = stack.shape
    down, across = stack.spacing or (1.0, 1.0)
    apart = stack.slice_spacing or 1.0
    # what the header says, without the numbers: these follow it slice by slice
    hollow = np.broadcast_to(np.float32(0), (columns, rows, depth))
    image = Nifti1Image(hollow, np.diag([-across, -down, apart, 1.0]))  # type: ignore[no-untyped-call]
    header: Any = image.header
    header.set_xyzt_units("mm" if stack.spacing else "unknown")
    header.set_slope_inter(1.0, 0.0)
    header["descrip"] = f"padis-gui {__version__} {stack.unit}".encode()[:79]
    header.extensions.append(Nifti1Extension(_COMMENT, _recipe_text(stack).encode()))
    image.update_header()  # type: ignore[no-untyped-call]
    head = BytesIO()
    header.write_to(head)
    head.write(bytes(int(header["vox_offset"]) - head.tell()))
    packed = path.suffix.lower() == ".gz"
    with failures_said("The result", path), writing_atomically(path) as file:
        if packed:
            with gzip.GzipFile("", "wb", mtime=0, fileobj=file) as zipped:
                _write_slices(cast(BinaryIO, zipped), head.getvalue(), slices)
        else:
            _write_slices(file, head.getvalue(), slices)
    return "NIfTI in float32, with the recipe of its run"


def _write_slices(file: BinaryIO, head: bytes, slices: Any) -> None:
    file.write(head)
    for pixels in slices:
        file.write(np.ascontiguousarray(pixels, dtype="<f4").tobytes())


def export_dicom(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write an image or the slices of a volume as :func:`write_dicom` does; returns what was written."""
    return write_dicom(path, Stack.of(run))


def write_dicom(path: Path, stack: Stack) -> str:
    """Write an image as a DICOM file, or the slices of a volume into a folder of the path's stem; returns what was written.

    Results in HU are derived CT images in whole HU where 16 bits hold them; others have a slope and an intercept, which
    give back the values to a 65535th of their range, and are secondary captures where they have no unit of CT. UIDs are
    new, and the same for the same result. The recipe is in a private element. Raises :class:`InputError` for colours, and
    where a folder of that name holds something already.
    """
    from pydicom.uid import generate_uid

    slices = stack.grey("DICOM")
    recipe = _recipe_text(stack)
    series = [stack.sha256, recipe]
    uids = {name: str(generate_uid(entropy_srcs=[*series, name])) for name in ("study", "series", "frame")}
    stored = _stored(stack)
    if not stack.is_volume:
        with failures_said("The result", path):
            write_atomically(path, _instance(stack, slices[0], 0, uids, stored, recipe))
        return f"DICOM, {_in_words(stack, stored)}"
    folder = path.with_suffix("")
    with failures_said("The slices", folder):
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(
                f"An empty folder was wanted for the slices, but {folder.name} holds files; choose another name."
            )
        for number, pixels in enumerate(slices):
            write_atomically(
                folder / f"{number + 1:04}.dcm", _instance(stack, pixels, number, uids, stored, recipe)
            )
    return f"{len(slices)} DICOM files in the folder {folder.name}, {_in_words(stack, stored)}"


class _Stored(NamedTuple):
    """How values become whole numbers of a ``kind``: (value - intercept) / slope."""

    kind: np.dtype[Any]
    slope: float
    intercept: float


def _stored(stack: Stack) -> _Stored:
    """Whole HU where 16 bits hold all values; else a 65535th of their range, with numbers as DICOM writes them."""
    ends = [(float(plane.min()), float(plane.max())) for plane in stack.planes]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if stack.unit == "HU" and low >= -(2**15) and high <= 2**15 - 1:
        return _Stored(np.dtype("<i2"), 1.0, 0.0)
    return _Stored(np.dtype("<u2"), float(_decimal((high - low) / 65535 or 1.0)), float(_decimal(low)))


def _in_words(stack: Stack, stored: _Stored) -> str:
    what = "a derived CT image" if stack.unit == "HU" else "a secondary capture"
    how = "in whole HU" if stored.kind.kind == "i" else "of 16 bits with slope and intercept"
    return f"{what} {how}, with the recipe of its run"


def _instance(
    stack: Stack,
    pixels: NDArray[np.float32],
    number: int,
    uids: dict[str, str],
    stored: _Stored,
    recipe: str,
) -> bytes:
    """One slice as a file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    ct = stack.unit == "HU"
    own = generate_uid(entropy_srcs=[uids["series"], str(number)])
    ds: Any = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = _CT if ct else _SECONDARY
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = own
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uids["study"], uids["series"]
    ds.FrameOfReferenceUID = uids["frame"]
    ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.Modality, ds.ConversionType = "CT" if ct else "OT", "WSD"
    ds.Manufacturer, ds.SoftwareVersions = "padis-gui", __version__
    ds.SeriesDescription = f"{stack.recipe.physics}, {stack.recipe.solver}"[:_LONG]
    ds.DerivationDescription = f"Reconstructed by padis-gui {__version__} from {stack.name[:200]}"
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.PatientPosition, ds.PositionReferenceIndicator = "HFS", ""
    apart = stack.slice_spacing or 1.0
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [0, 0, _decimal(number * apart)]
    if stack.spacing is not None:
        ds.PixelSpacing = [_decimal(pitch) for pitch in stack.spacing]
    if stack.slice_spacing is not None:
        ds.SliceThickness = ds.SpacingBetweenSlices = _decimal(apart)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    kind, slope, intercept = stored
    whole = np.rint((pixels.astype(np.float64) - intercept) / slope)
    ds.PixelRepresentation = 1 if kind.kind == "i" else 0
    ds.RescaleSlope, ds.RescaleIntercept = _decimal(slope), _decimal(intercept)
    ds.RescaleType = stack.unit[:_LONG] or "US"  # unspecified
    ds.WindowCenter = _decimal((stack.window[0] + stack.window[1]) / 2)
    ds.WindowWidth = _decimal(max(stack.window[1] - stack.window[0], 1e-6))
    ds.PixelData = whole.clip(np.iinfo(kind).min, np.iinfo(kind).max).astype(kind).tobytes()
    ds.private_block(_PRIVATE_GROUP, _CREATOR, create=True).add_new(1, "UT", recipe)
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _decimal(value: float) -> str:
    """A number in the 16 characters that DICOM gives it."""
    for digits in range(12, 0, -1):
        if len(text := f"{value:.{digits}g}") <= 16:
            return text
    raise InputError(
        f"A number that DICOM can hold was wanted, but {value!r} came; export the result as TIFF."
    )
