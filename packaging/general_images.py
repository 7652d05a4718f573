"""The images that the prior `general` is trained on: `python packaging/general_images.py CT.tif PHOTOS/ OUT.tif`.

Things as scanners show them, 256 x 256 pixels, from 0 (air) to 1: synthetic objects of a few materials (sections of discs,
blobs and polygons, with holes, cells, grains, layers, cracks, fibres, texture, shading and the blur of a scanner), axial CT
slices at other scales, turned, and in other windows, and squares of photographs, alone and inside a disc. Everything is
drawn from one seed. The pages of OUT are int16 from -1000 to 1000, the window of `ct-small`, which is trained further on
them and keeps its window; `padis-gui convert` then says that the prior's images are from 0 to 1.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import polygon2mask

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
SIDE = 256
FINE = 2  # objects are drawn so much finer and averaged, so that their edges cover parts of pixels
OBJECTS, SLICES, SQUARES = 1300, 500, 400
HU = (-1000.0, 1000.0)


def field(rng: np.random.Generator, side: int, scale: float) -> Values:
    """A smooth random field (side, side) of mean 0 and deviation 1, that varies within ``scale`` pixels."""
    coarse = max(4, int(3 * side / scale))
    found = ndimage.gaussian_filter(rng.standard_normal((coarse, coarse)), 1.5, mode="wrap")
    found = ndimage.zoom(found, side / coarse, order=3, mode="grid-wrap", grid_mode=True)[:side, :side]
    return ((found - found.mean()) / found.std()).astype(np.float32)


def places(side: int) -> tuple[Values, Values]:
    """Rows and columns of each pixel, from -1 to 1."""
    axis = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return rows, columns


def ellipse(
    rng: np.random.Generator, side: int, centre: NDArray[np.float64], radius: float, least: float = 0.4
) -> Mask:
    """A turned ellipse; ``least`` is how narrow it may be."""
    rows, columns = places(side)
    turn, ratio = rng.uniform(0, np.pi), rng.uniform(least, 1)
    r, c = rows - centre[0], columns - centre[1]
    along, across = r * np.cos(turn) + c * np.sin(turn), c * np.cos(turn) - r * np.sin(turn)
    found: Mask = along**2 + (across / ratio) ** 2 <= radius**2
    return found


def polygon(rng: np.random.Generator, side: int, centre: NDArray[np.float64], radius: float) -> Mask:
    """A polygon of 3 to 8 corners, rounded or sharp."""
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    at = centre + radius * rng.uniform(0.6, 1, (corners, 1)) * np.stack([np.sin(angles), np.cos(angles)], 1)
    found: Mask = polygon2mask((side, side), (at + 1) / 2 * side)
    return smooth(found, rng.uniform(0, 6)) if rng.random() < 0.6 else found


def blob(rng: np.random.Generator, side: int, centre: NDArray[np.float64], radius: float) -> Mask:
    """A disc whose rim waves."""
    rows, columns = places(side)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    found: Mask = distance <= radius * (1 + 0.18 * field(rng, side, side * rng.uniform(0.15, 0.6)))
    return found


def smooth(mask: Mask, by: float) -> Mask:
    """Corners rounded."""
    found: Mask = ndimage.gaussian_filter(mask.astype(np.float32), by * FINE) > 0.5
    return found


SHAPES: tuple[Callable[..., Mask], ...] = (ellipse, polygon, blob)


def cells(rng: np.random.Generator, side: int) -> Mask:
    """Voronoi cells, rounded, with walls between them."""
    seeds = rng.uniform(-1, 1, (int(rng.integers(8, 90)), 2))
    rows, columns = places(side)
    near, _ = cKDTree(seeds).query(np.stack([rows, columns], -1).reshape(-1, 2), k=2)
    wall = rng.uniform(0.015, 0.12)
    found: Mask = (near[:, 1] - near[:, 0] > wall).reshape(side, side)
    return smooth(found, rng.uniform(0, 4))


def holes(rng: np.random.Generator, side: int) -> Mask:
    """Several shapes of one kind and about one size."""
    kind, size = SHAPES[rng.integers(len(SHAPES))], rng.uniform(0.03, 0.2)
    found = np.zeros((side, side), bool)
    for _ in range(int(rng.integers(1, 16))):
        found |= kind(rng, side, rng.uniform(-0.8, 0.8, 2), size * rng.uniform(0.6, 1.4))
    return found


def grains(rng: np.random.Generator, side: int) -> Mask:
    """What lies above or about one value of a random field: grains, pores, veins."""
    values = field(rng, side, side * rng.uniform(0.02, 0.25))
    found: Mask = (
        np.abs(values) < rng.uniform(0.05, 0.4) if rng.random() < 0.4 else values > rng.uniform(-0.5, 1.5)
    )
    return found


def lines(rng: np.random.Generator, side: int) -> Mask:
    """Cracks, fibres or wires: bent lines from half a pixel to some pixels wide."""
    found = np.zeros((side, side), bool)
    for _ in range(int(rng.integers(1, 6))):
        steps = np.cumsum(rng.normal(0, rng.uniform(0.005, 0.06), 1500)) + rng.uniform(0, 2 * np.pi)
        path = (
            rng.uniform(-0.8, 0.8, 2) + np.cumsum(np.stack([np.sin(steps), np.cos(steps)], 1), 0) / side * 0.7
        )
        at = ((path + 1) / 2 * side).astype(int)
        at = at[((at >= 0) & (at < side)).all(1)]
        found[at[:, 0], at[:, 1]] = True
    thick: Mask = ndimage.binary_dilation(found, iterations=int(rng.integers(1, 4)))
    return thick


INSIDES: tuple[Callable[..., Mask], ...] = (holes, holes, cells, grains, lines)


def material(rng: np.random.Generator) -> float:
    """Air, or anything up to white."""
    return 0.0 if rng.random() < 0.35 else float(rng.uniform(0.1, 1.0))


def filled(rng: np.random.Generator, inside: Mask) -> Values:
    """One object within its outline: a material, others in it, a rind, and how a scanner shades them."""
    side = len(inside)
    found = np.where(inside, np.float32(rng.uniform(0.35, 1.0)), np.float32(0))
    for _ in range(int(rng.integers(0, 4))):
        within = INSIDES[rng.integers(len(INSIDES))](rng, side) & inside
        if rng.random() < 0.5:
            depth = ndimage.distance_transform_edt(inside)
            within &= depth > rng.uniform(0.01, 0.1) * side
        found[within] = material(rng)
    if rng.random() < 0.3:
        depth = ndimage.distance_transform_edt(inside)
        found[inside & (depth < rng.uniform(0.01, 0.08) * side)] = rng.uniform(0.2, 1.0)
    if rng.random() < 0.3:
        found += rng.uniform(0.005, 0.06) * field(rng, side, side * rng.uniform(0.01, 0.1)) * (found > 0)
    if rng.random() < 0.5:  # beam hardening: darker towards the middle
        depth = np.minimum(ndimage.distance_transform_edt(inside) / side, 0.25) / 0.25
        found *= 1 - (rng.uniform(0, 0.2) * depth).astype(np.float32)
    if rng.random() < 0.3:
        found *= 1 + rng.uniform(0, 0.06) * field(rng, side, side * 0.6)
    return found


def scanned_object(rng: np.random.Generator) -> Values:
    """One to four objects, as a scanner would show them."""
    side = SIDE * FINE
    found = np.zeros((side, side), np.float32)
    for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 5))):
        alone = not found.any()
        radius = rng.uniform(0.3, 0.95) if alone else rng.uniform(0.1, 0.4)
        centre = rng.uniform(-0.15, 0.15, 2) if alone else rng.uniform(-0.7, 0.7, 2)
        outline = (
            ellipse(rng, side, centre, radius, least=0.98)
            if rng.random() < 0.3
            else SHAPES[rng.integers(len(SHAPES))](rng, side, centre, radius)
        )
        found = np.where(outline, filled(rng, outline), found)
    found = ndimage.gaussian_filter(found, rng.uniform(0.3, 1.3) * FINE)
    small: Values = found.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))
    return small


def turned_slice(rng: np.random.Generator, hounsfield: Values) -> Values:
    """A CT slice at another scale, turned, in a window of its own."""
    values = (hounsfield - HU[0]) / (HU[1] - HU[0])
    turn, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.8)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.full(2, (SIDE - 1) / 2)
    shifted = middle - matrix @ (middle + rng.uniform(-40, 40, 2))
    anti_aliased = ndimage.gaussian_filter(np.clip(values, 0, 1), 0.4 * max(scale - 1, 0))
    found: Values = ndimage.affine_transform(anti_aliased, matrix, shifted, order=1, mode="constant")
    return found / np.float32(rng.uniform(0.5, 1.0))


def square(rng: np.random.Generator, photograph: Picture.Image) -> Values:
    """A random square of a photograph, reduced; sometimes as the section of a disc."""
    shorter = min(photograph.size)
    side = int(rng.uniform(0.25, 1) * shorter)
    left, top = (int(rng.integers(0, full - side + 1)) for full in photograph.size)
    part = photograph.crop((left, top, left + side, top + side)).resize(
        (SIDE, SIDE), Picture.Resampling.LANCZOS
    )
    found = np.asarray(part, np.float32) / 255
    if rng.random() < 0.5:
        outline = ellipse(rng, SIDE, rng.uniform(-0.1, 0.1, 2), rng.uniform(0.5, 0.95), least=0.8)
        found = found * ndimage.gaussian_filter(outline.astype(np.float32), 0.7)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slices", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    hounsfield = tifffile.imread(given.slices).astype(np.float32)
    photographs = [Picture.open(path).convert("L") for path in sorted(given.photographs.iterdir())]
    with tifffile.TiffWriter(given.out) as out:
        for index in rng.permutation(OBJECTS + SLICES + SQUARES):
            if index < OBJECTS:
                values = scanned_object(rng)
            elif index < OBJECTS + SLICES:
                values = turned_slice(rng, hounsfield[rng.integers(len(hounsfield))])
            else:
                values = square(rng, photographs[rng.integers(len(photographs))])
            out.write((np.clip(values, 0, 1) * 2000 - 1000).round().astype(np.int16), contiguous=True)


if __name__ == "__main__":
    main()
