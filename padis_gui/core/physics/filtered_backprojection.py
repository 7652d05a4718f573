"""What filtered back projection needs besides a scan's geometry: the ramp, the weights of views and rays, interpolation."""

import math
from typing import Literal, NamedTuple

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.geometry import Geometry

FilterName = Literal["ram-lak", "hann"]
# The widest gap between neighbouring views is where the scan ends if it is so many times the next widest
_WEDGE = 3.0
# of 2 to 90 degrees the best for short scans of 40 views, and as good as any for more
_TAPER = math.radians(30)


def ramp_response(bins: int, filter_name: FilterName) -> Tensor:
    """Frequency response of the ramp for bins of width 1, padded to twice their number, for ``rfft``; float64.

    The ramp is built in space (Kak and Slaney, "Principles of Computerized Tomographic Imaging", equation 61 of
    chapter 3), which keeps the mean right, and multiplied by the window in frequency.
    """
    length = 1 << (2 * bins - 1).bit_length()
    n = torch.arange(length)
    distance = torch.minimum(n, length - n).double()
    odd = -1 / (math.pi * distance).square().clamp(min=1e-12)
    kernel = torch.where(n % 2 == 1, odd, torch.zeros(()).double())
    kernel[0] = 0.25
    response: Tensor = torch.fft.rfft(kernel).real
    if filter_name == "hann":
        frequency = torch.linspace(0, 1, len(response), dtype=torch.float64)
        response = response * 0.5 * (1 + torch.cos(math.pi * frequency))
    return response


def filtered(rows: Tensor, response: Tensor) -> Tensor:
    """Rows of bins (..., bins) through a response of :func:`ramp_response`."""
    length = 2 * (response.shape[-1] - 1)
    spectrum = torch.fft.rfft(rows, n=length) * response
    signal: Tensor = torch.fft.irfft(spectrum, n=length)
    return signal[..., : rows.shape[-1]]


def interpolated(row: Tensor, at: Tensor) -> Tensor:
    """The values of ``row`` (C, bins) between bins, at the positions ``at`` (rows, columns); 0 off the detector."""
    padded = torch.nn.functional.pad(row, (1, 2))
    at = (at + 1).clamp(0, row.shape[-1] + 1)
    left = at.int()
    index = left.flatten()
    value, step = (table.index_select(1, index).reshape(-1, *at.shape) for table in (padded, padded.diff()))
    return torch.addcmul(value, step, at - left)


