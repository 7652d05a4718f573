"""Scans of discs as laboratory scanners write them, simulated in the scanners' own words.

A view is a source, a detector's middle and the step from one bin of the file to the next, x and y in mm from the axis, in
a plane that is seen from above. Line integrals of discs are exact: twice the root of radius² - distance².
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import tifffile
from numpy.typing import NDArray

from tests.ole_file import write_ole

Array = NDArray[np.float64]
VIEWS, BINS, ROWS = 240, 128, 4
SOURCE, DETECTOR, PIXEL = 100.0, 250.0, 0.5  # mm from the source; a bin is 0.2 mm at the axis
WHITE = 50_000.0
# (x, y, radius, attenuation) in mm and 1/mm: no mirror image or turn of them is like them
DISCS = ((0.0, 0.0, 9.0, 0.02), (5.0, 2.0, 1.5, 0.04), (-1.0, 6.0, 1.0, 0.06))


@dataclass(frozen=True)
class Way:
    """Where source, middle of the detector and next bin lie for each view: (views, 2) each."""

    source: Array
    middle: Array
    step: Array


def turned(vector: tuple[float, float], degrees: Array) -> Array:
    """A vector turned counter-clockwise by each angle: (views, 2)."""
    t = np.deg2rad(degrees)
    x, y = vector
    return np.stack([x * np.cos(t) - y * np.sin(t), x * np.sin(t) + y * np.cos(t)], axis=1)


def line_integrals(
    way: Way, bins: int = BINS, discs: Iterable[tuple[float, float, float, float]] = DISCS
) -> Array:
    """(views, bins); each bin is the mean of three rays."""
    offsets = (np.arange(3 * bins) + 0.5) / 3 - bins / 2
    ends = way.middle[:, None] + offsets[:, None] * way.step[:, None]
    rays = ends - way.source[:, None]
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    found = np.zeros(rays.shape[:2])
    for x, y, radius, attenuation in discs:
        to = np.array([x, y]) - way.source[:, None]
        aside = rays[..., 0] * to[..., 1] - rays[..., 1] * to[..., 0]
        found += attenuation * 2 * np.sqrt(np.maximum(radius**2 - aside**2, 0))
    return found.reshape(len(found), bins, 3).mean(axis=2)


def frames(integrals: Array, white: float = WHITE, rows: int = ROWS) -> NDArray[np.uint16]:
    """Projections (views, rows, bins) as counts; rows that are not central absorb nothing."""
    counts = np.full((len(integrals), rows, integrals.shape[1]), white)
    counts[:, (rows - 1) // 2 : rows // 2 + 1] = (white * np.exp(-integrals))[:, None]
    return np.round(counts).astype(np.uint16)


def write_tiffs(folder: Path, prefix: str, stack: NDArray[np.uint16], first: int, digits: int = 4) -> None:
    for n, frame in enumerate(stack):
        tifffile.imwrite(folder / f"{prefix}{n + first:0{digits}d}.tif", frame)


# -- Nikon ------------------------------------------------------------------------------------------------


def nikon_way(views: int = VIEWS, initial: float = 0.0, offset: float = 0.0, pixel: float = PIXEL) -> Way:
    """As CIL reads it: the sample turns by 180 - initial - i step, its axis at (-offset, SrcToObject) from the source,
    and bins count from right to left. In the sample's frame all else turns back by that."""
    back = -(180.0 - initial - np.arange(views) * 360.0 / views)
    return Way(
        turned((offset, -SOURCE), back),
        turned((offset, DETECTOR - SOURCE), back),
        turned((-pixel, 0.0), back),
    )


def write_nikon(
    folder: Path,
    stack: NDArray[np.uint16],
    name: str = "scan",
    leave_out: tuple[str, ...] = (),
    **changed: object,
) -> Path:
    """An .xtekct with its TIFF files in ``folder``; ``changed`` replaces values."""
    views, rows, bins = stack.shape
    values: dict[str, object] = {
        "Name": name, "VoxelsX": bins, "SrcToObject": SOURCE, "SrcToDetector": DETECTOR, "MaskRadius": 10,
        "DetectorPixelsX": bins, "DetectorPixelsY": rows, "DetectorPixelSizeX": PIXEL, "DetectorPixelSizeY": PIXEL,
        "DetectorOffsetX": 0, "ObjectTilt": 0, "ObjectOffsetX": 0.0,
        "CentreOfRotationTop": 0.0, "CentreOfRotationBottom": 0.0,
        "WhiteLevel": WHITE, "Scattering": 0, "RegionStartX": 0, "Projections": views, "InitialAngle": 0.0,
        "AngularStep": 360 / views, "InputSeparator": "_", "InputFolderName": "", "Units": "mm",
    } | changed  # fmt: skip
    lines = [f"{key}={value}" for key, value in values.items() if key not in leave_out]
    path = folder / f"{name}.xtekct"
    path.write_text("\r\n".join(["[XTekCT]", *lines, "[CTPro]", "FilterPreset=0", ""]), encoding="utf-8")
    write_tiffs(folder, f"{name}_", stack, 1)
    return path


