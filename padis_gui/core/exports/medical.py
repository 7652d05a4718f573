"""Results as medical imaging has them: NIfTI, and DICOM as a derived image or a series of them."""

import gzip
import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padis_gui import __version__
from padis_gui.core.exports.content import RunContent
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.runs.engine import Result
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, pixels_sha256, write_atomically

_COMMENT = 6  # NIfTI's code of an extension that holds text
_PRIVATE_GROUP, _CREATOR = 0x0099, "padis-gui"
_CT, _SECONDARY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"  # DICOM PS3.4, table B.5-1
_LONG = 64  # characters of a text that DICOM calls long


def _slices(result: Result, kind: str) -> NDArray[np.float32]:
    """The slices (Z, rows, columns) of a grey image, one, or of a volume. Raises :class:`InputError` for colours."""
    if result.image.is_volume or len(result.pixels) == 1:
        return result.pixels
    raise InputError(
        f"A grey image or a volume was wanted for {kind}, but this result has {len(result.pixels)} channels; export it as "
        "TIFF."
    )


def _recipe_text(result: Result) -> str:
    return json.dumps(result.recipe.model_dump(mode="json"), ensure_ascii=True)


def export_nifti(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the image or volume as NIfTI-1 in float32, packed where the name ends in .gz; returns what was written.

    Columns run to the patient's left and rows to the back, as axial slices are shown; pixel pitch and slice distance are in
    mm where they are known, and have no unit where not. The recipe is in the header's extension as text (JSON).
    """
    from nibabel.nifti1 import Nifti1Extension, Nifti1Image

    result = run.result
    values = _slices(result, "NIfTI").transpose(2, 1, 0)
    rows, columns = result.spacing or (1.0, 1.0)
    apart = result.image.slice_spacing or 1.0
    image = Nifti1Image(np.asfortranarray(values), np.diag([-columns, -rows, apart, 1.0]))  # type: ignore[no-untyped-call]
    header: Any = image.header
    header.set_xyzt_units("mm" if result.spacing else "unknown")
    header["descrip"] = f"padis-gui {__version__} {result.image.unit}".encode()[:79]
    header.extensions.append(Nifti1Extension(_COMMENT, _recipe_text(result).encode()))
    data = image.to_bytes()
    packed = path.suffix.lower() == ".gz"
    with failures_said("The result", path):
        write_atomically(path, gzip.compress(data, mtime=0) if packed else data)
    return "NIfTI in float32, with the recipe of its run"


def export_dicom(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write an image as a DICOM file, or the slices of a volume into a folder of the path's stem; returns what was written.

    Results in HU are derived CT images in whole HU where 16 bits hold them; others have a slope and an intercept, which
    give back the values to a 65535th of their range, and are secondary captures where they have no unit of CT. UIDs are
    new, and the same for the same result. The recipe is in a private element. Raises :class:`InputError` for colours, and
    where a folder of that name holds something already.
    """
    from pydicom.uid import generate_uid

    result = run.result
    slices = _slices(result, "DICOM")
    recipe = _recipe_text(result)
    series = [pixels_sha256(slices), recipe]
    uids = {name: str(generate_uid(entropy_srcs=[*series, name])) for name in ("study", "series", "frame")}
    stored = _stored(result)
    if not result.image.is_volume:
        with failures_said("The result", path):
            write_atomically(path, _instance(result, slices[0], 0, uids, stored, recipe))
        return f"DICOM, {_in_words(result, stored)}"
    folder = path.with_suffix("")
    with failures_said("The slices", folder):
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(
                f"An empty folder was wanted for the slices, but {folder.name} holds files; choose another name."
            )
        for number, pixels in enumerate(slices):
            write_atomically(
                folder / f"{number + 1:04}.dcm", _instance(result, pixels, number, uids, stored, recipe)
            )
    return f"{len(slices)} DICOM files in the folder {folder.name}, {_in_words(result, stored)}"


class _Stored(NamedTuple):
    """How values become whole numbers of a ``kind``: (value - intercept) / slope."""

    kind: np.dtype[Any]
    slope: float
    intercept: float


def _stored(result: Result) -> _Stored:
    """Whole HU where 16 bits hold all values; else a 65535th of their range, with numbers as DICOM writes them."""
    low, high = float(result.pixels.min()), float(result.pixels.max())
    if result.image.unit == "HU" and low >= -(2**15) and high <= 2**15 - 1:
        return _Stored(np.dtype("<i2"), 1.0, 0.0)
    return _Stored(np.dtype("<u2"), float(_decimal((high - low) / 65535 or 1.0)), float(_decimal(low)))


def _in_words(result: Result, stored: _Stored) -> str:
    what = "a derived CT image" if result.image.unit == "HU" else "a secondary capture"
    how = "in whole HU" if stored.kind.kind == "i" else "of 16 bits with slope and intercept"
    return f"{what} {how}, with the recipe of its run"


def _instance(
    result: Result,
    pixels: NDArray[np.float32],
    number: int,
    uids: dict[str, str],
    stored: _Stored,
    recipe: str,
) -> bytes:
    """One slice as a file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    image, ct = result.image, result.image.unit == "HU"
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
    ds.SeriesDescription = f"{result.recipe.physics}, {result.recipe.solver}"[:_LONG]
    ds.DerivationDescription = f"Reconstructed by padis-gui {__version__} from {image.name[:200]}"
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.PatientPosition, ds.PositionReferenceIndicator = "HFS", ""
    apart = image.slice_spacing or 1.0
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [0, 0, _decimal(number * apart)]
    if image.spacing is not None:
        ds.PixelSpacing = [_decimal(pitch) for pitch in image.spacing]
    if image.slice_spacing is not None:
        ds.SliceThickness = ds.SpacingBetweenSlices = _decimal(apart)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    kind, slope, intercept = stored
    whole = np.rint((pixels.astype(np.float64) - intercept) / slope)
    ds.PixelRepresentation = 1 if kind.kind == "i" else 0
    ds.RescaleSlope, ds.RescaleIntercept = _decimal(slope), _decimal(intercept)
    ds.RescaleType = image.unit[:_LONG] or "US"  # unspecified
    ds.WindowCenter = _decimal((image.window[0] + image.window[1]) / 2)
    ds.WindowWidth = _decimal(max(image.window[1] - image.window[0], 1e-6))
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
