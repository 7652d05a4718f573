"""What the networks of priors look like, as their checkpoints say it: our own, and that of published snapshots.

Apart from the networks themselves, :mod:`~padis_gui.core.prior.network` and :mod:`~padis_gui.core.prior.edm_network`, whose
modules are torch's: what a checkpoint says of itself is read without it.
"""

from typing import Any, Literal

from pydantic import field_validator, model_validator

from padis_gui.core.prior.slices import MOST_SLICES
from padis_gui.core.settings.declarations import Settings, setting

EncodingName = Literal["none", "coordinates", "fourier", "learned"]
CHANNELS_PER_HEAD = 32


class NetworkSettings(Settings):
    """The shape of the network; stored in every checkpoint."""

    image_channels: int = setting(
        1, ge=1, le=4, label="Image channels", help="1 for grey or CT, 3 for colour", symbol="C"
    )
    position_encoding: EncodingName = setting(
        "coordinates",
        label="Position encoding",
        help="How the network is told where a patch lies: by the coordinates of its pixels, by Fourier features of "
        "them, by features of places that it learns, or not at all",
    )
    width: int = setting(
        64, ge=32, le=512, label="Width", help="Channels at the finest level (a multiple of 32)"
    )
    multipliers: tuple[float, ...] = setting(
        (1.0, 2.0, 3.0), label="Channel multipliers", help="Width of each level relative to the finest"
    )
    blocks: int = setting(
        2, ge=1, le=8, label="Blocks a level", help="Residual blocks in each encoder and decoder level"
    )
    embedding: int = setting(
        256, ge=32, le=2048, label="Embedding", help="Width of the noise-level embedding"
    )
    attention: bool = setting(
        True, label="Attention", help="Self-attention among the pixels of the coarsest level"
    )

    slices: int = setting(
        1, ge=1, le=MOST_SLICES, label="Slices", symbol="D",
        help="Neighbouring slices of a volume that the network sees at once, as channels; 1 is a prior of single images",
    )  # fmt: skip
    slices_out: Literal["middle", "all"] = setting(
        "middle", label="Slices out", when={"slices": tuple(range(2, MOST_SLICES + 1))},
        help="What comes out of the network: the middle slice, denoised with its neighbours as context, or all of them",
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _of_the_first_version(cls, values: Any) -> Any:
        """Checkpoints of the first version counted position channels, 2 or 0, instead of naming the encoding."""
        if isinstance(values, dict) and "position_channels" in values:
            count = values["position_channels"]
            if type(count) is not int or count not in (0, 2) or "position_encoding" in values:
                raise ValueError("2 position channels or none are wanted")
            values = {k: v for k, v in values.items() if k != "position_channels"}
            values["position_encoding"] = "coordinates" if count else "none"
        return values

    @field_validator("multipliers")
    @classmethod
    def _bounded(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(value) <= 5 or not all(0.25 <= m <= 16 for m in value):
            raise ValueError("1 to 5 channel multipliers of 0.25 to 16 are wanted")
        return value

    @model_validator(mode="after")
    def _slices_have_a_middle(self) -> "NetworkSettings":
        if self.slices > 1 and self.image_channels != 1:
            raise ValueError("grey images are wanted for a prior across slices")
        if self.slices_out == "middle" and self.slices % 2 == 0:
            raise ValueError("an odd number of slices is wanted where the middle one comes out")
        return self

    @property
    def channels_in(self) -> int:
        """Channels of the images that go in: colours, or neighbouring slices."""
        return self.image_channels * self.slices

    @property
    def channels_out(self) -> int:
        """Channels of the images that come out."""
        return self.image_channels if self.slices_out == "middle" else self.channels_in

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each level, rounded to whole attention heads."""
        return tuple(
            max(1, round(self.width * m / CHANNELS_PER_HEAD)) * CHANNELS_PER_HEAD for m in self.multipliers
        )

    @property
    def parameter_bound(self) -> int:
        """More parameters than the network can have, without building it."""
        blocks, emb = self.blocks, self.embedding
        levels = sum(60 * (blocks + 1) * w * w + 4 * (blocks + 1) * w * emb for w in self.channels)
        spacing = emb * (emb + 128) if self.slices > 1 else 0
        return levels + emb * (emb + 128) + spacing + 1000 * max(self.channels)

    @property
    def downsampling(self) -> int:
        """Patch sides must be divisible by this: 2 from space-to-depth, 2 from each further level."""
        return int(2 ** len(self.multipliers))


class EdmNetworkSettings(Settings):
    """The shape of a published network; stored in the native checkpoints that were converted from one."""

    kind: Literal["edm"] = setting("edm", label="Kind", help="Tells it from our own network in a checkpoint")
    img_resolution: int = setting(
        304, ge=8, le=65536, label="Padded size", symbol="R", unit="px",
        help="Side of the zero-padded training images; parameter names are made of it",
    )  # fmt: skip
    image_channels: int = setting(
        1, ge=1, le=4, label="Image channels", help="1 for grey or CT, 3 for colour", symbol="C"
    )
    position_channels: Literal[2] = setting(2, label="Position channels", help="Column and row coordinates")
    model_channels: int = setting(128, ge=4, le=1024, label="Width", help="Channels at the finest level")
    channel_mult: tuple[int, ...] = setting(
        (1, 2, 2, 2), label="Channel multipliers", help="Width of each level relative to the finest"
    )
    channel_mult_emb: int = setting(4, ge=1, le=8, label="Embedding", help="Its width relative to the finest")
    channel_mult_noise: int = setting(
        1, ge=1, le=8, label="Noise features", help="Features of the noise level relative to the finest width"
    )
    num_blocks: int = setting(4, ge=1, le=16, label="Blocks a level", help="Residual blocks in each level")
    attn_resolutions: tuple[int, ...] = setting(
        (16,), label="Attention", help="Nominal sizes (padded size halved by each level) that have attention"
    )
    embedding_type: Literal["positional", "fourier"] = setting(
        "positional", label="Noise embedding", help="positional: DDPM++; fourier: NCSN++"
    )
    encoder_type: Literal["standard", "residual"] = setting(
        "standard", label="Encoder", help="residual: the input also enters at every coarser level (NCSN++)"
    )
    resample_filter: tuple[int, ...] = setting(
        (1, 1), label="Resampling filter", help="1,1: averaging (DDPM++); 1,3,3,1: smoother (NCSN++)"
    )
    augment_dim: int = setting(
        0, ge=0, le=64, label="Augmentation labels", help="Labels in training; zero at inference"
    )

    @model_validator(mode="after")
    def _bounded(self) -> "EdmNetworkSettings":
        if not 1 <= len(self.channel_mult) <= 6 or not all(1 <= m <= 16 for m in self.channel_mult):
            raise ValueError("1 to 6 channel multipliers of 1 to 16 are wanted")
        if self.img_resolution < self.downsampling:
            raise ValueError("a padded size of at least one pixel at the coarsest level is wanted")
        taps = self.resample_filter
        if len(taps) not in (2, 4, 6) or not all(1 <= tap <= 1000 for tap in taps) or taps != taps[::-1]:
            raise ValueError("a symmetric resampling filter of 2, 4 or 6 positive numbers is wanted")
        if len(self.attn_resolutions) > 16:
            raise ValueError("at most 16 attention sizes are wanted")
        if self.model_channels % 4:
            raise ValueError("a width that is a multiple of 4 is wanted")
        return self

    @property
    def downsampling(self) -> int:
        """Patch sides must be divisible by this."""
        return int(2 ** (len(self.channel_mult) - 1))
