"""What tests of trainings need on the disk: a folder of small images, and looks."""

from pathlib import Path

import numpy as np
import tifffile
import torch

from padis_gui.core.training.looks import Look, save_look

FAKE = Path(__file__).with_name("fake_training.py")


def write_images(folder: Path, count: int = 12, size: int = 64) -> Path:
    """Some blocky grey images, and a file that is none."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for n in range(count):
        field = rng.random((4, 4)).repeat(size // 4, 0).repeat(size // 4, 1)
        tifffile.imwrite(folder / f"image_{n:02d}.tif", (field * 1000).astype(np.int16))
    (folder / "note.png").write_text("no image")
    return folder


def write_looks(folder: Path, steps: range, size: int = 32) -> None:
    """Looks at a prior that knows nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = torch.Generator().manual_seed(0)
    levels = (0.1, 1.0)
    image = torch.rand(1, size, size, generator=rng)
    noise = torch.stack([image, image]) + torch.randn(2, 1, size, size, generator=rng)
    for step in steps:
        save_look(
            Look(
                step=step, levels=levels, clean=image.expand_as(noise), noisy=noise, denoised=noise, sample=image,
                problem="CT, 20 views", baseline_name="FBP", reconstruction=image, baseline=image, truth=image,
                psnr=30.0, ssim=0.9, baseline_psnr=22.5,
            ),
            folder,
        )  # fmt: skip
