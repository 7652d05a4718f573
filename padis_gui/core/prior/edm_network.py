"""The published denoising network: the score-SDE U-Net as EDM sets it up, with two position channels.

Written from the descriptions in arXiv 2011.13456 (DDPM++ and NCSN++) and arXiv 2206.00364 (EDM, whose
preconditioning is in :mod:`prior`), under the parameter names of published snapshots, so that their tensors load
strictly. For inference only: there is no dropout here, and augmentation labels are zero. Our own, much faster
network is in :mod:`network`.
"""

import math
from typing import Literal, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by
from torch import Tensor, nn

from padis_gui.core.prior.network_settings import EdmNetworkSettings

_EPSILON = 1e-6  # of every group norm
_FOURIER_SCALE = 16.0
_SKIP_SCALE = math.sqrt(0.5)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(32, channels // 4), channels, eps=_EPSILON)


class _Resample(nn.Module):
    """A convolution (none for ``kernel`` 0) with the image halved or doubled by a fixed filter on the way.

    Doubling and halving come before the convolution, or, with ``late`` (halving only), after it.
    """

    resample_filter: Tensor

    def __init__(
        self, channels_in: int, channels: int, kernel: int, way: Literal["up", "down"], taps: tuple[int, ...],
        late: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.way, self.late = way, late
        self.weight = nn.Parameter(torch.zeros(channels, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels))
        line = torch.tensor(taps, dtype=torch.float32)
        self.register_buffer("resample_filter", (line.outer(line) / line.sum() ** 2)[None, None])

    def _resampled(self, x: Tensor, margin: int) -> Tensor:
        channels, taps = x.shape[1], self.resample_filter.shape[-1]
        weights = self.resample_filter.to(x.dtype).expand(channels, 1, taps, taps)
        if self.way == "up":
            return F.conv_transpose2d(x, 4 * weights, stride=2, padding=margin, groups=channels)
        return F.conv2d(x, weights, stride=2, padding=margin, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        padding, margin = self.weight.shape[-1] // 2, (self.resample_filter.shape[-1] - 1) // 2
        if not self.late:
            return F.conv2d(self._resampled(x, margin), self.weight, self.bias, padding=padding)
        # The filter also sees what the convolution makes of the zeros just outside; the bias comes last, so
        # that it stays what it is at the border.
        wide = F.conv2d(x, self.weight, padding=padding + margin)
        return self._resampled(wide, 0) + self.bias[:, None, None].to(wide.dtype)


class _Block(nn.Module):
    """Two convolutions, the noise embedding added between them, plus the skip; times the root of one half."""

    def __init__(
        self, channels_in: int, channels: int, embedding: int, taps: tuple[int, ...],
        way: Literal["up", "down"] | None = None, attention: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels_in = channels_in
        self.norm0 = _norm(channels_in)
        self.affine = nn.Linear(embedding, channels)
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv0: nn.Module
        self.skip: nn.Module | None = None
        if way is None:
            self.conv0 = nn.Conv2d(channels_in, channels, 3, padding=1)
            if channels_in != channels:
                self.skip = nn.Conv2d(channels_in, channels, 1)
        else:
            self.conv0 = _Resample(channels_in, channels, 3, way, taps)
            self.skip = _Resample(channels_in, channels, 1, way, taps)
        self.attention = attention
        if attention:
            self.norm2 = _norm(channels)
            self.qkv = nn.Conv2d(channels, 3 * channels, 1)
            self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv0(F.silu(self.norm0(x))) + self.affine(embedding)[:, :, None, None]
        h = self.conv1(F.silu(self.norm1(h)))
        h = (h + (x if self.skip is None else self.skip(x))) * _SKIP_SCALE
        return self._attended(h) if self.attention else h

    def _attended(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        mixed = self.qkv(self.norm2(x)).reshape(batch, channels, 3, height * width)
        q, k, v = (part.transpose(1, 2)[:, None] for part in mixed.unbind(2))  # (n, 1 head, pixels, channels)
        seen = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        return cast(Tensor, (x + self.proj(seen.reshape(x.shape))) * _SKIP_SCALE)


class _FourierFeatures(nn.Module):
    """Random frequencies of the noise level, drawn at training and kept as a buffer."""

    freqs: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.ones(features // 2) * _FOURIER_SCALE)

    def forward(self, c_noise: Tensor) -> Tensor:
        return c_noise[:, None] * (2 * math.pi * self.freqs)


class _PositionalFeatures(nn.Module):
    """Frequencies from 1 down to 1/10000, both included."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.count = features // 2

    def forward(self, c_noise: Tensor) -> Tensor:
        steps = torch.arange(self.count, dtype=torch.float32, device=c_noise.device)
        frequencies = torch.exp(steps * (-math.log(10000.0) / max(1, self.count - 1)))
        return c_noise[:, None] * frequencies


class _SongUNet(nn.Module):
    def __init__(self, settings: EdmNetworkSettings) -> None:
        super().__init__()
        width, taps = settings.model_channels, settings.resample_filter
        features, emb = width * settings.channel_mult_noise, width * settings.channel_mult_emb
        fourier = settings.embedding_type == "fourier"
        self.map_noise = _FourierFeatures(features) if fourier else _PositionalFeatures(features)
        if settings.augment_dim:  # multiplies labels that are zero at inference; here to keep the state whole
            self.map_augment = nn.Linear(settings.augment_dim, features, bias=False)
        self.map_layer0 = nn.Linear(features, emb)
        self.map_layer1 = nn.Linear(emb, emb)

        entering = settings.image_channels + settings.position_channels
        sizes = [settings.img_resolution >> level for level in range(len(settings.channel_mult))]
        widths = [width * multiplier for multiplier in settings.channel_mult]
        self.enc = nn.ModuleDict()
        skips, current, beside = [width], width, entering
        self.enc[f"{sizes[0]}x{sizes[0]}_conv"] = nn.Conv2d(entering, width, 3, padding=1)
        for level, (size, channels) in enumerate(zip(sizes, widths, strict=True)):
            name, attends = f"{size}x{size}", size in settings.attn_resolutions
            if level:
                self.enc[f"{name}_down"] = _Block(current, current, emb, taps, "down")
                skips.append(current)
                if settings.encoder_type == "residual":
                    self.enc[f"{name}_aux_residual"] = _Resample(beside, current, 3, "down", taps, late=True)
                    beside = current
            for index in range(settings.num_blocks):
                self.enc[f"{name}_block{index}"] = _Block(current, channels, emb, taps, attention=attends)
                skips.append(channels)
                current = channels
        self.dec = nn.ModuleDict()
        coarsest = len(sizes) - 1
        for level in reversed(range(len(sizes))):
            size, channels = sizes[level], widths[level]
            name, attends = f"{size}x{size}", size in settings.attn_resolutions
            if level == coarsest:
                self.dec[f"{name}_in0"] = _Block(current, current, emb, taps, attention=True)
                self.dec[f"{name}_in1"] = _Block(current, current, emb, taps)
            else:
                self.dec[f"{name}_up"] = _Block(current, current, emb, taps, "up")
            for index in range(settings.num_blocks + 1):
                last = attends and index == settings.num_blocks
                self.dec[f"{name}_block{index}"] = _Block(
                    current + skips.pop(), channels, emb, taps, attention=last
                )
                current = channels
        name = f"{sizes[0]}x{sizes[0]}"
        self.dec[f"{name}_aux_norm"] = _norm(current)
        self.dec[f"{name}_aux_conv"] = nn.Conv2d(current, settings.image_channels, 3, padding=1)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        angles = self.map_noise(c_noise)
        embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
        embedding = F.silu(self.map_layer1(F.silu(self.map_layer0(embedding))))
        skips: list[Tensor] = []
        beside, h = x, x
        for name, block in self.enc.items():
            if isinstance(block, _Block):
                h = block(h, embedding)
                skips.append(h)
            elif name.endswith("_aux_residual"):
                h = beside = skips[-1] = (h + block(beside)) * _SKIP_SCALE
            else:
                with torch.autocast(x.device.type, enabled=False):
                    h = block(h.float())
                skips.append(h)
        for block in self.dec.values():
            if isinstance(block, _Block):
                h = block(h if h.shape[1] == block.channels_in else torch.cat([h, skips.pop()], 1), embedding)
            elif isinstance(block, nn.GroupNorm):
                h = F.silu(block(h))
            else:
                with torch.autocast(x.device.type, enabled=False):
                    h = block(h.float())
        return h


class EdmUNet(nn.Module):
    """F in EDM's D = c_skip x + c_out F(c_in x, c_noise), with the published weights.

    Input (n, C + 2, P, P), the last two channels being positions, and c_noise = ln(sigma)/4 (n,); output
    (n, C, P, P) in float32. P must be divisible by ``settings.downsampling``. The first and the last layer
    always compute in float32, as in :class:`~padis_gui.core.prior.network.PatchUNet`.
    """

    def __init__(self, settings: EdmNetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.model = _SongUNet(settings)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        entering = x.contiguous(memory_format=torch.channels_last)
        return cast(Tensor, self.model(entering, c_noise)).float()
