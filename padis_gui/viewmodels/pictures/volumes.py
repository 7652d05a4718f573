"""Volumes as pictures: what a run on a volume measures and its iterates, of which panes show the planes at the crosshair.

Numbers stay where they are, (slices, rows, columns) on [0, 1] in the machine's memory; a plane becomes a picture when
somebody looks at it. Of a frame that is kept for later the estimate stays, whole, so that the crosshair can be moved in it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import DenoiserCall
from padis_gui.core.prior.stack import StackPartition
from padis_gui.core.runs.opened import Prepared
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.viewmodels.pictures.frames import (
    IteratePictures,
    ProblemPictures,
    frame_of,
    measurement_picture,
    pictures_of_problem,
)
from padis_gui.viewmodels.pictures.planes import Place, Plane, VoxelGrid, take

_FIRST = Place(0, 0, 0)


def grid_of(image: Image) -> VoxelGrid:
    """The voxels of a volume."""
    return VoxelGrid(
        shape=(image.channels, *image.shape), spacing=image.spacing, slice_spacing=image.slice_spacing
    )  # fmt: skip


class Volume(ABC):
    """A volume whose planes become pictures where they are looked at."""

    nbytes = 0  # memory that it takes of its own

    def __init__(self) -> None:
        self._made: dict[Plane, tuple[int, Pixels]] = {}

    def plane(self, plane: Plane, at: int) -> Pixels:
        """A plane as a picture; the same one as long as the same is asked for."""
        made = self._made.get(plane)
        if made is None or made[0] != at:
            made = self._made[plane] = at, self._picture(plane, at)
        return made[1]

    @abstractmethod
    def _picture(self, plane: Plane, at: int) -> Pixels: ...


class VolumeValues(Volume):
    """The numbers of a volume, (slices, rows, columns) on [0, 1], in the unit of ``image`` where they are looked at."""

    def __init__(self, values: Tensor | Pixels, image: Image | None = None) -> None:
        """Without an ``image`` they are in their unit already."""
        super().__init__()
        self._values = values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()
        self._image = image
        self.nbytes = self._values.nbytes

    def _picture(self, plane: Plane, at: int) -> Pixels:
        pixels = take(self._values, plane, at)
        return pixels if self._image is None else self._image.from_unit(torch.from_numpy(pixels))


class VolumeDifference(Volume):
    """One volume less another."""

    def __init__(self, one: VolumeValues, other: VolumeValues) -> None:
        super().__init__()
        self._one, self._other = one, other

    def _picture(self, plane: Plane, at: int) -> Pixels:
        return self._one.plane(plane, at) - self._other.plane(plane, at)


def _planes(volumes: Mapping[str, Volume], place: Place) -> dict[str, Pixels]:
    """The pictures of volumes in the planes through a voxel, by source and plane."""
    return {
        plane.key(key): volume.plane(plane, place.across(plane))
        for key, volume in volumes.items()
        for plane in Plane
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class VolumeProblem(ProblemPictures):
    """What is measured of a volume: ``truth``, ``baseline`` and ``measurement`` are those of one slice, :attr:`planes` have
    truth and baseline in all planes through a voxel.

    ``baseline_psnr`` is over all slices.
    """

    volumes: Mapping[str, Volume]
    measured: Tensor  # what was measured, slice by slice, off the device: panes are painted in another thread
    planes: Mapping[str, Pixels] = field(default_factory=dict)
    _memo: dict[Place, "VolumeProblem"] = field(default_factory=dict, repr=False)

    def at(self, place: Place) -> "VolumeProblem":
        """Its pictures at a voxel; the same object as long as the same is asked for."""
        found = self._memo.get(place)
        if found is None:
            planes, prepared = _planes(self.volumes, place), self.prepared
            channel = prepared.problem.operator.channel_seeing(place.slice)
            physics, measured = find_physics(prepared.method.physics), self.measured[channel : channel + 1]
            found = replace(
                self, planes=planes, truth=planes.get("truth"), baseline=planes["baseline"],
                measurement=measurement_picture(physics, measured, prepared.image), _memo={},
            )  # fmt: skip
            self._memo.clear()
            self._memo[place] = found
        return found


def volume_problem(
    prepared: Prepared, robust_range: tuple[float, float], baseline_psnr: float
) -> VolumeProblem:
    """What is to be seen of a volume's problem; call it in the compute thread."""
    image, truth = prepared.image, prepared.problem.truth
    baseline = VolumeValues(prepared.baseline, image)
    volumes: dict[str, Volume] = {"baseline": baseline}
    if truth is not None:
        volumes["truth"] = VolumeValues(truth, image)
    first = VolumeProblem(
        prepared=prepared, truth=None, baseline=baseline.plane(Plane.AXIAL, 0), measurement=None,
        robust_range=robust_range, baseline_psnr=baseline_psnr, volumes=volumes,
        measured=prepared.problem.measurement.detach().cpu(),
    )  # fmt: skip
    return first.at(_FIRST)