# -- SkyScan ----------------------------------------------------------------------------------------------


def skyscan_way(views: int = VIEWS, clockwise: bool = True) -> Way:
    """As ASTRA's SkyScanParser has it, with its data flipped: from 180° on, clockwise, bins from right to left."""
    at = 180.0 + (-1 if clockwise else 1) * np.arange(views) * 360.0 / views
    return Way(turned((0.0, -SOURCE), at), turned((0.0, DETECTOR - SOURCE), at), turned((-PIXEL, 0.0), at))


def write_skyscan(
    folder: Path,
    stack: NDArray[np.uint16],
    prefix: str = "bone_",
    leave_out: tuple[str, ...] = (),
    **changed: object,
) -> Path:
    """A .log with its TIFF files; keys with blanks are given by their names."""
    views, rows, bins = stack.shape
    values: dict[str, object] = {
        "Filename Prefix": prefix, "Number Of Files": f"  {views}", "Number Of Rows": rows, "Number Of Columns": bins,
        "Optical Axis (line)": (rows - 1) / 2, "Camera to Source (mm)": DETECTOR, "Object to Source (mm)": SOURCE,
        "Image Pixel Size (um)": PIXEL * 1000 * SOURCE / DETECTOR, "Image Format": "TIFF", "Depth (bits)": 16,
        "Reference Intensity": int(WHITE), "Rotation Step (deg)": 360 / views, "Use 360 Rotation": "YES",
        "Flat Field Correction": "ON", "Rotation Direction": "CC", "Scanning Trajectory": "ROUND",
    } | changed  # fmt: skip
    lines = [f"{key}={value}" for key, value in values.items() if key not in leave_out]
    system = [
        "[System]",
        "Scanner=SkyScan1272",
        f"Camera Pixel Size (um)={PIXEL * 1000}",
        "CameraXYRatio=1.0",
    ]
    path = folder / f"{prefix}.log"
    path.write_text("\r\n".join([*system, "[Acquisition]", *lines, ""]), encoding="latin-1")
    write_tiffs(folder, prefix, stack, 0)
    return path


# -- Phoenix ----------------------------------------------------------------------------------------------


def plain_way(views: int = VIEWS, turn: float = 1.0, start: float = 0.0, aside: float = 0.0) -> Way:
    """The source below at first, bins from left to right; the scanner goes round counter-clockwise for a ``turn`` of 1.

    The detector's middle lies ``aside`` to the right, in mm.
    """
    at = start + turn * np.arange(views) * 360.0 / views
    return Way(turned((0.0, -SOURCE), at), turned((aside, DETECTOR - SOURCE), at), turned((PIXEL, 0.0), at))


def write_phoenix(folder: Path, stack: NDArray[np.uint16], name: str = "part", **changed: object) -> Path:
    """A .pca with its TIFF files; ``changed`` by `Section_key`."""
    views, rows, bins = stack.shape
    values: dict[str, object] = {
        "Geometry_FDD": DETECTOR, "Geometry_FOD": SOURCE, "Geometry_VoxelSizeX": PIXEL * SOURCE / DETECTOR, "CT_Type": 0,
        "CT_NumberImages": views, "CT_RotationSector": 360.0, "CT_NoRotation": 0, "VSensor_NumTiles": 1,
        "Trajectory_Active": 0, "SectorScan_Active": 0, "CalibValue_NumberImages": 18, "Image_DimX": bins,
        "Image_DimY": rows, "Image_FreeRay": int(WHITE), "Detector_PixelsizeX": PIXEL,
    } | changed  # fmt: skip
    lines, section = [], ""
    for key, value in values.items():
        if key.partition("_")[0] != section:
            section = key.partition("_")[0]
            lines.append(f"[{section}]")
        lines.append(f"{key.partition('_')[2]}={value}")
    path = folder / f"{name}.pca"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    write_tiffs(folder, name, stack, 1, digits=5)
    return path


