"""A prior on the slices of a volume at once: x is (Z, rows, columns), each slice denoised by itself or with its neighbours.

A prior of single slices takes each slice as an image; one across slices (:mod:`slices`) takes its groups, above a noise
level sigma_v where both are at hand. All of a call's slices have one partition of the plane.

What a run of a volume draws. With single slices alone every slice meets the same noise, the same tilings and the same
padding, those that it would meet by itself: such a run makes of each slice what a run of that slice makes. Across slices
the noise of neighbours is independent, as it was in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior, denoise_patches, surround
from padis_gui.core.prior.slices import Groups, StackSettings, ZTiling, log_spacing, neighbours
from padis_gui.core.prior.tiling import Tiling
from padis_gui.core.settings.declarations import branch
from padis_gui.core.settings.errors import SettingError

# sigma_v where nobody says it, as measured: see docs/volumes.md
ACROSS_ABOVE = 0.0


@dataclass(frozen=True)
class StackPartition(Partition):
    """The partition of a denoiser call on a volume: of the plane, and the groups along z where there are some."""

    groups: Groups | None = None

    @property
    def seams_along_z(self) -> Tensor | None:
        """Which neighbouring slices the border of a group parts, bool (Z - 1,); None where slices are in no groups."""
        return None if self.groups is None else self.groups.seams


@dataclass(frozen=True)
class StackTiling:
    """A tiling of the plane and one of the z axis, which counts from the noise level ``above`` on."""

    plane: Tiling
    along_z: ZTiling
    above: float = 0.0

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        """The plane's partition first, then the groups."""
        plane = self.plane.draw(rng, sigma)
        groups = self.along_z.draw(rng) if sigma >= self.above else None
        return StackPartition(
            **{field.name: getattr(plane, field.name) for field in fields(Partition)}, groups=groups
        )


@dataclass(frozen=True, slots=True)
class StackPrior(PatchPrior):
    """A prior, and where there is one a prior ``across`` slices, for images that are volumes (Z, rows, columns).

    ``above`` is sigma_v; ``spacing`` the distance of the slices in mm, which priors across slices are told. Tiles of
    ``together`` slices or groups go through the network in one batch, which has ``patch_batch`` patches at most.
    """

    across: PatchPrior | None = None
    above: float = 0.0
    spacing: float | None = None
    together: int = 1

    @property
    def alike(self) -> bool:
        """Whether all slices meet the same noise: where nothing ties them together."""
        return self.slices == 1 and self.across is None

    @property
    def widest(self) -> PatchPrior:
        """The prior that sees most slices at once."""
        return self if self.across is None else self.across

    def denoise(self, x: Tensor, sigma: float, partition: Partition, rng: torch.Generator) -> Tensor:
        """D(x, sigma) of a volume x (Z, rows, columns) through one partition of its planes, and its groups along z.

        The padding gets fresh noise from ``rng``. Differentiable in x and in the networks' parameters, each patch batch
        made again on the way back.
        """
        if self.branching:
            rng = branch(rng)
        if self.observe is not None:
            self.observe(DenoiserCall(x.detach(), sigma, partition, rng.get_state()))
        padded = surround(x, sigma, partition, rng, alike=self.alike)
        used: PatchPrior = self
        if self.across is not None and sigma >= self.above:
            used = replace(
                self.across,
                patch_batch=self.patch_batch,
                interrupt=self.interrupt,
                counted=self.counted,
                positions=self.positions,
            )
        groups = getattr(partition, "groups", None) if used.slices_out == "all" and used.slices > 1 else None
        return _denoised(used, padded, sigma, partition, groups, self.spacing, self.together)

    def tiling(self, plane: Tiling, depth: int, settings: StackSettings) -> Tiling:
        """The tiling of the plane, with one along z for ``depth`` slices where the prior gives all that it sees."""
        widest = self.widest
        if widest.slices == 1 or widest.slices_out == "middle":
            return plane
        along_z = ZTiling(depth, widest.slices, settings)
        return StackTiling(plane, along_z, self.above if self.across is not None else 0.0)


def stacked(
    prior: PatchPrior, across: PatchPrior | None, settings: StackSettings, spacing: float | None
) -> StackPrior:
    """The prior for a volume whose slices lie ``spacing`` mm apart, None where nobody says it.

    Raises :class:`SettingError` where the two priors, or they and the volume, do not go together.
    """
    spacing = settings.slice_spacing or spacing
    above = ACROSS_ABOVE if settings.across_above is None else settings.across_above
    if prior.channels != 1:
        raise SettingError(
            f"A grey prior was wanted for a volume, but this one is of {prior.channels} colours; choose another prior."
        )
    if across is not None:
        check_pair(prior, across)
    known = {field.name: getattr(prior, field.name) for field in fields(PatchPrior)}
    made = StackPrior(**known, across=across, above=above, spacing=spacing, together=settings.slices_together)
    if made.widest.slices > 1 and spacing is None:
        raise SettingError(
            "The distance of the slices was wanted for a prior across slices, but the file does not say it; give it in mm "
            "(--slice-spacing)."
        )
    return made


