"""The geometry of a scan as a JSON file beside its readings: `scan.json` or `scan.tif.geometry.json` for `scan.tif`,
and for a folder of views `geometry.json` in it.

The model below is the format: its JSON schema, with every field explained, is printed by `padis-gui geometry --schema`.
"""

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from padis_gui.core.files.formats.pages import display_name
from padis_gui.core.files.scans.scan import MOST_VIEWS
from padis_gui.core.physics.geometry import Beam, Geometry, Turn
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import fault_of, parse_json, read_bounded

FORMAT = "padis-gui scan geometry"
MOST_BYTES = 32 * 2**20
_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3}

Axes = Literal["rows, views, bins", "rows, bins, views", "views, rows, bins", "views, bins, rows"]


class ScanGeometry(BaseModel):
    """How the readings of a scan were taken. Everything that is not required may be left out.

    On the displayed image x points to the right and y upwards, and the axis of rotation is its middle. At angle 0 the
    rays run upwards (of a fan beam: the source is below the image, the detector above it), and the bins count from left
    to right. A view at angle theta has both turned counter-clockwise by theta. What turns is the scanner around the
    image: a sample that turns clockwise before a fixed scanner is one whose scanner turns counter-clockwise. A cone beam is
    a fan beam with a detector of several rows, which count as the slices of the volume do: seen from the source at angle
    0 the bins count to the right and the rows downwards.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, title="Scan geometry", defer_build=True
    )

    format: Literal["padis-gui scan geometry"] = Field(description="What tells this file from other JSON.")
    version: Literal[1] = 1
    beam: Beam = Field(
        description="Parallel rays, a fan from a point to a flat detector, or a cone to one of rows."
    )
    kind: Literal["line integrals", "transmission counts"] = Field(
        "line integrals",
        description="What the readings are: the negative logarithm taken already, or counts (or any intensities) "
        "behind the object, of which the flat and the dark make line integrals.",
    )
    flat: float | str | None = Field(
        None,
        description="For counts: the reading without an object (I0), one number, or the name of an image file or folder "
        "beside the readings. Where their pages are views, its pages are images of the whole detector; else each page is a "
        "detector row, or one for all, with the bins as columns. What there is more of is averaged.",
    )
    dark: float | str = Field(
        0.0, description="For counts: the reading without a beam, a number or an image file as for the flat."
    )
    axes: Axes = Field(
        "rows, views, bins",
        description="What the axes of the file are, the first one its pages, the others each page's rows and columns. "
        "A single page with a sinogram, a view a row, is 'rows, views, bins'; a page a projection image is "
        "'views, rows, bins'.",
    )
    slices: Literal["every row", "central row"] = Field(
        "every row",
        description="Which detector rows are slices: every one, or of a cone beam the central one only, whose rays lie in "
        "a plane as those of a fan beam do.",
    )
    bin_order: Literal["left to right", "right to left"] = Field(
        "left to right",
        description="How the bins of the file count at angle 0, with the rays running upwards.",
    )
    angles: tuple[float, ...] | None = Field(
        None, max_length=1_000_000, description="The angle of each view; give these, or the arc."
    )
    arc: float | None = Field(
        None,
        gt=0,
        description="The range that the views divide evenly, its end left out: view i of n is at i arc / n.",
    )
    count: int | None = Field(
        None, ge=1, le=MOST_VIEWS, description="Number of views in the arc; left out, as many as there are."
    )
    start: float = Field(
        0.0, ge=-1e6, le=1e6, description="Where the scanner stands at angle 0, counter-clockwise."
    )
    turn: Turn = Field(
        "counter-clockwise", description="Which way the scanner goes round as the angles grow."
    )
    angle_unit: Literal["degrees", "radians"] = Field("degrees", description="Unit of angles, arc and start.")
    length_unit: Literal["mm", "cm", "m", "um", "bins"] = Field(
        "mm",
        description="Unit of all lengths. In 'bins' (widths of a detector bin) nothing is known of the real size, and "
        "attenuations are per pixel.",
    )
    bin_width: float | None = Field(
        None, gt=0, description="From one detector bin to the next. Left out or in 'bins', it is 1 bin."
    )
    source_distance: float | None = Field(
        None, gt=0, description="Of a fan or cone beam: from the source to the axis of rotation."
    )
    detector_distance: float | None = Field(
        None, ge=0, description="Of a fan or cone beam: from the axis of rotation to the detector."
    )
    centre_column: float | None = Field(
        None,
        description="The detector column, from 0, at which the axis of rotation is seen; a detector of n bins has its "
        "middle at (n - 1) / 2. Left out, it is found from the scan.",
    )
    row_height: float | None = Field(
        None,
        gt=0,
        description="Of a cone beam: from one detector row to the next. Left out, it is the bin width.",
    )
    centre_row: float | None = Field(
        None,
        description="Of a cone beam: the detector row, from 0, at which the plane that the source goes round in is seen. "
        "Left out, it is the middle of the detector.",
    )
    tilt: float = Field(
        0.0,
        ge=-45,
        le=45,
        description="Of a cone beam: by how many degrees the detector is turned in its own plane, counter-clockwise as "
        "seen from the source with the first row above.",
    )
    axis_offset: float = Field(
        0.0,
        description="Of a cone beam: how far the axis of rotation lies beside the ray that meets the detector at a right "
        "angle, to the right as seen from the source.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "ScanGeometry":
        if (self.angles is None) == (self.arc is None):
            raise ValueError("either angles or an arc is wanted")
        if self.angles is not None and not self.angles:
            raise ValueError("at least one angle is wanted")
        if self.beam != "parallel" and (self.source_distance is None or self.detector_distance is None):
            raise ValueError(f"a {self.beam} beam wants source_distance and detector_distance")
        if self.beam != "parallel" and self.bin_width is None and self.length_unit != "bins":
            raise ValueError(f"a {self.beam} beam wants a bin_width, or distances in bins")
        if self.beam != "cone" and (
            self.row_height or self.centre_row is not None or self.tilt or self.axis_offset
        ):
            raise ValueError("row_height, centre_row, tilt and axis_offset are those of a cone beam")
        if self.source_distance is not None and abs(self.axis_offset) >= self.source_distance:
            raise ValueError("an axis_offset below the source_distance is wanted")
        if self.kind == "transmission counts" and self.flat is None:
            raise ValueError("transmission counts want a flat")
        if self.kind == "line integrals" and (self.flat is not None or self.dark != 0.0):
            raise ValueError("line integrals have neither flat nor dark; the kind may be transmission counts")
        return self

    def degrees(self, views: int) -> NDArray[np.float64]:
        """The angle of each view (of ``views`` where only an arc is given), without the start."""
        found: NDArray[np.float64]
        if self.angles is not None:
            found = np.array(self.angles, dtype=np.float64)
        else:
            count = self.count or views
            found = np.arange(count, dtype=np.float64) * ((self.arc or 0.0) / count)
        return found if self.angle_unit == "degrees" else np.rad2deg(found).astype(np.float64)

    def geometry(self, views: int, bins: int) -> Geometry:
        """The geometry for a file of so many views and bins; of a cone beam that of its central slice, a fan's."""
        unit = _MILLIMETRES.get(self.length_unit)
        # without a bin width in mm everything is in bins
        in_mm = unit is not None and self.bin_width is not None
        scale = unit if in_mm and unit is not None else 1 / (self.bin_width or 1.0)
        is_fan = self.beam != "parallel"
        return Geometry(
            beam="fan" if is_fan else "parallel",
            angles=self.degrees(views),
            turn=self.turn,
            start=float(np.rad2deg(self.start)) if self.angle_unit == "radians" else self.start,
            bins=bins,
            bin_width=(self.bin_width or 1.0) * scale if in_mm else 1.0,
            source_distance=self.source_distance * scale if is_fan and self.source_distance else math.inf,
            detector_distance=self.detector_distance * scale if is_fan and self.detector_distance else 0.0,
            centre=self._centre(bins),
            unit="mm" if in_mm else "bins",
        )

    def length(self, stated: float | None) -> float | None:
        """A length in the unit of the :meth:`geometry`."""
        if stated is None:
            return None
        unit = _MILLIMETRES.get(self.length_unit)
        return (
            stated * unit
            if unit is not None and self.bin_width is not None
            else stated / (self.bin_width or 1.0)
        )

    def _centre(self, bins: int) -> float | None:
        """Bins from the detector's middle to the axis, towards the bin that is last from left to right."""
        if self.centre_column is None:
            return None
        aside = self.centre_column - (bins - 1) / 2
        return aside if self.bin_order == "left to right" else -aside