def _in_turn(angles: Tensor, period: float) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Order of the angles modulo ``period``, the sorted ones, the gap after each, and whether the scan has ends.

    The gap between the ends, if any, is made as wide as the next widest: half of it belongs to each end.
    """
    inside = torch.remainder(angles.double(), period)
    order = inside.argsort()
    inside = inside[order]
    gaps = torch.cat([inside[1:], inside[:1] + period]) - inside
    *_, following, widest = [0.0, *sorted(gaps.tolist())]
    has_ends = 0 < _WEDGE * following < widest
    return order, inside, gaps.clamp(max=following) if has_ends else gaps, has_ends


def view_weights(angles: Tensor, period: float) -> Tensor:
    """The range of angles that each view (views,) stands for, in radians: half the way to both neighbours.

    ``period`` is the turn after which views see the same lines again. Views at one angle share its range. What a
    limited-angle scan leaves open belongs to nobody.
    """
    order, _, gaps, _ = _in_turn(angles, period)
    weights = torch.empty_like(gaps)
    weights[order] = (gaps + gaps.roll(1)) / 2
    return weights


def scanned_arc(angles: Tensor) -> tuple[float, float]:
    """Start and length, in radians, of the arc that views (views,) cover; 0 and 2 pi for a full turn."""
    _, inside, gaps, has_ends = _in_turn(angles, 2 * math.pi)
    if not has_ends:
        return 0.0, 2 * math.pi
    open_after = int((inside.roll(-1) - inside).remainder(2 * math.pi).argmax())
    step = float(gaps[open_after])
    return float(inside[(open_after + 1) % len(inside)]) - step / 2, float(gaps.sum())


def redundancy_weights(angles: Tensor, fan_angles: Tensor, part: slice = slice(None)) -> Tensor:
    """Weights (views, bins), of a ``part`` of the views, with which rays that a fan beam measures twice add up to one.

    A ray at the source angle b and the fan angle g is measured again at b + pi - 2 g from the other side. Each of
    the two counts c(b) / (c(b) + c(b + pi - 2 g)), where c falls from 1 to 0 within 30 degrees at the ends of
    the scanned arc (Noo et al., Phys. Med. Biol. 47 (2002) 2525; for a short scan much as Parker's
    weights, Med. Phys. 9 (1982) 254). On a full turn all are one half; a ray measured once counts fully, and
    what an arc below pi + the full fan angle never measures stays missing.
    """
    start, arc = scanned_arc(angles)

    def c(b: Tensor) -> Tensor:
        if arc >= 2 * math.pi:
            return torch.ones_like(b)
        along = torch.remainder(b - start, 2 * math.pi)
        edge = torch.minimum(along, arc - along).clamp(min=0) / min(_TAPER, arc / 2)
        return torch.sin(0.5 * math.pi * edge.clamp(max=1)).square()

    views = angles[part, None]
    own = c(views.double().expand(-1, len(fan_angles))).clamp(min=1e-9)
    return own / (own + c(views + math.pi - 2 * fan_angles[None]))


# A detector whose middle is so far from where it sees the axis, in its widths, is one beside the axis
_BESIDE = 0.1
# The weights of such a one fall over at least so many bins to each side of the axis: a step would be a bright point there
_NARROWEST = 6


def displaced_weights(geometry: Geometry) -> Tensor | None:
    """Weights (bins,) of the rays where a full turn is measured by a detector beside the axis.

    None for other scans. Rays on the axis' shorter side are measured twice, by views from the other side; what lies
    farther out is measured once (half acquisition, of a cone beam half fan). Across the overlap the weight rises from 0
    to 1 as a squared sine, of a fan beam along the fan angle, whose sign the other reading of a ray has turned round; so
    both add up to one (after Wang, Med. Phys. 29 (2002) 1634). Where the axis is beyond the detector no ray is measured
    twice, and the weight rises across what no view sees: see :func:`unseen_weights`.
    """
    sides = _sides(geometry)
    if sides is None:
        return None
    outward = geometry.positions() * (1.0 if sides.last_is_longer else -1.0)
    return _rising(outward, sides, geometry)


def unseen_weights(geometry: Geometry) -> Tensor:
    """The weights (n,) of bins that a detector beside the axis lacks on its shorter side, from its end outwards.

    They are relative to that of its outermost bin, whose reading stands for theirs. Empty where rays of more than a few
    bins are measured twice.
    """
    sides = _sides(geometry)
    if sides is None:
        return torch.zeros(0, dtype=torch.float64)
    count = math.ceil((sides.overlap - sides.shorter) / geometry.bin_width) - 1
    outward = -sides.shorter - torch.arange(max(count, 0) + 1, dtype=torch.float64) * geometry.bin_width
    weights = _rising(outward, sides, geometry)
    return weights[1:] / weights[0] if count > 0 else weights[:0]


class _Sides(NamedTuple):
    """Of a detector beside the axis: how far the shorter one reaches beyond it, below 0 where it does not reach the axis,
    and how far to both sides of it the weights rise."""

    shorter: float
    overlap: float
    last_is_longer: bool


def _sides(geometry: Geometry) -> _Sides | None:
    """None unless a full turn is measured by a detector that is seen to be beside the axis."""
    first, last = (float(p) for p in geometry.positions()[[0, -1]])
    full = scanned_arc(geometry.radians)[1] >= 2 * math.pi * (1 - 1e-9)
    beside = abs(first + last) / 2 > _BESIDE * geometry.bins * geometry.bin_width
    if not full or not beside:
        return None
    shorter = min(-first, last)
    return _Sides(shorter, max(abs(shorter), _NARROWEST * geometry.bin_width), last > -first)


def _rising(outward: Tensor, sides: _Sides, geometry: Geometry) -> Tensor:
    """From 0 to 1 across the overlap, so that both readings of a ray add up to one; ``outward`` are places on the detector.

    They lie as far to both sides of the axis, of a fan beam by their angle.
    """
    along, end = outward, torch.tensor(sides.overlap, dtype=outward.dtype)
    if geometry.beam != "parallel":
        along, end = (torch.atan(at / geometry.to_detector) for at in (along, end))
    along = along / end
    return torch.sin(0.25 * math.pi * (1 + along.clamp(-1, 1))).square()


# How far a view that ends inside the object goes on, in its own length, and how many readings say from what
_GOES_ON, _LAST = 0.25, 4


def completed(rows: Tensor, beside: tuple[int, int], unseen: Tensor | None = None) -> Tensor:
    """Weighted views (..., bins) of a detector beside the axis, with so many bins more before and after them.

    The shorter side's weights have come down to 0, or do so over the ``unseen`` bins behind its end: the outermost reading
    stands there with these weights, and together with that of the opposite view leads from the one to the other. On the
    longer side an object that is wider than what the scan sees would end abruptly, and shine at its rim: the last
    readings go on there as a squared cosine (as in Ohnesorge et al., Med. Phys. 27 (2000) 39, with the mean of the last
    readings instead of their mirror image). Air goes on as air.
    """
    before, after = beside
    found = torch.nn.functional.pad(rows, beside)
    far = after if before > after else before
    if not far:
        return found
    fall = (
        torch.cos(0.5 * math.pi * torch.arange(1, far + 1, dtype=torch.float64) / (far + 1)).square().to(rows)
    )
    inner = rows.new_zeros(0) if unseen is None else unseen.to(rows)
    end = found.shape[-1] - after
    if before > after:
        found[..., -far:] = rows[..., -_LAST:].mean(-1, keepdim=True) * fall
        found[..., before - len(inner) : before] = rows[..., :1] * inner.flip(0)
    else:
        found[..., :far] = rows[..., :_LAST].mean(-1, keepdim=True) * fall.flip(0)
        found[..., end : end + len(inner)] = rows[..., -1:] * inner
    return found


def bins_beside(geometry: Geometry) -> tuple[int, int]:
    """How many bins before and after a view :func:`completed` adds; none where the detector is not beside the axis.

    As many as make the shorter side as long as the other, and some more on both.
    """
    if displaced_weights(geometry) is None:
        return 0, 0
    more, on = round(2 * geometry.axis) - (geometry.bins - 1), int(_GOES_ON * geometry.bins)
    return max(-more, 0) + on, max(more, 0) + on
