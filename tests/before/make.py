"""Made the files beside this script: one of each kind that the program had written up to then.

Run at commit 4a487f5, from the repository's root, as ``python -m tests.before.make``. It is kept to show how they came
about and is not to be run again: files that a later program has written prove nothing about earlier ones.

Everything is made in a folder of its own elsewhere and copied here, so the paths inside are those of no checkout: what
a recipe names is found again beside the export, by what it holds. ``made.json`` says where and on what it was made.
"""

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tifffile
import torch

from padis_gui.cli.main import main as program
from padis_gui.core.exports.about import About, read_recipe
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.tiff import write_result
from padis_gui.core.images.image import write_mask
from padis_gui.core.prior.checkpoint import load_prior, save_prior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.queue import QueuedRun, queue_as_json
from padis_gui.core.runs.recipe import Change, Recipe
from padis_gui.core.runs.repeat import Repeater
from padis_gui.core.volumes.run import SliceDone, reconstruct_volume
from tests.before.machine import machine
from tests.tiny import PHANTOM_SIZE, phantom, tiny_record, tiny_state
from tests.training_images import write_images
from tests.volumes import volume_request, write_stack

HERE = Path(__file__).parent
IMAGE, PRIOR = "phantom.tif", "tiny.safetensors"
COMMON = ["--prior", PRIOR, "--device", "cpu", "--precision", "float32", "--seed", "7"]
CT = ["--views", "12", "--bins", "96", "--noise", "0.01"]

# many conjugate gradients on few views enlarge roundings, and another processor then gives another picture
SHORT = ["--set", "cg_steps=4"]
# few steps, and few calls in each: what is tested is the method, not how good it is
SOLVERS: dict[str, list[str]] = {
    "fast": ["--steps", "4"],
    "quality": ["--steps", "5"],
    "diffpir": ["--steps", "4", "--set", "jump_start=true"],
    "langevin-cg": ["--steps", "3", "--set", "inner=2"],
    "dds": ["--steps", "4", "--tiling", "random", *SHORT],
    "padis-dps": ["--steps", "3", "--set", "inner=2"],
    "langevin": ["--steps", "3", "--set", "inner=2"],
    "predictor-corrector": ["--steps", "3"],
    "ve-ddnm": ["--steps", "4", "--tiling", "window", *SHORT],
    "daps": ["--steps", "3", "--set", "samples=2"],
    "baseline": [],
    "least-squares": ["--steps", "10"],
    "sirt": ["--steps", "10"],
    "tv": ["--steps", "20"],
    "pnp-admm": ["--steps", "3", "--tiling", "fixed", *SHORT],
    "red": ["--steps", "3", "--set", "denoiser=tv", *SHORT],
}
PROBLEMS: dict[str, list[str]] = {
    "inpainting": ["--physics", "inpainting", "--mask-file", "mask.png", "--mask", "file", "--noise", "0.01"],
    "deblur": ["--physics", "deblur", "--noise", "0.01"],
    "super-resolution": ["--physics", "super-resolution"],
    "denoising": ["--physics", "denoising"],
    "ct-fan": ["--physics", "ct-fan", "--views", "12", "--bins", "96"],
}


def call(*words: str) -> None:
    """The command line; a refusal ends this script."""
    assert program(list(words)) == 0, words


def export(name: str, recipe: Recipe, **settings: object) -> None:
    """Run a recipe as the window does and export the result."""
    done = Repeater(torch.device("cpu")).run(recipe)
    about = About(unit=done.image.unit, window=done.image.window)
    write_result(
        Path(name), done.pixels, done.deviation, done.recipe, done.metrics, done.spacing, done.interval, about=about,
        settings=ExportSettings(**settings),
    )  # fmt: skip


def inputs() -> None:
    """The image, the prior, a mask, and a measured scan with its geometry."""
    save_prior(Path(PRIOR), tiny_record(), tiny_state(), half=True)
    hounsfield = (phantom(PHANTOM_SIZE).numpy() * 2000 - 1000).round().astype(np.int16)
    tifffile.imwrite(IMAGE, hounsfield)
    missing = np.zeros((PHANTOM_SIZE, PHANTOM_SIZE), bool)
    missing[20:30, 24:44] = True
    write_mask(Path("mask.png"), missing)
    angles = np.deg2rad(np.arange(12) * 15.0)
    across = np.linspace(-1, 1, 80)
    height = np.sqrt(np.clip(0.6**2 - (across[None] - 0.1 * np.cos(angles[:, None])) ** 2, 0, None))
    tifffile.imwrite("scan.tif", (0.04 * height).astype(np.float32))
    geometry = {
        "format": "padis-gui scan geometry", "version": 1, "beam": "parallel", "arc": 180.0, "bin_width": 0.5,
        "centre_column": 39.5,
    }  # fmt: skip
    Path("scan.json").write_text(json.dumps(geometry, indent=1) + "\n", encoding="utf-8")


