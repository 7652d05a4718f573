"""Descriptions of strangers with faults in their fields: run as a module with KIND FIRST COUNT FOLDER.

Each is read as the verbs and the window read it; a recipe that is accepted is run to its first iterate.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tifffile
import torch

from padis_gui.core.exports.about import About, carries_recipe, envelope, read_export, read_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.geometry_file import as_json, examples
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.prior.checkpoint import load_prior, save_prior
from padis_gui.core.runs.control import Control
from padis_gui.core.runs.differences import differences
from padis_gui.core.runs.inputs import inputs_of
from padis_gui.core.runs.locate import locate
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.queue import QueuedRun, queue_as_json, read_queue
from padis_gui.core.runs.recipe import Recipe, make_recipe
from padis_gui.core.runs.repeat import Repeater
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.studies.results import Results
from tests import fuzzing
from tests.mutations import encoded, mutated
from tests.tiny import phantom, tiny_record, tiny_state

MEMORY = 2**30  # bytes beyond the program's own
SECONDS = 10.0
_CPU = torch.device("cpu")
_METHODS: tuple[dict[str, Any], ...] = (
    {"physics": "ct-parallel", "problem": {"views": 6}, "solver": "dds", "settings": {"steps": 2}},
    {"physics": "ct-fan", "problem": {"views": 6, "noise": 0.01}, "solver": "tv", "settings": {"steps": 2}},
    {"physics": "deblur", "problem": {}, "solver": "langevin", "settings": {"steps": 2}},
    {"physics": "inpainting", "problem": {"mask": "file"}, "solver": "diffpir", "settings": {"steps": 2}},
)  # fmt: skip


def _inputs(folder: Path) -> tuple[Path, Path, Path]:
    image, mask, prior = folder / "image.tif", folder / "mask.tif", folder / "prior.safetensors"
    tifffile.imwrite(image, (phantom(32).numpy() * 2000 - 1000).round().astype(np.int16))
    tifffile.imwrite(mask, np.pad(np.full((8, 8), 255, np.uint8), 12))
    save_prior(prior, tiny_record(), tiny_state(), half=False)
    return image, mask, prior


class _Descriptions:
    """Sound ones of a kind, a file for each, and how it is read; ``read`` raises, or says whether it was accepted."""

    name = "file.json"

    def __init__(self, folder: Path) -> None:
        self.path = folder / self.name
        self.sound: list[Any] = []

    def write(self, found: Any, random: Random | None) -> None:
        self.path.write_bytes(encoded(json.dumps(found) if random is None else mutated(found, random)))

    def read(self) -> bool:
        raise NotImplementedError


class _Recipes(_Descriptions):
    """The JSON beside an export."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        data_path, mask, prior_path = _inputs(folder)
        self.repeater = Repeater(_CPU)
        self.folder = folder
        image, prior = read_image(data_path), load_prior(prior_path, _CPU, "float32")
        for method in _METHODS:
            mask_file = {"mask_file": str(mask)} if "mask" in method["problem"] else {}
            chosen = Method.of(**method | {"problem": method["problem"] | mask_file})
            opened = Opened(image=image, data_path=data_path, prior=prior, prior_path=prior_path)
            recipe = make_recipe(opened, chosen, 1)
            about = About(unit="HU", window=(-1000, 1000), steps=(1, 2), labels=("a",), pages=(0,), sigma=0.5)
            self.sound.append(json.loads(json.dumps(envelope(recipe, {"psnr": 20.0}, about))))

    def read(self) -> bool:
        carries_recipe(self.path)
        export = read_export(self.path)
        if export.file is not None:
            read_pages(export)
        located = locate(export.recipe, [self.folder])
        inputs_of(located.recipe)
        for sentence in (*located.remarks, *(missing.sentence for missing in located.missing)):
            fuzzing.check_sentence(sentence)
        differences(export.recipe, located.recipe)
        self.run(located.recipe)
        return True

    def run(self, recipe: Recipe) -> None:
        """The first iterate of each sample."""
        control = Control()
        # the address space of a thousand threads, which take no memory, would count as if they did
        single = recipe.model_copy(update={"sample_seeds": (), "threads": min(recipe.threads, 4)})
        with contextlib.suppress(Interrupted):
            self.repeater.run(single, lambda _: control.cancel(), control)


