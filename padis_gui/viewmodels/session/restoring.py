"""From an exported file back to the run that made it: its image, prior, settings and seed, and its result in the list."""

import math
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from padis_gui.core.exports.about import Export, known_metrics, read_export, read_pages
from padis_gui.core.images.image import Image
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.differences import differences
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.locate import Located, locate
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.recipe import Recipe, versions
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import pixels_sha256
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.pictures.frames import History
from padis_gui.viewmodels.runs.run import Task
from padis_gui.viewmodels.runs.runs import RunRecord, record_of
from padis_gui.viewmodels.session.saved import choices_from, volume_of
from padis_gui.viewmodels.session.workspace import Workspace


@dataclass(frozen=True)
class _Found:
    """What is known of an exported file; ``trouble`` says why its result is not there, where it is not."""

    export: Export
    located: Located
    result: Result | None
    trouble: str


@dataclass(frozen=True)
class _Restored:
    """What was brought back last, and the choices as they then stood."""

    record: RunRecord
    opened: Opened
    method: Method


class Restorer:
    """Works for one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._last: _Restored | None = None
        self._image: tuple[Path | None, int] | None = None
        workspace.data.changed.connect(self._follow_data)

    def restore(self, path: Path) -> Coroutine[Any, Any, bool]:
        """Bring back the run that made an exported file; messages say what differs here, and what is missing.

        What can be brought back is, also where a file is missing. It is what is wanted from the call on; what is asked
        for while the file is read wins.
        """
        return self._restore(path, self._workspace.ask(), self._workspace.prior.wishes)

    async def _restore(self, path: Path, asked: tuple[int, ...], prior_asked: int) -> bool:
        workspace = self._workspace
        near = [p.parent for p in (workspace.data.path, workspace.prior.path) if p is not None]
        found = await workspace.read(_find, Path(path), near)
        if found is None:
            return False
        recipe = found.located.recipe
        missing = {each.what for each in found.located.missing}
        choices = choices_from(recipe, Path(path).name, workspace.method.own_seed)
        if "data" in missing:
            choices = choices.model_copy(update={"data": None})
        if "prior" in missing:
            choices = choices.model_copy(update={"prior": None})
        if workspace.prior.wishes != prior_asked:
            choices = choices.model_copy(update={"prior": None})
        used = workspace.asked == asked and await workspace.use(choices)
        record = None
        if found.result is not None:
            record = record_of(
                found.result, History(0), name=f"Restored from {Path(path).name}", state="Restored"
            )
            record.when = datetime.now(UTC)
            ratio = found.export.about.seam_ratio
            record.seam_ratio = math.nan if ratio is None else ratio
            workspace.runs.add(record)
            if used:  # else something else was wanted meanwhile
                workspace.shown.show(record)
        opened = workspace.opened()
        self._last = None
        uneven = recipe.stack is not None and choices.slices is None
        if used and record is not None and opened is not None and not missing and not uneven:
            self._last = _Restored(record, opened, workspace.method.now)
        self._say(found, recipe, str(Path(path).name), used=used, uneven=uneven)
        return not missing

    def wanted(self, task: Task, seed: int | None) -> RunRecord | None:
        """The restored run, while nothing that it was made of has been changed since: Run then repeats it."""
        last = self._last
        if last is None or seed != last.record.recipe.seed:
            return None
        same_image = task.opened.same_as(last.opened)
        if last.record.recipe.stack is not None and task.opened.prior is last.opened.prior:
            same_image = last.record.recipe.is_of_data(task.opened.image, task.opened.data_path)
        return last.record if same_image and task.method == last.method else None

    def _follow_data(self) -> None:
        """The seed that came back with a run goes with its image: it would silently be that of every later one."""
        data, method = self._workspace.data, self._workspace.method
        image = None if data.image is None else (data.path, data.image.page)
        if image == self._image:
            return
        self._image = image
        seed, name = method.seed, method.seed_of
        if method.give_back_seed():
            now = "new at each run" if method.seed is None else f"{method.seed}"
            self._workspace.message.emit(
                "info", f"The seed is {now} again; {seed} was that of {name} and its image.", ""
            )

    def _say(self, found: _Found, recipe: Recipe, name: str, *, used: bool, uneven: bool) -> None:
        """What came back, what is different here, and what is missing."""
        here = recipe.model_copy(update={"device": str(self._workspace.prior.device), "versions": versions()})
        other = differences(found.export.recipe, here)
        sentences = [missing.sentence for missing in found.located.missing]
        if self._last is not None:
            replayed = " with its live changes" if recipe.changes else ""
            sentences.append(f"The run that made {name} is back{replayed}; Run repeats it.")
        elif used:
            sentences.append(f"The settings of the run that made {name} are back.")
        else:
            there = "; the run is in the list" if found.result is not None else ""
            sentences.append(f"Something else was chosen while {name} was read, and holds{there}.")
        if uneven:
            sentences.append(
                "Its slices are not next to each other, and are not opened here; padis-gui repeat makes it again."
            )
        sentences += [found.trouble] if found.trouble else []
        sentences += found.located.remarks
        if other:
            sentences.append(f"Different here: {', '.join(other)}.")
        level = "error" if found.located.missing else "warning" if other or found.trouble else "info"
        self._workspace.message.emit(level, " ".join(sentences), "")


def _find(path: Path, near: list[Path]) -> _Found:
    """Read an exported file and find what it was made of; call it in the I/O thread."""
    export = read_export(path)
    find_solver(export.recipe.solver)
    find_physics(export.recipe.physics)
    located = locate(export.recipe, [path.resolve().parent, *near])
    try:
        return _Found(export, located, _result(export, located.recipe), "")
    except InputError as error:
        return _Found(export, located, None, str(error))


def _volume_result(export: Export, recipe: Recipe) -> Result:
    """The volume that a run gave."""
    about, data = export.about, recipe.data
    assert data is not None, "as of every volume"
    image = volume_of(
        recipe, read_pages(export)[0], window=about.window or data.window, unit=about.unit or data.unit,
        spacing=about.spacing, name=Path(data.file).name, page=data.page,
    )  # fmt: skip
    return Result(
        recipe=recipe, image=image, metrics=known_metrics(export.metrics), seconds=about.seconds,
        evaluations=about.evaluations, step=about.step, total=about.total,
        sigma=math.nan if about.sigma is None else about.sigma, sha256=about.sha256,
    )  # fmt: skip


def _result(export: Export, recipe: Recipe) -> Result:
    """The result inside; raises :class:`InputError` where the file holds something else."""
    about = export.about
    if about.kind == "volume" and recipe.stack is not None:
        return _volume_result(export, recipe)
    if about.kind == "volume":
        raise InputError(
            f"{export.path.name} is a volume of {len(about.pages)} slices; open it as an image to see them."
        )
    if recipe.stack is not None:
        raise InputError(
            f"{export.path.name} shows one slice of a volume; export the volume itself to have it in the list."
        )
    pages, _ = read_pages(export)
    iterates = about.kind == "iterates" and about.picture == "estimate"
    estimate = pages[-1] if iterates else pages[0]
    exact = about.integer is None
    holds = about.kind in ("result", "draws") or (
        iterates and (not exact or about.sha256 == pixels_sha256(estimate))
    )
    if not holds:
        raise InputError(
            f"{export.path.name} holds no result to compare with; export one to have it in the list."
        )
    more = pages[1:] if about.kind == "result" else []
    # files of earlier versions do not say where the run stood; the recipe tells how many steps it has
    step, total = (about.step, about.total) if about.step else (0, 0) if about.seeds else recipe.last_step
    window = about.window or (recipe.data.window if recipe.data is not None else (0.0, 1.0))
    if not window[0] < window[1]:
        raise InputError(
            f"{export.path.name} says that black is {window[0]:g} and white {window[1]:g}; export it again."
        )
    image = Image(
        pixels=estimate, window=window, spacing=about.spacing,
        unit=about.unit or (recipe.data.unit if recipe.data is not None else ""),
        name=Path(recipe.data.file).name if recipe.data is not None else "generated",
        page=0 if recipe.data is None else recipe.data.page,
    )  # fmt: skip
    return Result(
        recipe=recipe, image=image, deviation=more[0] if more else None,
        metrics=known_metrics(export.metrics), seconds=about.seconds, evaluations=about.evaluations, step=step, total=total,
        sigma=math.nan if about.sigma is None else about.sigma,
        interval=(more[1], more[2]) if len(more) > 2 else None,
        sha256=about.sha256 if about.kind != "draws" else pixels_sha256(estimate),
    )  # fmt: skip
