"""DICOM series: which files belong together, in which order their slices lie, and how far apart."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.files.formats.dicom import (
    DICOM,
    DicomPages,
    height_of,
    number_of,
    order_frames,
    read_header,
    stated_spacing,
)
from padis_gui.core.files.formats.pages import Pages, display_name, in_one_sentence
from padis_gui.core.settings.errors import InputError, PadisError

_EVEN = 0.02  # of the distance of slices, by which it may vary


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Files that belong together, from the lowest slice to the highest.

    ``frames`` are (file, frame) pairs and ``sides`` their rows and columns, ``subject`` is the patient's ID, or the
    study's where there is none. ``spacing`` is the distance of its slices in mm, ``notes`` what is odd about them.
    """

    folder: Path
    description: str
    subject: str
    frames: tuple[tuple[Path, int], ...]
    uid: str = ""
    number: str = ""
    modality: str = ""
    sides: tuple[tuple[int, int], ...] = ()
    spacing: float | None = None
    notes: tuple[str, ...] = ()

    def open(self) -> Pages:
        return DicomPages(
            self.folder, self.frames, self.subject, slice_spacing=self.spacing, notes=self.notes
        )

    def check_sides(self) -> None:
        """Raise :class:`InputError` with the file that differs unless all slices have one size."""
        usual = Counter(self.sides).most_common(1)[0][0]
        for (path, _), sides in zip(self.frames, self.sides, strict=True):
            if sides != usual:
                raise different(path, sides, usual)


def different(path: Path, sides: tuple[int, int], usual: tuple[int, int]) -> InputError:
    """The error for a file of a folder whose (rows, columns) are not the others'."""
    return InputError(
        f"Images of one size were wanted, but {display_name(path)} has {sides[0]} x {sides[1]} pixels and others "
        f"{usual[0]} x {usual[1]}; take it out of the folder or open it alone."
    )


@dataclass(frozen=True, slots=True)
class _Member:
    path: Path
    header: Any
    frames: int


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[tuple[Path, str]]]:
    """The series that DICOM files belong to, and what is left out with the reason.

    Slices are ordered along the normal of their planes, else by their instance number; where several lie at one
    place, as in a series over time, one time goes after the other. Localizers (scouts) and files without pixels are
    left out.
    """
    members: dict[str, list[_Member]] = {}
    left_out: list[tuple[Path, str]] = []
    for path in files:
        try:
            with in_one_sentence(display_name(path), DICOM.kind):
                header, frames = read_header(path)
                if "LOCALIZER" in (header.get("ImageType") or ()):
                    raise InputError(
                        f"A slice was wanted, but {display_name(path)} is a localizer; it is of no use here."
                    )
                series = str(header.get("SeriesInstanceUID", "")) or str(path)
                member = _Member(path, header, frames)
                int(header.Rows), int(header.Columns)
            members.setdefault(series, []).append(member)
        except PadisError as error:
            left_out.append((path, str(error)))
    return [_series(uid, found) for uid, found in members.items()], left_out


def _series(uid: str, members: list[_Member]) -> Series:
    ordered, heights = _ordered(members)
    first = ordered[0].header
    frames: list[tuple[Path, int]] = []
    spacing, notes = _slice_spacing(heights, first)
    for member in ordered:
        order, within = order_frames(member.header, member.frames)
        frames += [(member.path, n) for n in order]
        if len(ordered) == 1 and len(order) > 1:
            spacing = within
    return Series(
        folder=members[0].path.parent,
        description=str(first.get("SeriesDescription", "") or "").strip(),
        subject=str(first.get("PatientID", "") or first.get("StudyInstanceUID", "")),
        frames=tuple(frames),
        uid=uid,
        number=str(first.get("SeriesNumber", "") or "").strip(),
        modality=str(first.get("Modality", "") or ""),
        sides=tuple((int(m.header.Rows), int(m.header.Columns)) for m in ordered for _ in range(m.frames)),
        spacing=spacing,
        notes=notes,
    )


def _ordered(members: list[_Member]) -> tuple[list[_Member], list[float]]:
    """The files in the order of their slices, and where these lie; nothing there where a file does not say it."""
    found = [height_of(member.header, members[0].header) for member in members]
    heights = [round(height, 3) for height in found if height is not None]
    placed = len(heights) == len(members)
    times = [0.0] * len(members)
    if placed and len(set(heights)) < len(members):
        times = [
            number_of(m.header.get("TemporalPositionIdentifier") or m.header.get("AcquisitionNumber"))
            for m in members
        ]
    keyed = [
        (time, height if placed else 0.0, number_of(m.header.get("InstanceNumber")), m.path.name, n)
        for n, (m, time, height) in enumerate(
            zip(members, times, heights if placed else [0.0] * len(members), strict=True)
        )
    ]
    order = [key[-1] for key in sorted(keyed)]
    return [members[n] for n in order], [heights[n] for n in order] if placed else []


def _slice_spacing(heights: list[float], header: Any) -> tuple[float | None, tuple[str, ...]]:
    """The distance of slices by their positions, else as the first file states it; and whether it is even."""
    steps = np.diff(heights)
    steps = steps[steps > 0]
    if len(steps):
        usual = float(np.median(steps))
        far = float(steps.max())
        if far > (1 + _EVEN) * usual or float(steps.min()) < (1 - _EVEN) * usual:
            return usual, (
                f"The slices of this series lie {steps.min():.4g} to {far:.4g} mm apart; it is taken as "
                f"{usual:.4g} mm throughout.",
            )
        return usual, ()
    return stated_spacing(header), ()