def results() -> None:
    """An export by every solver, of every problem, and of every way to run."""
    for solver, options in SOLVERS.items():
        call(
            "reconstruct", IMAGE, *COMMON, *CT, "--solver", solver, *options, "--out", f"solver-{solver}.tif"
        )
    for problem, options in PROBLEMS.items():
        call(
            "reconstruct", IMAGE, *COMMON, *options, "--solver", "dds", "--steps", "3", *SHORT,
            "--out", f"problem-{problem}.tif",
        )  # fmt: skip
    call(
        "reconstruct",
        "scan.tif",
        "--image-size",
        "64",
        *COMMON,
        "--solver",
        "fast",
        "--steps",
        "3",
        *SHORT,
        "--out",
        "problem-scan.tif",
    )
    size = ["--rows", "32", "--columns", "48", "--steps", "3", "--count", "2"]
    call("generate", *COMMON, *size, "--out", "run-generated.tif")

    recipe = read_recipe(Path("solver-dds.tif"))[0].model_copy(
        update={"settings": read_recipe(Path("solver-dds.tif"))[0].settings | {"steps": 6}}
    )
    changes = (
        Change(step=1, settings=recipe.settings | {"eta": 0.1}),
        Change(step=2, tiling=TilingSettings(strategy="fixed", patch=16)),
    )
    export("run-changed.tif", recipe.model_copy(update={"changes": changes, "stop_after": 4}))
    export("run-paired.tif", recipe.model_copy(update={"paired": True}))
    samples = recipe.model_copy(update={"measurement_seed": 3, "sample_seeds": (11, 12, 13)})
    export("run-samples.tif", samples, tiff="OME")
    export("run-integers.tif", recipe, values="uint16", sidecar=True)
    queued = (QueuedRun(name="first", recipe=recipe), QueuedRun(name="second", recipe=samples))
    Path("queue.json").write_bytes(queue_as_json(queued))


def tables() -> None:
    """An experiment's record."""
    call(
        "experiment", IMAGE, *COMMON[:-2], "--preset", "ct-8", "--bins", "96", "--solver", "fast", "tv",
        "--set", "steps=2", "--out", "experiment.jsonl",
    )  # fmt: skip


def volume() -> None:
    """A volume, and the folder of one that was stopped after two of its three slices."""
    write_stack(Path("stack.tif"), 3)
    prior = load_prior(Path(PRIOR), torch.device("cpu"), "float32")
    request = volume_request(
        Path("stack.tif").absolute(), prior, Path(PRIOR), Path("volume.tif").absolute(), z_smoothing=0.5
    )
    for _event in reconstruct_volume(request):
        pass
    slices = 0
    for event in reconstruct_volume(request.model_copy(update={"out": Path("unfinished.tif").absolute()})):
        slices += isinstance(event, SliceDone)
        if slices == 2:
            break


def training() -> None:
    """A training of three steps, without its weights and what is there for TensorBoard."""
    write_images(Path("images"), 4, 32)
    (Path("images") / "note.png").unlink()
    options = [
        "--image-size", "32", "--patch-sizes", "16,8", "--patch-probabilities", "0.7,0.3", "--pixels", "512",
        "--width", "32", "--multipliers", "1", "--blocks", "1", "--embedding", "32", "--attention", "false",
        "--ema", "0.9", "--device", "cpu", "--precision", "float32", "--validation", "0.25", "--look-every", "3",
        "--evaluations", "2", "--sample-steps", "2", "--steps", "3", "--window=0,1000",
    ]  # fmt: skip
    call("train", "images", "--out", "training", *options)
    shutil.rmtree(Path("training") / "tensorboard")
    for name in ("state", "prior"):
        (Path("training") / f"{name}.safetensors").unlink()


def session() -> None:
    """A session of the window with two runs, ended as it should; and what the window remembers."""
    import qasync
    from PySide6.QtCore import QCoreApplication

    from padis_gui.viewmodels.session.session import Session
    from padis_gui.viewmodels.session.store import Store
    from padis_gui.viewmodels.state.preferences import Preferences

    app = QCoreApplication([])
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)

    async def go() -> None:
        made = Session("cpu", store=Store(Path("sessions").absolute()))
        await made.open_prior(Path(PRIOR).absolute())
        await made.open_image(Path(IMAGE).absolute())
        made.set_problem("views", 13)
        made.set_tiling("patch", 16)
        made.set_solver("diffpir")
        for seed, steps in ((5, 2), (6, 3)):
            made.set_seed(seed)
            made.set_solver_setting("steps", steps)
            made.start()
            while len(made.runs.records) < seed - 4:
                await asyncio.sleep(0.01)  # sleep: between two looks
        made.runs.rename(made.runs.records[0].id, "kept")
        made.runs.pin(made.runs.records[0].id, True)
        made.runs.remark(made.runs.records[1].id, "a note")
        await made.close()

    loop.run_until_complete(go())
    preferences = Preferences(Path().absolute())
    preferences.set_option("cadence", "steps")
    preferences.opened("image", Path(IMAGE))
    preferences.save()


def main() -> None:
    """Make everything in a temporary folder, and copy it here."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one thread, also for the command line
    with tempfile.TemporaryDirectory(prefix="before-") as folder:
        os.chdir(folder)
        for part in (inputs, results, tables, volume, training, session):
            part()
        made = {"folder": Path(folder).as_posix(), "machine": machine()}
        Path("made.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        for path in sorted(Path().iterdir()):
            if path.is_dir():
                shutil.copytree(path, HERE / path.name, dirs_exist_ok=True)
            else:
                shutil.copy(path, HERE / path.name)
        os.chdir(HERE)


if __name__ == "__main__":
    main()