def check_pair(prior: PatchPrior, across: PatchPrior) -> None:
    """Raise :class:`SettingError` unless one prior is of single slices, the other across slices, and both see alike."""
    if across.slices == 1:
        raise SettingError(
            "A prior across slices was wanted beside that of single slices, but it is one of single slices, too; choose "
            "another, or leave it out."
        )
    if prior.slices > 1:
        raise SettingError(
            "A prior of single slices was wanted beside that across slices, but both are across slices; leave one out."
        )
    one, two = prior.conventions, across.conventions
    names = ("window", "unit", "image_size", "pad")
    apart = [name for name in names if getattr(one, name) != getattr(two, name)]
    if apart or prior.channels != across.channels:
        raise SettingError(
            f"Two priors with the same conventions were wanted, but they differ in {', '.join(apart) or 'colours'}; choose "
            "the prior of single slices that the other one began as."
        )


def _denoised(
    prior: PatchPrior,
    padded: Tensor,
    sigma: float,
    partition: Partition,
    groups: Groups | None,
    spacing: float | None,
    together: int,
) -> Tensor:
    """D of all slices of a padded volume (Z, padded rows, padded columns): (Z, rows, columns)."""
    depth, reach = len(padded), prior.slices // 2
    if groups is not None:
        members: Sequence[tuple[int, ...]] = groups.members
        shares: Sequence[Sequence[tuple[int, int, float]]] = groups.shares
    elif prior.slices > 1 and prior.slices_out == "all":  # without groups each slice is the middle of its own
        members = [neighbours(z, prior.slices, depth) for z in range(depth)]
        shares = [((reach, z, 1.0),) for z in range(depth)]
    else:
        members = [neighbours(z, prior.slices, depth) for z in range(depth)]
        shares = [((0, z, 1.0),) for z in range(depth)]
    together = min(together, prior.batch_of(partition.patch))
    chunks = [slice(n, min(n + together, len(members))) for n in range(0, len(members), together)]
    batch = max(1, prior.batch_of(partition.patch) // together)
    batches = len(chunks) * math.ceil(len(partition.boxes) / batch)
    differentiable = torch.is_grad_enabled() and (
        padded.requires_grad or any(p.requires_grad for p in prior.network.parameters())
    )
    if prior.counted is not None and differentiable:  # each is made again on the way back
        prior = replace(prior, counted=_doubled(prior.counted))
    found: list[Tensor | None] = [None] * depth
    for chunk in chunks:
        done = _chunk(
            prior, padded, members[chunk], sigma, partition, spacing, batch, batches, differentiable
        )
        for planes, gives in zip(done, shares[chunk], strict=True):
            for place, z, weight in gives:
                part = planes[place] if weight == 1.0 else weight * planes[place]
                before = found[z]
                found[z] = part if before is None else before + part
    return torch.stack([plane for plane in found if plane is not None])


def _doubled(counted: Callable[[int], None]) -> Callable[[int], None]:
    return lambda batches: counted(2 * batches)


def _chunk(
    prior: PatchPrior,
    padded: Tensor,
    members: Sequence[tuple[int, ...]],
    sigma: float,
    partition: Partition,
    spacing: float | None,
    batch: int,
    batches: int,
    differentiable: bool,
) -> Iterator[Tensor]:
    """D of some groups, each through the same tiles: (1 or D, rows, columns) one after the other."""

    def work(padded: Tensor, part: slice) -> Tensor:
        if prior.counted is not None:
            prior.counted(batches)
        tiles = torch.cat([partition.cut(padded[list(group)], part) for group in members])
        positions = partition.positions(padded.device, part)
        if not prior.positions:
            positions = 0 * positions
        positions = positions.repeat(len(members), 1, 1, 1)
        level = torch.full((len(tiles),), sigma, dtype=tiles.dtype, device=tiles.device)
        return denoise_patches(
            prior.network, tiles, level, positions, prior.conventions.sigma_data, prior.precision,
            _told(prior, spacing, level),
        )  # fmt: skip

    def work_twice(part: slice) -> Tensor:
        from torch.utils.checkpoint import checkpoint

        made: Tensor = checkpoint(work, padded, part, use_reentrant=False, preserve_rng_state=False)
        return made

    images: list[Tensor] | None = None
    count = len(partition.boxes)
    first = 0
    while first < count:
        if prior.interrupt is not None:
            prior.interrupt()
        part = slice(first, min(first + batch, count))
        try:
            patches = work_twice(part) if differentiable else work(padded, part)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch = max(1, batch // 2)
            continue
        if images is None:
            images = [patches.new_zeros(patches.shape[1], *partition.padded_shape) for _ in members]
        for n, some in enumerate(patches.chunk(len(members))):
            images[n] = partition.lay(images[n], some, part)
        first = part.stop
    assert images is not None, "a partition has tiles"
    return (partition.interior(image) for image in images)


def _told(prior: PatchPrior, spacing: float | None, like: Tensor) -> Tensor | None:
    """The distance that a network across slices is told, (n,): one beyond those of its training as the nearest of them."""
    if prior.slices == 1:
        return None
    assert spacing is not None, "checked when the prior was made"
    least, greatest = prior.conventions.slice_spacings or (spacing, spacing)
    return log_spacing(torch.full_like(like, min(max(spacing, least), greatest)))
