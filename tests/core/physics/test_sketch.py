"""The sketch of a scan says what the scan does: convention, turn, field of view."""

import math
from typing import Any

import numpy as np
import pytest

from padis_gui.core.physics.geometry import Sketch, make_sketch
from padis_gui.core.physics.scanner import FanBeamSettings, ParallelBeamSettings
from padis_gui.core.settings.errors import SettingError

SHAPE = (48, 64)


def parallel(**settings: Any) -> Sketch:
    return make_sketch(ParallelBeamSettings(**settings).geometry(SHAPE), SHAPE, pixel_size=1.0)


def fan(**settings: Any) -> Sketch:
    return make_sketch(FanBeamSettings(**settings).geometry(SHAPE), SHAPE, pixel_size=1.0)


@pytest.mark.parametrize("make", [parallel, fan])
def test_at_angle_0_rays_run_upwards_and_bins_count_from_left_to_right(make: Any) -> None:
    view = make(views=4).views[0]
    (first, last), (left, right) = view.detector, view.sources
    assert first[0] < last[0]
    assert first[1] == pytest.approx(last[1])
    assert left[1] < 0 < first[1]
    assert right[1] < 0


@pytest.mark.parametrize(("turn", "side"), [("counter-clockwise", 1), ("clockwise", -1)])
def test_a_quarter_turn_takes_the_source_from_below_to_that_side(turn: str, side: int) -> None:
    view = fan(views=4, turn=turn).views[1]
    assert view.sources[0] == pytest.approx((side * 64, 0), abs=1e-9)
    assert view.detector[0][0] == pytest.approx(-side * 64)


@pytest.mark.parametrize("make", [parallel, fan])
@pytest.mark.parametrize(
    "settings", [{}, {"bins": 40}, {"bins": 64, "centre": 7.0}, {"bins": 64, "bin_width": 0.5}]
)
def test_the_field_of_view_touches_the_nearer_of_the_outer_rays(make: Any, settings: Any) -> None:
    sketch = make(views=5, **settings)
    for view in sketch.views:
        distances = []
        for source, end in zip(view.sources, view.detector, strict=True):
            way = np.subtract(end, source)
            distances.append(abs(way[0] * source[1] - way[1] * source[0]) / np.hypot(*way))
        assert min(distances) == pytest.approx(sketch.field_of_view, rel=1e-6)
    assert sketch.circle == pytest.approx(math.hypot(*SHAPE) / 2)


def test_a_short_detector_is_known_to_cut_corners_off() -> None:
    assert parallel().sees_everything
    assert not parallel(bins=40).sees_everything


def test_listed_angles_and_their_arc() -> None:
    sketch = parallel(angles=(10.0, 20.0, 40.0))
    assert [round(math.degrees(v.angle)) for v in sketch.views] == [10, 20, 40]
    assert sketch.arc == pytest.approx(30)


def test_a_bad_scan_says_why() -> None:
    with pytest.raises(SettingError, match="corners"):
        fan(source_distance=20.0)
