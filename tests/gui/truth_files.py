"""Files of every kind that may be opened, small ones but for two: what a walk through the window opens."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import tifffile
from PIL import Image as Picture

from padis_gui.core.prior.checkpoint import PriorRecord, save_prior
from padis_gui.core.prior.network import PatchUNet
from padis_gui.core.prior.prior import Conventions
from tests.scan_files import fan, parallel, write_exchange, write_htc
from tests.tiny import TINY_NETWORK, phantom, tiny_record, tiny_state
from tests.volumes import write_stack


@dataclass(frozen=True)
class Files:
    """``images`` have a truth, ``scans`` have none, ``bad`` is refused; all under their stem."""

    images: dict[str, Path]
    large: dict[str, Path]
    scans: dict[str, Path]
    bad: dict[str, Path]
    priors: dict[str, Path]


def make_files(folder: Path) -> Files:
    """Write them all."""
    rng = np.random.default_rng(0)

    def hounsfield(name: str, side: int, columns: int | None = None) -> Path:
        pixels = (phantom(side).numpy() * 2000 - 1000)[:, : columns or side]
        tifffile.imwrite(folder / name, (pixels + rng.normal(0, 4, pixels.shape)).round().astype(np.int16))
        return folder / name

    def byte(name: str, side: int, *colours: int) -> Path:
        blocks = rng.random((side // 8, side // 8, *colours)).repeat(8, axis=0).repeat(8, axis=1)
        Picture.fromarray((40 + 160 * blocks).astype(np.uint8)).save(folder / name)
        return folder / name

    def real(name: str, side: int) -> Path:
        tifffile.imwrite(folder / name, (3 * phantom(side).numpy() + 0.5).astype(np.float32))
        return folder / name

    tifffile.imwrite(folder / "nan.tif", np.full((64, 64), np.nan, np.float32))
    (folder / "text.tif").write_text("not a picture")
    write_exchange(folder / "lengths.h5", parallel(views=12), rows=2)
    write_exchange(folder / "pixels.h5", parallel(views=16), rows=1)
    with h5py.File(folder / "pixels.h5", "a") as file:
        del file["measurement"]  # nothing says how large a bin is
    write_htc(folder / "fan.mat", fan(views=12, bins=96))
    save_prior(folder / "hu64.safetensors", tiny_record(), tiny_state(), half=False)
    plain = Conventions(
        image_size=48, pad=16, patch_sizes=(24, 16), sigma_data=0.3, window=(0.0, 255.0), unit=""
    )
    coloured = TINY_NETWORK.model_copy(update={"image_channels": 3})
    for name, network, state in (
        ("plain", TINY_NETWORK, tiny_state(1)),
        ("coloured", coloured, PatchUNet(coloured).state_dict()),
    ):
        record = PriorRecord(name=name, network=network, conventions=plain)
        save_prior(folder / f"{name}.safetensors", record, state, half=False)
    return Files(
        images={
            "hu48": hounsfield("hu48.tif", 48), "hu64": hounsfield("hu64.tif", 64),
            "oblong": hounsfield("oblong.tif", 96, 80), "byte56": byte("byte56.png", 56),
            "colour64": byte("colour64.png", 64, 3), "float72": real("float72.tif", 72),
            "pages": write_stack(folder / "pages.tif", 4, 64), "other64": byte("other64.png", 64),
        },
        large={"large": real("large.tif", 1024), "larger": real("larger.tif", 2048)},
        scans={name: folder / name for name in ("lengths.h5", "pixels.h5", "fan.mat")},
        bad={name: folder / name for name in ("nan.tif", "text.tif")},
        priors={name: folder / f"{name}.safetensors" for name in ("hu64", "plain", "coloured")},
    )  # fmt: skip