# -- Zeiss ------------------------------------------------------------------------------------------------


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def whole(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


def zeiss_streams(
    stack: NDArray[np.uint16], reference: float = WHITE, **changed: bytes | None
) -> dict[str, bytes]:
    """The streams of a .txrm; ``changed`` by the last part of their paths, None leaves one out."""
    views, rows, bins = stack.shape
    streams = {
        "ImageInfo/ImageWidth": whole(bins), "ImageInfo/ImageHeight": whole(rows), "ImageInfo/DataType": whole(5),
        "ImageInfo/NoOfImages": whole(views), "ImageInfo/ImagesTaken": whole(views), "ImageInfo/XrayGeometry": whole(1),
        "ImageInfo/PixelSize": floats(PIXEL * 1000 * SOURCE / DETECTOR),
        "ImageInfo/StoRADistance": floats(*[-SOURCE] * views),
        "ImageInfo/DtoRADistance": floats(*[DETECTOR - SOURCE] * views),
        "ImageInfo/Angles": floats(*np.arange(views) * 360 / views),
        "ReferenceData/DataType": whole(10), "ReferenceData/Image": floats(*[reference] * (rows * bins)),
        "Alignment/X-Shifts": floats(*[0.0] * views), "Alignment/Y-Shifts": floats(*[0.0] * views),
    }  # fmt: skip
    streams |= {
        f"ImageData{n // 100 + 1}/Image{n + 1}": frame.astype("<u2").tobytes()
        for n, frame in enumerate(stack)
    }
    places = {
        path.rpartition("/")[2].replace("-", ""): path for path in streams if not path.startswith("ImageData")
    }
    places |= {"Image": "ReferenceData/Image", "DataType": "ImageInfo/DataType"}
    for key, content in changed.items():
        if content is None:
            del streams[places[key]]
        else:
            streams[places[key]] = content
    return streams


def write_zeiss(path: Path, stack: NDArray[np.uint16], **changed: bytes | None) -> Path:
    return write_ole(path, zeiss_streams(stack, **changed))


# -- TIGRE ------------------------------------------------------------------------------------------------


def tigre_way(views: int = VIEWS, aside: float = 0.0) -> Way:
    """As TIGRE has it: the source at (DSO cos a, DSO sin a), columns along (-sin a, cos a), the detector moved by these."""
    at = np.arange(views) * 360.0 / views
    return Way(turned((SOURCE, 0.0), at), turned((SOURCE - DETECTOR, aside), at), turned((0.0, PIXEL), at))


def tigre_fields(views: int = VIEWS, aside: float = 0.0) -> dict[str, object]:
    """The fields of a TIGRE geometry in Python: rows before columns."""
    return {
        "DSD": DETECTOR, "DSO": SOURCE, "nDetector": [ROWS, BINS], "dDetector": [PIXEL * 2, PIXEL],
        "offDetector": [0.0, aside], "offOrigin": [0.0, 0.0, 0.0], "nVoxel": [ROWS, 64, 64], "mode": "cone",
        "angles": (np.arange(views) * 2 * np.pi / views).tolist(),
    }  # fmt: skip


def write_tigre_matlab(path: Path, views: int = VIEWS, aside: float = 0.0) -> Path:
    """A structure `geo`, whose pairs are columns before rows, and the angles beside it."""
    geo = {
        "DSD": DETECTOR, "DSO": SOURCE, "nDetector": np.array([[BINS], [ROWS]]),
        "dDetector": np.array([[PIXEL], [PIXEL * 2]]),
        "offDetector": np.array([[aside], [0.0]]), "offOrigin": np.zeros((3, 1)), "nVoxel": np.array([[64], [64], [ROWS]]),
    }  # fmt: skip
    scipy.io.savemat(path, {"geo": geo, "angles": np.arange(views) * 2 * np.pi / views})
    return path


# -- CIL --------------------------------------------------------------------------------------------------


def cil_way(
    views: int = VIEWS, initial: float = 0.0, axis: tuple[float, float] = (0.0, 0.0), right: bool = False
) -> Way:
    """As CIL has it: the sample turns counter-clockwise by initial + angle about the axis; all else turns back."""
    back = -(initial + np.arange(views) * 360.0 / views)
    x, y = axis
    return Way(
        turned((-x, -SOURCE - y), back), turned((-x, DETECTOR - SOURCE - y), back),
        turned((-PIXEL if right else PIXEL, 0.0), back),
    )  # fmt: skip


def cil_fields(
    views: int = VIEWS, initial: float = 0.0, axis: tuple[float, float] = (0.0, 0.0), right: bool = False
) -> dict[str, object]:
    return {
        "source_position": [0.0, -SOURCE, 0.0], "detector_position": [0.0, DETECTOR - SOURCE, 0.0],
        "detector_direction_x": [1.0, 0.0, 0.0], "rotation_axis_position": [*axis, 0.0],
        "rotation_axis_direction": [0.0, 0.0, 1.0], "num_pixels": [BINS, ROWS], "pixel_size": [PIXEL, PIXEL * 2],
        "origin": "bottom-right" if right else "bottom-left", "angle_unit": "degree", "initial_angle": initial,
        "angles": (np.arange(views) * 360 / views).tolist(),
    }  # fmt: skip


def write_json(path: Path, fields: dict[str, object]) -> Path:
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def write_cil_nexus(
    path: Path, integrals: Array, fields: dict[str, object], rows: int = ROWS, **changed: object
) -> Path:
    """What CIL's NEXUSDataWriter writes of acquisition data with the axes angle, vertical and horizontal."""
    import h5py

    stack = np.zeros((len(integrals), rows, integrals.shape[1]), np.float32)
    stack[:, (rows - 1) // 2 : rows // 2 + 1] = integrals[:, None]
    with h5py.File(path, "w") as file:
        file.attrs["creator"] = np.bytes_("NEXUSDataWriter.py")
        file.attrs["cil_version"] = "24.2.0"
        scale, offset = float(changed.pop("scale", 1.0)), float(changed.pop("offset", 0.0))  # type: ignore[arg-type]
        file["entry1/tomo_entry/data/data"] = stack * np.float32(scale) + np.float32(offset)
        data = file["entry1/tomo_entry/data/data"]
        data.attrs.update(
            {
                "data_type": "AcquisitionData", "dim0": "angle", "dim1": "vertical", "dim2": "horizontal",
                "geometry": "cone", "dimension": "3D", "num_channels": 1, "num_pixels_h": integrals.shape[1],
                "pixel_size_h": PIXEL, "num_pixels_v": rows, "pixel_size_v": PIXEL * 2, "panel_origin": fields["origin"],
                "scale": scale, "offset": offset,
            } | changed
        )  # fmt: skip
        config = file.create_group("entry1/tomo_entry/config")
        for key, place in (
            ("source_position", "source/position"), ("detector_position", "detector/position"),
            ("detector_direction_x", "detector/direction_x"), ("rotation_axis_position", "rotation_axis/position"),
            ("rotation_axis_direction", "rotation_axis/direction"), ("angles", "angles"),
        ):  # fmt: skip
            config[place] = np.array(fields[key], np.float32)
        config["angles"].attrs.update({"angle_unit": "degree", "initial_angle": fields["initial_angle"]})
    return path


def cil_text(fields: dict[str, object]) -> str:
    """What CIL prints of a geometry: of more than 30 angles the first ten and the last ten."""

    def csv(key: str) -> str:
        return np.array2string(np.array(fields[key]), separator=", ")

    angles = np.array(fields["angles"])
    n = len(angles)
    shown = [(0, n)] if n < 31 else [(0, 10), (n - 10, n)]
    return "\n".join([
        "3D Cone-beam tomography", "System configuration:", f"\tSource position: {csv('source_position')}",
        f"\tRotation axis position: {csv('rotation_axis_position')}",
        f"\tRotation axis direction: {csv('rotation_axis_direction')}", f"\tDetector position: {csv('detector_position')}",
        f"\tDetector direction x: {csv('detector_direction_x')}", "\tDetector direction y: [0., 0., 1.]",
        "Panel configuration:", f"\tNumber of pixels: {np.array(fields['num_pixels'])}",
        f"\tPixel size: {np.array(fields['pixel_size'])}", f"\tPixel origin: {fields['origin']}",
        "Channel configuration:", "\tNumber of channels: 1", "Acquisition description:", f"\tNumber of positions: {n}",
        *(
            f"\tAngles {a}-{b - 1} in degrees: {np.array2string(angles[a:b], separator=', ')}" for a, b in shown
        ),
        "\tFull angular array can be accessed with acquisition_data.geometry.angles",
        "Distances in units: units distance",
    ])  # fmt: skip
