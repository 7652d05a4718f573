"""What a published snapshot was trained with, as far as it says so; what it leaves open is assumed and named."""

from padis_gui.core.prior._j_edm_snapshot__core_edm_snapshot import Snapshot
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.settings.errors import CheckpointError, TrainingSizeError

_PUBLISHED_SIZE = 256  # px, arXiv 2406.02462
_PUBLISHED_PATCHES = (16, 32, 56)
_PATCHES_OF_PAD_64 = (16, 32, 64)


def published_conventions(
    snapshot: Snapshot, name: str, training_image_size: int | None
) -> tuple[Conventions, tuple[str, ...]]:
    """Conventions of the snapshot in file ``name``, and which of them are assumptions.

    ``training_image_size`` (pixels, without padding) overrides what the file says. Raises
    :class:`TrainingSizeError` where the size of the images and of the padded images contradict each other.
    """
    network, assumed = snapshot.network, ["patch sizes"]
    padded, said = network.img_resolution, snapshot.resolution
    if training_image_size is not None:
        size = training_image_size
    elif said is not None and said < padded:
        size = said
    else:  # a data set of padded images does not say how much of them is padding
        size = _PUBLISHED_SIZE
        assumed.append("image size")
    if size < 8 or size > padded or (padded - size) % 2:
        raise TrainingSizeError(
            f"The network in {name} was made for zero-padded images of {padded} px, which training images of "
            f"{size} px cannot give with equal padding on every side; give their size in pixels "
            "(--training-image-size).",
            padded,
        )
    pad = (padded - size) // 2
    published = _PATCHES_OF_PAD_64 if pad == 64 else _PUBLISHED_PATCHES
    patches = tuple(p for p in published if p <= padded and p % network.downsampling == 0)
    if not patches:
        raise CheckpointError(
            f"The network in {name} halves its patches {len(network.channel_mult) - 1} times in images of "
            f"{padded} px, which none of the published patch sizes ({', '.join(map(str, published))}) "
            "allows; open another snapshot."
        )
    assumed.append("window")
    grey = network.image_channels == 1
    conventions = Conventions(
        image_size=size,
        pad=pad,
        patch_sizes=patches,
        sigma_data=snapshot.sigma_data,
        window=(-1000.0, 1000.0) if grey else (0.0, 1.0),
        unit="HU" if grey else "",
    )
    return conventions, tuple(assumed)
