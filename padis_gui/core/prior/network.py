"""Our denoising network, a small residual U-Net on space-to-depth pixels, and how it is told where a patch lies.

The 2x space-to-depth at the door (FFDNet, arXiv 1710.04026) quarters the cost of every layer behind it,
which is what makes a whole-image denoiser call take a twentieth of a second on two CPU cores. Noise-level
modulation follows DDPM/EDM (arXiv 2206.00364); preconditioning is not here but in :mod:`prior`.

All position encodings read the coordinates of :class:`~padis_gui.core.prior.partition.Frame`, so a prior's convention and
its encoding are two separate things, and give features on the pixels that the network computes on (half as many an
axis). Fourier and learned features are smooth over two pixels, so there they are computed once for four.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by
from torch import Tensor, nn

from padis_gui.core.prior.network_settings import CHANNELS_PER_HEAD, EncodingName, NetworkSettings

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


_EMBEDDING_FEATURES = 64
# Of a distance of slices only the slow waves: data have a dozen distances, and what lies between them must be like them
_SPACING_WAVES = 8


def _zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Start a residual branch or a modulation at zero, so that the untrained block is the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _ResidualBlock(nn.Module):
    """Two convolutions without normalisation layers, which cost time and forget the absolute intensity that a
    denoiser needs (on CT, 3 minutes each: +0.3 dB at sigma = 0.1 over the same block with group norm)."""

    def __init__(self, channels_in: int, channels: int, embedding: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.modulation = _zeroed(nn.Linear(embedding, 2 * channels))
        self.conv1 = _zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.skip = nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv0(F.silu(x))
        h = torch.addcmul(shift, h, scale + 1)
        return cast(Tensor, self.skip(x) + self.conv1(F.silu(h)))


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = _zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        heads = channels // CHANNELS_PER_HEAD
        tokens = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)
        q, k, v = tokens.reshape(batch, height * width, 3, heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        mixed = mixed.transpose(1, 2).reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        return cast(Tensor, x + self.proj(mixed))


class PatchUNet(nn.Module):
    """F in EDM's D = c_skip x + c_out F(c_in x, c_noise).

    Input (n, C + 2, P, P), the image and its two coordinates, and c_noise (n,); output (n, C, P, P) in float32.
    A network across D slices has these as channels, is told their distance, (n,) as
    :func:`~padis_gui.core.prior.slices.log_spacing` has it, and gives all of them or the middle one, (n, 1, P, P).
    P must be divisible by ``settings.downsampling``. The first layer always computes in float32: at small sigma
    the noise is finer than bfloat16 resolves in a bright pixel. ``channels_last`` is the layout between layers
    and should be that of the weights.
    """

    channels_last = True

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        widths, emb = settings.channels, settings.embedding
        self.embed = nn.Sequential(
            nn.Linear(_EMBEDDING_FEATURES, emb), nn.SiLU(), nn.Linear(emb, emb), nn.SiLU()
        )
        self.positions = ENCODINGS[settings.position_encoding]()
        if settings.slices > 1:
            # untrained it says nothing, so that a prior of single slices can be taken over
            self.spacing = nn.Sequential(
                nn.Linear(2 * _SPACING_WAVES, emb), nn.SiLU(), _zeroed(nn.Linear(emb, emb))
            )
        entering = 4 * settings.channels_in + self.positions.features
        self.enter = nn.Conv2d(entering, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.ModuleList(_ResidualBlock(w, w, emb) for _ in range(settings.blocks)) for w in widths
        )
        self.down = nn.ModuleList(nn.Conv2d(w, wider, 2, stride=2) for w, wider in pairwise(widths))
        self.attention = _Attention(widths[-1]) if settings.attention else nn.Identity()
        self.middle = _ResidualBlock(widths[-1], widths[-1], emb)
        finer = widths[-2::-1]
        self.up = nn.ModuleList(
            nn.Conv2d(wide, 4 * w, 1) for wide, w in zip(widths[::-1], finer, strict=False)
        )
        self.decoder = nn.ModuleList(
            nn.ModuleList(_ResidualBlock(2 * w if i == 0 else w, w, emb) for i in range(settings.blocks))
            for w in finer
        )
        self.leave = _zeroed(nn.Conv2d(widths[0], 4 * settings.channels_out, 3, padding=1))
        frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), _EMBEDDING_FEATURES // 2))
        self.register_buffer("frequencies", frequencies * (math.pi / 2), persistent=False)

    def _waves(self, condition: Tensor, count: int | None = None) -> Tensor:
        angles = condition[:, None] * cast(Tensor, self.frequencies)[:count]
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, x: Tensor, c_noise: Tensor, c_spacing: Tensor | None = None) -> Tensor:
        if c_spacing is None:
            embedding = self.embed(self._waves(c_noise))
        else:
            told = self.spacing(self._waves(c_spacing, _SPACING_WAVES))
            embedding = self.embed[3](self.embed[:3](self._waves(c_noise)) + told)
        image, positions = x.tensor_split((self.settings.channels_in,), dim=1)
        with torch.autocast(x.device.type, enabled=False):
            h = torch.cat([F.pixel_unshuffle(image, 2), self.positions(positions)], dim=1)
            if self.channels_last:
                h = h.contiguous(memory_format=torch.channels_last)
            h = self.enter(h)
        skips = []
        for level, blocks in enumerate(self.encoder):
            for block in cast(nn.ModuleList, blocks):
                h = block(h, embedding)
            if level < len(self.down):
                skips.append(h)
                h = self.down[level](h)
        h = self.middle(self.attention(h), embedding)
        for up, blocks in zip(self.up, self.decoder, strict=True):
            h = torch.cat([F.pixel_shuffle(up(h), 2), skips.pop()], dim=1)
            for block in cast(nn.ModuleList, blocks):
                h = block(h, embedding)
        return F.pixel_shuffle(self.leave(F.silu(h)).float(), 2)


def across_slices(weights: Mapping[str, Tensor], network: PatchUNet) -> dict[str, Tensor]:
    """The weights of a network of single slices for ``network``, which has the same shape but more slices.

    What comes out for the middle slice is what the single slice gave, to rounding, whatever its neighbours are and how
    far they lie: their weights and those of the distance are zero, for training to find.
    """
    own = {key: value.detach().clone() for key, value in network.state_dict().items()}
    for key in ("spacing.2.weight", "spacing.2.bias"):
        own[key].zero_()
    middle, sub = network.settings.slices // 2, 4  # pixels of one slice after space-to-depth
    for key, value in weights.items():
        if key == "enter.weight":
            own[key].zero_()
            own[key][:, sub * middle : sub * (middle + 1)] = value[:, :sub]
            own[key][:, sub * network.settings.slices :] = value[:, sub:]
        elif key in ("leave.weight", "leave.bias") and network.settings.slices_out == "all":
            own[key].zero_()
            own[key][sub * middle : sub * (middle + 1)] = value
        else:
            own[key].copy_(value)
    return own
