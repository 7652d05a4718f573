"""What the program ships: priors and example images, found in a checkout and in an installed copy."""

from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.errors import InputError


def resource(name: str) -> Path:
    """Path of a bundled file, such as ``priors/ct-small.safetensors``."""
    package = Path(__file__).resolve().parents[1]
    for root in (package / "_resources", package.parent / "resources"):
        if (root / name).exists():
            return root / name
    raise InputError(f"The bundled file {name} was wanted, but it is missing; install padis-gui again.")


DEFAULT_PRIOR = "priors/ct-small.safetensors"
DEMO_IMAGE = "images/ct_slices.tif"


@dataclass(frozen=True, slots=True)
class Preset:
    """A whole problem and solver under one name; what is not named keeps its default."""

    name: str
    label: str
    summary: str
    physics: str
    problem: dict[str, object]
    solver: str
    settings: dict[str, object]


PRESETS: tuple[Preset, ...] = (
    Preset(
        "ct-60", "CT, 60 views", "Parallel beam, 60 views over half a turn",
        "ct-parallel", {"views": 60}, "balanced", {},
    ),
    Preset(
        "ct-20", "CT, 20 views", "Parallel beam, 20 views over half a turn",
        "ct-parallel", {"views": 20}, "balanced", {},
    ),
    Preset(
        "ct-8", "CT, 8 views", "Parallel beam, 8 views over half a turn",
        "ct-parallel", {"views": 8}, "balanced", {"sigma_max": 10.0},
    ),
    Preset(
        "ct-limited", "CT, limited angle", "Parallel beam, 60 views over 120°",
        "ct-parallel", {"views": 60, "arc": 120.0}, "balanced", {},
    ),
    Preset(
        "ct-fan", "CT, fan beam", "Fan beam, 20 views over a full turn",
        "ct-fan", {"views": 20}, "balanced", {},
    ),
    Preset(
        "deblur", "Deblurring", "A uniform blur of 9 x 9 pixels with noise of 0.01",
        "deblur", {"noise": 0.01}, "balanced", {"steps": 40, "prior_weight": 0.5},
    ),
    Preset(
        "sr2", "Super-resolution 2x", "Bicubic reduction by 2",
        "super-resolution", {"factor": 2}, "balanced", {},
    ),
    Preset(
        "sr4", "Super-resolution 4x", "Bicubic reduction by 4",
        "super-resolution", {"factor": 4}, "balanced", {},
    ),
    Preset(
        "inpaint", "Inpainting", "Twelve missing boxes of 24 x 24 pixels",
        "inpainting", {}, "balanced", {"sigma_max": 10.0},
    ),
    Preset(
        "denoise", "Denoising", "Gaussian noise of 0.1",
        "denoising", {}, "balanced", {"steps": 20},
    ),
    Preset(
        "generate", "Generate", "No data: a sample of the prior",
        "nothing", {}, "balanced", {"steps": 100, "sigma_max": 20.0, "temperature": 1.0, "zeta": 0.2},
    ),
)  # fmt: skip
DEFAULT_PRESET = "ct-20"
