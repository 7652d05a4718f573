"""How the network is told where a patch lies: the forms that the two coordinates of a pixel can take.

All of them read the coordinates of :class:`~padis_gui.core.prior.partition.Frame`, so a prior's convention and its
encoding are two separate things, and give features on the pixels that the network computes on (half as many an
axis). Fourier and learned features are smooth over two pixels, so there they are computed once for four.
"""

import math
from typing import Literal, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by
from torch import Tensor, nn

EncodingName = Literal["none", "coordinates", "fourier", "learned"]
COORDINATES = 2  # along the columns, then along the rows
_OCTAVES = 5
_TABLE_SIDE, _TABLE_FEATURES = 16, 16


class NoPositions(nn.Module):
    """The coordinates are not looked at; what PaDIS (arXiv 2406.02462, table 6) compares with."""

    features = 0

    def forward(self, positions: Tensor) -> Tensor:
        """(n, 2, P, P) -> (n, 0, P/2, P/2)."""
        count, _, rows, columns = positions.shape
        return positions.new_empty(count, 0, rows // 2, columns // 2)


class Coordinates(nn.Module):
    """The coordinates themselves, as in PaDIS (arXiv 2406.02462, section 3.2), each pixel's its own."""

    features = 4 * COORDINATES

    def forward(self, positions: Tensor) -> Tensor:
        """(n, 2, P, P) -> (n, 8, P/2, P/2)."""
        return F.pixel_unshuffle(positions, 2)


class FourierFeatures(nn.Module):
    """The coordinates, and sine and cosine of them in octaves (arXiv 2006.10739): sharper notions of place.

    The longest period is twice the padded image, so that places beyond its edge have no double inside it.
    """

    features = COORDINATES * (1 + 2 * _OCTAVES)

    def __init__(self) -> None:
        super().__init__()
        rates = math.pi / 2 * 2.0 ** torch.arange(_OCTAVES)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """(n, 2, P, P) -> (n, 22, P/2, P/2)."""
        middle = F.avg_pool2d(positions, 2)
        angles = (middle[:, :, None] * cast(Tensor, self.rates).view(-1, 1, 1)).flatten(1, 2)
        return torch.cat([middle, angles.sin(), angles.cos()], dim=1)


class LearnedTable(nn.Module):
    """Features of 16 x 16 places over the padded image that are learned with the network, linear between them.

    A place beyond the padded image gets the features of the nearest one on its edge.
    """

    features = _TABLE_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(1, _TABLE_FEATURES, _TABLE_SIDE, _TABLE_SIDE) / 2)

    def forward(self, positions: Tensor) -> Tensor:
        """(n, 2, P, P) -> (n, 16, P/2, P/2)."""
        places = F.avg_pool2d(positions, 2).permute(0, 2, 3, 1)
        table = self.table.expand(len(places), -1, -1, -1)
        return F.grid_sample(table, places, padding_mode="border", align_corners=True)


ENCODINGS: dict[EncodingName, type[NoPositions | Coordinates | FourierFeatures | LearnedTable]] = {
    "none": NoPositions,
    "coordinates": Coordinates,
    "fourier": FourierFeatures,
    "learned": LearnedTable,
}