class _Tiffs(_Recipes):
    """The same inside of a TIFF."""

    name = "file.tif"

    def write(self, found: Any, random: Random | None) -> None:
        text = json.dumps(found) if random is None else mutated(found, random)
        pixels = np.zeros((2, 32, 32), np.float32)
        info = {"Info": text.encode("utf-8", "replace").decode(), "axes": "ZYX"}
        tifffile.imwrite(self.path, pixels, imagej=True, metadata=info)


_RUNS_OF_QUEUE = 20  # a thousand runs may take their time, reading them may not


class _Queues(_Recipes):
    """Of three runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        recipes = [Recipe.model_validate(each["recipe"]) for each in self.sound]
        runs = [QueuedRun(name=f"run {n}", recipe=recipe) for n, recipe in enumerate(recipes)]
        self.sound = [json.loads(queue_as_json(runs))]

    def read(self) -> bool:
        for number, queued in enumerate(read_queue(self.path)):
            assert queued.name.isprintable()
            inputs_of(queued.recipe)
            if number >= _RUNS_OF_QUEUE:
                continue
            try:
                self.run(queued.recipe)
            except PadisError as error:  # the queue goes on
                fuzzing.check_sentence(str(error))
        return True


class _Geometries(_Descriptions):
    """JSON beside a sinogram."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for example in examples().values():
            found = json.loads(as_json(example))
            found |= {"axes": "rows, views, bins", "centre_column": 11.5}
            found |= {"flat": 1e4} if "flat" in found else {}
            found |= {name: value for name, value in (("count", 4), ("centre_row", 0.0)) if name in found}
            self.sound.append(found)
        tigre = {"DSD": 553.7, "DSO": 410.7, "nDetector": [1, 24], "dDetector": [1.0, 0.2]}
        self.sound.append(tigre | {"angles": [0.0, 0.5, 1.0, 1.5]})
        self.readings = folder / "file.npy"
        self.values = np.random.default_rng(0).random((1, 4, 24)).astype(np.float32) * 100

    def write(self, found: Any, random: Random | None) -> None:
        super().write(found, random)
        np.save(self.readings, self.values.reshape(4, 1, 24) if "DSD" in found else self.values)

    def read(self) -> bool:
        image = read_image(self.readings, 0, ReadingSettings(image_size=16))
        assert np.isfinite(image.pixels).all()
        return image.measured is not None


class _Results(_Descriptions):
    """Lines of an experiment."""

    name = "file.jsonl"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        metrics = {"psnr": 20.5, "ssim": None}
        self.sound = [{"key": "a" * 32, "problem": "ct", "metrics": metrics, "error": "", "recipe": None}]

    def write(self, found: Any, random: Random | None) -> None:
        lines = [json.dumps(found)]
        if random is not None:
            lines += [mutated(found | {"key": "b"}, random) for _ in range(3)]
        self.path.write_bytes(encoded("\n".join(lines)))

    def read(self) -> bool:
        found = Results(self.path).metrics
        assert all(isinstance(value, float) for metrics in found.values() for value in metrics.values())
        return len(found) > 1


KINDS: dict[str, Callable[[Path], _Descriptions]] = {
    "recipe": _Recipes, "TIFF": _Tiffs, "queue": _Queues, "geometry": _Geometries, "results": _Results,
}  # fmt: skip


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Read ``count`` mutated descriptions."""
    logging.disable()
    descriptions = KINDS[kind](folder)
    for sound in descriptions.sound:
        descriptions.write(sound, None)
        assert descriptions.read() or kind == "results", f"a sound {kind} is not read"

    def once(random: Random) -> bool:
        descriptions.write(random.choice(descriptions.sound), random)
        try:
            return descriptions.read()
        except PadisError as error:
            fuzzing.check_sentence(str(error))
            return False

    fuzzing.go(kind, first, count, folder, once, memory=MEMORY, seconds=SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