@dataclass(frozen=True, kw_only=True, eq=False)
class VolumeFrame(IteratePictures):
    """One iterate of a run on a volume: the pictures are those of one slice, :attr:`planes` have them in all planes
    through a voxel.
    """

    grid: VoxelGrid
    volumes: Mapping[str, Volume]
    sinograms: Tensor | None = None  # A estimate, slice by slice
    image: Image
    planes: Mapping[str, Pixels] = field(default_factory=dict)
    pictorial: str = ""  # the physics that measured
    channel_seeing: Callable[[int], int] = lambda z: z  # which sinogram is shown beside a slice
    _memo: dict[Place, "VolumeFrame"] = field(default_factory=dict, repr=False)
    _memo_truth: dict[tuple[int, ...], "VolumeFrame"] = field(default_factory=dict, repr=False)
    _held: tuple[Pixels, ...] = field(default=(), repr=False)  # so that their ids are nobody else's

    @property
    def nbytes(self) -> int:
        """Memory that its volumes take."""
        held = 0 if self.sinograms is None else self.sinograms.nbytes
        return held + sum(volume.nbytes for volume in self.volumes.values())

    def lasting(self) -> "VolumeFrame":
        """What is kept of it once there is a later one: the estimate, and what follows from it."""
        kept = {key: self.volumes[key] for key in ("estimate", "difference") if key in self.volumes}
        return replace(
            self,
            volumes=kept,
            sinograms=None,
            measured=None,
            state=None,
            denoised=None,
            _memo={},
            _memo_truth={},
        )

    def at(self, place: Place) -> "VolumeFrame":
        """Its pictures at the voxel that is nearest to a place; the same object as long as the same is asked for."""
        place = self.grid.inside(place)
        found = self._memo.get(place)
        if found is None:
            planes, measured = _planes(self.volumes, place), None
            if self.sinograms is not None:
                channel = self.channel_seeing(place.slice)
                one = self.sinograms[channel : channel + 1]
                measured = measurement_picture(find_physics(self.pictorial), one, self.image)
            found = replace(
                self, planes=planes, estimate=planes["estimate"], state=planes.get("state"),
                denoised=planes.get("denoised"), difference=planes.get("difference"), measured=measured, _memo={},
                _memo_truth={},
            )  # fmt: skip
            self._memo.clear()
            self._memo[place] = found
        return found

    def against_planes(self, truth: Mapping[str, Pixels]) -> "VolumeFrame":
        """The same with its differences to what is the truth at its voxel, by the differences' keys; the same object as
        long as these are.
        """
        of = tuple(map(id, truth.values()))
        found = self._memo_truth.get(of)
        if found is None:
            planes = dict(self.planes)
            for key, pixels in truth.items():
                estimate = planes.get(key.replace("difference", "estimate"))
                if estimate is not None and estimate.shape == pixels.shape:
                    planes[key] = estimate - pixels
            found = replace(
                self, planes=planes, difference=planes.get("difference"), _memo={}, _memo_truth={},
                _held=tuple(truth.values()),
            )  # fmt: skip
            self._memo_truth.clear()
            self._memo_truth[of] = found
        return found

    def against(self, truth: Pixels | None) -> IteratePictures:
        """As it is: a slice is no truth of a volume."""
        return self


def volume_frame(iterate: Iterate, pictures: VolumeProblem) -> VolumeFrame:
    """An iterate of a run on a volume, off the device."""
    image, truth = pictures.prepared.image, pictures.volumes.get("truth")
    estimate = VolumeValues(iterate.estimate, image)
    volumes: dict[str, Volume] = {
        "estimate": estimate, "state": VolumeValues(iterate.x, image), "denoised": VolumeValues(iterate.denoised, image)
    }  # fmt: skip
    if isinstance(truth, VolumeValues):
        volumes["difference"] = VolumeDifference(estimate, truth)
    measured = None if iterate.measured is None else iterate.measured.detach().cpu()
    return VolumeFrame(
        step=iterate.step, total=iterate.total, sigma=iterate.sigma, estimate=estimate.plane(Plane.AXIAL, 0),
        partition=iterate.partition, grid=grid_of(image), volumes=volumes, image=image, sinograms=measured,
        pictorial=pictures.prepared.method.physics,
        channel_seeing=pictures.prepared.problem.operator.channel_seeing,
    )  # fmt: skip


def frame_of_result(image: Image, *, step: int, total: int, sigma: float) -> VolumeFrame:
    """A volume that is a result as a frame, for where no iterate is kept."""
    values = VolumeValues(image.pixels)
    return VolumeFrame(
        step=step, total=total, sigma=sigma, estimate=values.plane(Plane.AXIAL, 0), grid=grid_of(image),
        volumes={"estimate": values}, image=image,
    )  # fmt: skip


def pictures_of_prepared(prepared: Prepared) -> ProblemPictures:
    """What is to be seen of a problem, of an image or of a volume; call it in the compute thread."""
    if not prepared.image.is_volume:
        return pictures_of_problem(prepared)
    image, truth = prepared.image, prepared.problem.truth
    middle = replace(image, pixels=image.pixels[image.channels // 2][None], slices=())
    return volume_problem(
        prepared, middle.robust_range(), math.nan if truth is None else psnr(prepared.baseline, truth)
    )


def frame_of_iterate(
    iterate: Iterate, pictures: ProblemPictures, call: DenoiserCall | None, disagreement: Tensor | None
) -> IteratePictures:
    """The pictures of an iterate, of an image or of a volume; call it in the compute thread."""
    if isinstance(pictures, VolumeProblem):
        return volume_frame(iterate, pictures)
    return frame_of(iterate, pictures, call, disagreement)


def groups_in(partition: Partition | None) -> tuple[float, ...]:
    """Where groups of slices meet, as heights in the coronal and the sagittal plane, in rows from above; of a call of the
    prior across slices."""
    groups = partition.groups if isinstance(partition, StackPartition) else None
    if groups is None:
        return ()
    below = [z + 1 for z, parted in enumerate(groups.seams.tolist()) if parted]
    return tuple(float(groups.count - z) for z in below)