def read_geometry(path: Path) -> ScanGeometry:
    """The geometry in a JSON file; raises :class:`InputError` in one sentence where it is none."""
    name = display_name(path)
    try:
        given = parse_json(read_bounded(path, MOST_BYTES))
    except OSError as error:
        raise InputError(
            f"The geometry {name} cannot be read ({error.strerror}); check its name and permissions."
        ) from None
    except ValueError as error:
        reason = str(error).split("\n")[0][:100]
        raise InputError(
            f"A geometry in JSON was wanted, but {name} is none ({reason}); correct it or save it anew."
        ) from None
    try:
        return ScanGeometry.model_validate(given)
    except ValidationError as error:
        raise InputError(
            f"The geometry {name} cannot be used: {fault_of(error)}; padis-gui geometry --schema explains every field."
        ) from None


def as_json(geometry: ScanGeometry) -> str:
    """The text of a geometry file."""
    values = {"format": FORMAT, "version": 1} | geometry.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(values, indent=2) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of geometry files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | ScanGeometry.model_json_schema()


def examples() -> dict[Beam, ScanGeometry]:
    """A geometry file to begin with, of each beam."""
    return {
        "parallel": ScanGeometry(
            format=FORMAT, beam="parallel", kind="transmission counts", flat="flat.tif", dark=104.0,
            axes="views, rows, bins", arc=180.0, count=900, bin_width=1.3, length_unit="um", centre_column=1023.5,
        ),
        "fan": ScanGeometry(
            format=FORMAT, beam="fan", angles=(0.0, 0.5, 1.0, 1.5), turn="clockwise", start=90.0, bin_width=0.2,
            source_distance=410.66, detector_distance=143.08,
        ),
        "cone": ScanGeometry(
            format=FORMAT, beam="cone", axes="views, rows, bins", arc=360.0, count=720, bin_width=0.2, row_height=0.2,
            source_distance=410.66, detector_distance=143.08, centre_column=279.5, centre_row=255.5,
        ),
    }  # fmt: skip
