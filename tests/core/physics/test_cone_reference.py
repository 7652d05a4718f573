"""Cone beams beside those of ITK's RTK, where that is installed (`pip install itk-rtk`): projections, transposes, FDK.

RTK turns about its y, its source stands on z at angle 0 and its v points upwards: x, y, z here are x, -z, y there.
"""

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from tests.core.physics.test_cone import BALLS, SCANS, integrals, operator, settings

pytestmark = pytest.mark.skipif(find_spec("itk") is None, reason="wants itk-rtk")

SHAPE = (44, 48, 52)
SAME = {
    name: SCANS[name]
    for name in ("plain", "start", "clockwise", "centre", "centre row", "axis offset", "angles", "tilt")
}


class RTK:
    """One scan there. Arrays are held as long as it lives: images are views of them."""

    def __init__(self, options: dict[str, Any]) -> None:
        import itk

        self.itk, rtk = itk, itk.RTK  # loading it takes long
        self.of, self._held = settings(**{"views": 90} | options), []
        A = operator(self.of, SHAPE)
        self.rtk, self.image = rtk, itk.Image[itk.F, 3]
        self.geometry = rtk.ThreeDCircularProjectionGeometry.New()
        found = A.geometry
        aside = found.axis_offset * (found.magnification - 1) - (found.centre or 0.0) * found.bin_width
        for angle in found.radians.tolist():
            self.geometry.AddProjection(
                found.source_distance, found.to_detector, math.degrees(angle), aside,
                (found.centre_row or 0.0) * found.row_height, 0.0, found.tilt, -found.axis_offset, 0.0,
            )  # fmt: skip
        self.spacing = (found.bin_width, found.row_height, 1.0)

    def of_array(self, values: np.ndarray, spacing: tuple[float, float, float]) -> Any:
        kept = np.ascontiguousarray(values, dtype=np.float32)
        made = self.itk.image_view_from_array(kept)
        made.SetSpacing(spacing)
        made.SetOrigin([-(n - 1) / 2 * step for n, step in zip(kept.shape[::-1], spacing, strict=True)])
        self._held += [kept, made]
        return made

    def volume(self, x: np.ndarray) -> Any:
        return self.of_array(x.transpose(1, 0, 2)[:, ::-1], (1.0, 1.0, 1.0))

    def projections(self, y: np.ndarray) -> Any:
        return self.of_array(y.transpose(1, 0, 2)[:, ::-1], self.spacing)

    def run(self, made: Any, *inputs: Any) -> np.ndarray:
        """What a filter makes, in this program's order of axes."""
        for number, each in enumerate(inputs):
            made.SetInput(number, each)
        made.SetGeometry(self.geometry)
        made.Update()
        self._held += [made, *inputs]
        return self.itk.array_from_image(made.GetOutput())[:, ::-1].transpose(1, 0, 2).copy()


@pytest.mark.parametrize("options", SAME.values(), ids=SAME.keys())
def test_projections_are_those_of_rtk(options: dict[str, Any]) -> None:
    """Both interpolate alike: within the volume they differ by rounding, at its border by what lies beyond."""
    there = RTK(options)
    A = operator(there.of, SHAPE)
    x = np.zeros(SHAPE)
    x[2:-2, 2:-2, 2:-2] = np.random.default_rng(0).random([n - 4 for n in SHAPE])
    kind = there.rtk.JosephForwardProjectionImageFilter[there.image, there.image]
    found = there.run(kind.New(), there.projections(np.zeros(A.measurement_shape)), there.volume(x))
    ours = A(torch.from_numpy(x)).numpy()
    assert np.linalg.norm(found - ours) < 2e-3 * np.linalg.norm(ours)


@pytest.mark.parametrize("options", SAME.values(), ids=SAME.keys())
def test_fdk_puts_things_where_rtk_does(options: dict[str, Any]) -> None:
    """To a tenth of a voxel, of exact projections."""
    there = RTK(options)
    y = integrals(there.of, BALLS)
    ours = operator(there.of, SHAPE).pinv(y).numpy()
    kind = there.rtk.FDKConeBeamReconstructionFilter[there.image]
    found = there.run(kind.New(), there.volume(np.zeros(SHAPE)), there.projections(y.numpy()))
    z, y_, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")
    for middle, _, _ in BALLS:
        away = np.sqrt((x - middle[0]) ** 2 + (y_ + middle[1]) ** 2 + (z + middle[2]) ** 2)
        places = []
        for each in (ours, found):
            weights = np.where(away < 6, each - 0.1, 0).clip(0)
            places.append([float((weights * at).sum() / weights.sum()) for at in (x, y_, z)])
        assert np.abs(np.subtract(*places)).max() < 0.1
        assert ours[away < 1.5].mean() == pytest.approx(found[away < 1.5].mean(), abs=0.05)
