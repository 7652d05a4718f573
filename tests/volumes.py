"""What tests of volumes share: a small stack in HU, and what is wanted of it."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from padis_gui.core.prior.checkpoint import PriorRecord, save_prior
from padis_gui.core.prior.network import across_slices
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.volumes.request import VolumeRequest, VolumeSettings, make_request
from padis_gui.core.volumes.slices import SliceTask, finish
from tests.tiny import TINY_NETWORK, phantom, tiny_conventions, tiny_network

MARKER = "PADIS_GUI_TEST_KILL_ONCE"


def write_stack(path: Path, slices: int, size: int = 32, *, moving: bool = True) -> Path:
    """A phantom in HU that shrinks along z, or is the same everywhere; ImageJ stack, 2.5 mm between slices."""
    pages = []
    for z in range(slices):
        image = phantom(size).numpy() * (1 - 0.03 * z * moving)
        pages.append((image * 2000 - 1000).round().astype(np.int16))
    tifffile.imwrite(
        path, np.stack(pages), imagej=True, resolution=(2.0, 2.0),
        metadata={"axes": "ZYX", "unit": "mm", "spacing": 2.5},
    )  # fmt: skip
    return path


def across_file(folder: Path, out: str = "middle", slices: int = 3, *, grown: bool = False) -> Path:
    """A prior across slices: random, or grown of the tiny one, which it then is."""
    settings = make(NetworkSettings, TINY_NETWORK.model_dump() | {"slices": slices, "slices_out": out})
    conventions = tiny_conventions().model_copy(update={"slice_spacings": (1.0, 6.0)})
    network = tiny_network(7, settings)
    state = across_slices(tiny_network().state_dict(), network) if grown else network.state_dict()
    path = folder / f"across-{out}-{slices}-{grown}.safetensors"
    save_prior(path, PriorRecord(name="across", network=settings, conventions=conventions), state, half=False)
    return path


def colour_file(folder: Path, window: tuple[float, float] = (0.0, 255.0)) -> Path:
    """A prior of colour pictures: random, with a window of its own."""
    settings = make(NetworkSettings, TINY_NETWORK.model_dump() | {"image_channels": 3})
    conventions = tiny_conventions().model_copy(update={"window": window, "unit": ""})
    path = folder / "colours.safetensors"
    state = tiny_network(5, settings).state_dict()
    save_prior(
        path, PriorRecord(name="colours", network=settings, conventions=conventions), state, half=False
    )
    return path


def volume_request(
    stack: Path, prior: Any, prior_path: Path, out: Path, *, solver: str = "dds", noise: float = 0.02, seed: int = 3,
    solver_settings: dict[str, Any] | None = None, **settings: Any,
) -> VolumeRequest:  # fmt: skip
    """A volume from 12 views with noise, two steps of a solver unless said otherwise."""
    from padis_gui.core.files.read import read_image
    from padis_gui.core.physics.scanner import ParallelBeamSettings
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.solvers.registry import find_solver
    from tests.recipes import make_recipe

    chosen = VolumeSettings(**settings)
    image = read_image(stack, 0)
    values = {"steps": 2, "cg_steps": 2} if solver_settings is None else solver_settings
    recipe = make_recipe(
        image=image, data_path=stack, prior=prior, prior_path=prior_path, physics="ct-parallel",
        problem=ParallelBeamSettings(views=12, bins=48, noise=noise), tiling=TilingSettings(strategy="random"),
        solver=solver, settings=make(find_solver(solver).settings_type, values), seed=seed,
    )  # fmt: skip
    return make_request(recipe, prior, chosen, out, image)


def finish_or_die(text: str) -> str:
    """Make a slice in a worker; whoever comes to page 2 first is killed in the middle of it, at its first iterate."""
    task = SliceTask.model_validate_json(text)
    marker = Path(os.environ[MARKER]) if MARKER in os.environ else task.folder / "killed"

    def watch(_page: int, _iterate: object) -> None:
        if task.page == 2 and not task.smooth and not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)

    return finish(task, watch).model_dump_json()
