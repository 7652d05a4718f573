"""One slice of a volume: solved by itself, then, where that is wanted, drawn towards its neighbours.

:mod:`~padis_gui.core.solvers.along_z` has that step. It reads estimates only that were made without it: the order of
slices, and who makes them, change no bit.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Pixels
from padis_gui.core.images.metrics import as_json
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.problem import Problem
from padis_gui.core.runs.control import Checked, Control
from padis_gui.core.runs.engine import Run
from padis_gui.core.runs.opened import Opened, Prepared, measure, prepare
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.runs.repeat import image_of, prior_of, unchanged
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.settings.files import pixels_sha256
from padis_gui.core.settings.machine import pick_device, torch_threads
from padis_gui.core.settings.watch import SILENT, Watch
from padis_gui.core.solvers.along_z import smoothed
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.volumes.parts import Parts, SliceRecord
from padis_gui.core.volumes.request import slice_recipe

log = logging.getLogger(__name__)


class SliceTask(BaseModel):
    """One slice to be made, as it travels to another process; or, with ``smooth``, a finished one to be smoothed.

    ``folder`` must be the same place for everybody.
    """

    model_config = ConfigDict(frozen=True)

    template: Recipe
    page: int
    folder: Path
    z_smoothing: float = 0.0
    neighbours: tuple[int, ...] = ()
    smooth: bool = False


class SliceOutcome(BaseModel):
    """What became of a task: ``trouble`` is a sentence where the slice could not be made."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    page: int
    metrics: dict[str, float | None] = {}
    seconds: float = 0.0
    evaluations: int = 0
    trouble: str = ""


OnIterate = Callable[[int, Iterate], None]  # page, iterate


class SliceMaker:
    """Makes the slices of one template; prior and operator are kept from slice to slice."""

    def __init__(self, template: Recipe) -> None:
        """Raises :class:`~padis_gui.core.settings.errors.InputError` where a file is not what it was."""
        assert template.data is not None, "checked by make_request"
        self._template = template
        linked = template.data.reading.follows_links
        self._path = unchanged(template.data.file, template.data.sha256, linked=linked)
        for file, sha256 in template.files.items():
            unchanged(file, sha256)
        self._prior_path = unchanged(template.prior.file, template.prior.sha256)
        self._prior = prior_of(template, self._prior_path, pick_device(template.device))
        self._operator: LinearOperator | None = None

    def prepared(self, page: int, check: Callable[[], None] = SILENT.check) -> tuple[Prepared, Recipe]:
        """What was measured of a page, and the page's recipe; ``check`` may raise on the way."""
        recipe = slice_recipe(self._template, page, simulated=True)
        assert recipe.data is not None
        image = image_of(recipe.data, self._path)
        if image.measured is not None:
            recipe = slice_recipe(self._template, page, simulated=False)
        opened = Opened(image=image, data_path=self._path, prior=self._prior, prior_path=self._prior_path)
        with torch_threads(recipe.threads):
            found = prepare(opened, recipe.method, recipe.measured_with, self._operator, watch=Watch(check))
        self._operator = found.problem.operator
        return found, recipe

    def make(
        self, task: SliceTask, watch: OnIterate, check: Callable[[], None]
    ) -> tuple[SliceRecord, Pixels]:
        """The slice, (C, rows, columns) on the [0, 1] scale, and what is known of it."""
        began = time.perf_counter()
        prepared, recipe = self.prepared(task.page, check)
        evaluations = 0
        made_from: tuple[str, ...] = ()
        if task.smooth:
            with torch_threads(recipe.threads):
                estimate, made_from = self._smoothed(task, prepared.problem)
                metrics = measure(prepared.problem, estimate)
                metrics |= prepared.baseline_metrics
        else:
            run = Run(recipe, prepared.opened, Control(side_work=Checked(check)), prepared=prepared)
            last = None
            for last in run.steps():
                check()
                watch(task.page, last)
            outcome = run.take()
            assert outcome is not None, "its steps have ended"
            metrics, evaluations = outcome.required().metrics, outcome.required().evaluations
            assert last is not None, "every solver has a step"
            estimate = last.estimate
        pixels = estimate.detach().cpu().numpy().astype("float32")
        record = SliceRecord(
            page=task.page, recipe=recipe, seconds=time.perf_counter() - began, evaluations=evaluations,
            metrics=as_json(metrics), sha256=pixels_sha256(pixels), spacing=prepared.image.spacing,
            made_from=made_from, z_smoothing=task.z_smoothing,
        )  # fmt: skip
        return record, pixels

    def _smoothed(self, task: SliceTask, problem: Problem) -> tuple[Tensor, tuple[str, ...]]:
        parts = Parts(task.folder)
        found = [parts.pixels(page) for page in (task.page, *task.neighbours)]
        own, *others = (torch.from_numpy(pixels).to(problem.device) for pixels in found)
        fitting = [other for other in others if other.shape == own.shape]
        return smoothed(problem, own, fitting, task.z_smoothing), tuple(map(pixels_sha256, found))


@lru_cache(maxsize=1)
def _maker(template: str) -> SliceMaker:
    return SliceMaker(Recipe.model_validate_json(template))


_one_at_a_time = threading.Lock()


def finish(
    task: SliceTask, watch: OnIterate = lambda _page, _iterate: None, check: Callable[[], None] = lambda: None
) -> SliceOutcome:
    """Make a slice and keep it; one that cannot be made says why, so that the others go on.

    What was open for the last slice of the same template serves this one. Raises
    :class:`~padis_gui.core.settings.errors.InputError` where nothing can be kept on the disk, and what ``check`` raises.
    """
    with _one_at_a_time:  # torch's threads are the process's own, and memory is for one slice
        try:
            record, pixels = _maker(task.template.model_dump_json()).make(task, watch, check)
        except Interrupted:
            raise
        except PadisError as error:
            return SliceOutcome(page=task.page, trouble=str(error))
        except Exception as error:  # one broken slice must not cost the others
            log.exception("A slice failed: page %d", task.page)
            return SliceOutcome(page=task.page, trouble=f"{type(error).__name__}: {error}")
        Parts(task.folder).write(record, pixels)
    return SliceOutcome(
        page=task.page, metrics=record.metrics, seconds=record.seconds, evaluations=record.evaluations
    )


def finish_text(task: str) -> str:
    """:func:`finish` for another process: JSON in, JSON out."""
    return finish(SliceTask.model_validate_json(task)).model_dump_json()
