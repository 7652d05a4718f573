"""A walk through the window by chance: opens, chooses, runs, cancels, without waiting half of the time.

After every step the law of :mod:`tests.gui.truth` is asked for; the first finding ends the walk. A walk of its own, with
the steps that led to what it found, and the fewest of them that still do:

    python -m tests.gui.truth_walk --steps 10000 --seed 1 [--large 0.05]
"""

import argparse
import asyncio
import gc
import logging
import os
import random
import re
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from padis_gui.core.exports.about import read_recipe
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.physics.settings import PictureSettings
from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.runs.presets import (
    PRESETS,
    bundled_priors,
    find_preset,
    is_bundled,
    priors_alike,
    resource,
)
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.viewmodels.pictures.profiles import Line, Region
from tests.gui.truth import Screen, is_held, rest
from tests.gui.truth_files import Files, make_files
from tests.gui.user import leave

_TELLS = 100  # steps
_PATIENCE = (
    2.5  # seconds of a run that nobody stopped, until somebody finishes it; twice that, and it is cancelled
)


@dataclass(frozen=True)
class Step:
    """One thing that is done; ``seed`` draws its choices, so that it does the same whatever was left out before."""

    action: str
    seed: int
    waits: bool


def steps_of(seed: int, count: int, large: float = 0.0) -> list[Step]:
    """A walk; ``large`` is the share of openings that are of a large image."""
    rng = random.Random(seed)
    names, weights = zip(*_WEIGHTS.items(), strict=True)
    made = []
    for _ in range(count):
        (name,) = rng.choices(names, weights)
        if name == "open_image" and rng.random() < large:
            name = "open_large"
        made.append(Step(name, rng.randrange(2**30), rng.random() < 0.5))
    return made


_WEIGHTS = {
    "open_image": 14, "open_scan": 5, "open_bad": 2, "open_page": 4, "choose_volume": 5, "move_crosshair": 8,
    "set_role": 2, "open_demo": 0.6,
    "open_prior": 5, "choose_preset": 8, "choose_physics": 3, "set_views": 5, "set_noise": 2, "choose_solver": 4,
    "set_tiling": 3, "set_seed": 3, "run": 16, "start_paused": 5, "pause": 4, "step": 5, "finish": 4, "cancel": 5,
    "enqueue": 2, "draw_samples": 1.5, "cancel_waiting": 1, "export": 4, "restore": 4, "show_run": 6, "use_run": 2,
    "delete_run": 2, "undo": 1, "compare_runs": 3, "scrub": 6, "bring_panel": 5, "inspect": 4, "measure": 2,
    "map_seams": 2, "start_ab": 3, "end_ab": 3, "page": 3, "draw_line": 2, "draw_region": 2, "compare": 3,
    "set_levels": 2, "choose_levels": 3, "paint": 2, "change_panes": 2, "live_setting": 2, "click_curves": 3,
}  # fmt: skip


@dataclass
class Wanted:
    """What has to be open and chosen once all has settled, as far as that is known: whatever was wanted last."""

    data: Path | None = None
    priors: frozenset[Path] | None = None
    preset: str | None = None
    typed_seed: bool = False
    restored: tuple[int, Path] | None = None  # a seed that a restored run brought, and the file that it is of


@dataclass
class Raised:
    """Whatever went wrong anywhere in the program."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, kind: Any, error: BaseException, trace: Any) -> None:
        self.texts.append("".join(traceback.format_exception(kind, error, trace))[-1800:])


class _Handler(logging.Handler):
    def __init__(self, raised: Raised) -> None:
        super().__init__(logging.ERROR)
        self._raised = raised

    def emit(self, record: logging.LogRecord) -> None:
        self._raised.texts.append(self.format(record)[-1800:])


@contextmanager
def watching(session: Any) -> Iterator[Raised]:
    """Slots, threads, coroutines, the log, and messages that call themselves unexpected."""
    raised = Raised()
    loop, root, handler = asyncio.get_running_loop(), logging.getLogger(), _Handler(raised)
    before = sys.excepthook, threading.excepthook, loop.get_exception_handler()

    def of_loop(_loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        raised.texts.append(context["message"]) if error is None else raised(
            type(error), error, error.__traceback__
        )

    def said(_level: str, sentence: str, details: str) -> None:
        if "unexpected" in sentence.lower():
            raised.texts.append(f"{sentence}\n{details[-1500:]}")

    sys.excepthook = raised
    threading.excepthook = lambda args: raised(args.exc_type, args.exc_value, args.exc_traceback)
    loop.set_exception_handler(of_loop)
    root.addHandler(handler)
    session.message.connect(said)
    try:
        yield raised
    finally:
        session.message.disconnect(said)
        root.removeHandler(handler)
        sys.excepthook, threading.excepthook = before[:2]
        loop.set_exception_handler(before[2])


def kind_of(text: str) -> str:
    """What a finding has in common with others of its kind: its last line without names and numbers."""
    words = re.sub(r"'[^']*'|\([^)]*\)|\S*\d\S*|\S+\.(tif|png|h5|mat)", "…", text.strip().splitlines()[-1])
    return words[:60]


class Walk:
    """Drives one window. ``trace`` says what was done; ``found`` what was wrong after the last of it."""

    def __init__(self, window: Any, files: Files, folder: Path) -> None:
        self.window, self.session, self.files, self.folder = window, window.session, files, folder
        self.screen = Screen(window)
        self.wanted = Wanted()
        self.trace: list[str] = []
        self.found: list[str] = []
        self.say: Callable[[str], object] = lambda text: None  # where a long walk tells how far it is
        self.kinds: dict[str, tuple[int, str]] = {}  # of findings: after how many steps, and what it said
        self._exports: list[Path] = []
        self._refused = self._hurries = False
        self._typed = -1  # the seed that the user has set
        self.session.message.connect(self._hear)

    def _hear(self, level: str, sentence: str, _details: str) -> None:
        if level == "error" or "between runs" in sentence or "wanted before" in sentence:
            self._refused = True

    async def go(self, steps: Sequence[Step], *, on: bool = False) -> bool:
        """Do these steps; False at the first finding. ``on`` goes on instead, and keeps the first finding of a kind."""
        with watching(self.session) as raised:
            for number, step in enumerate(steps, 1):
                rng = random.Random(step.seed)
                self._hurries = not step.waits
                done = getattr(self, step.action)(rng)
                if done is None:  # the window doesn't allow it now
                    continue
                self.trace.append(f"{number:5} {done}" + ("; waits" if step.waits else ""))
                for _ in range(rng.randint(1, 4)):  # two clicks never come in one turn of Qt's loop
                    await asyncio.sleep(
                        0
                    )  # sleep: of no length, so that what was begun is in the middle of it
                if step.waits:
                    await self.settle()
                self.found = [*raised.texts, *self.screen.wrongs(quiet=step.waits)]
                if step.waits and not self.found:
                    self.found = self._missed()
                if self.found and not on:
                    return False
                for text in self.found:
                    if kind_of(text) not in self.kinds:
                        self.kinds[kind_of(text)] = len(self.trace), text
                        self.say("\n".join([*self.trace[-8:], f"WRONG: {text}", ""]))
                if number % _TELLS == 0:
                    gc.collect()  # here, as the program does in its thread every second
                    held = psutil.Process().memory_info().rss // 2**20
                    self.say(f"{number} steps, {len(self.kinds)} kinds of findings, {held} MiB")
                raised.texts.clear()
            await self.settle()
            self.found = [*raised.texts, *self.screen.wrongs(quiet=True)]
        return not self.found

    # Waiting ----------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Until nothing is under way but what waits for the user; who runs longer than a moment is finished."""
        await rest(self.window, _PATIENCE)

    def _missed(self) -> list[str]:
        """What was wanted last and is not so, now that all has settled."""
        session, wanted = self.session, self.wanted
        if self._refused:
            self._refused, self.wanted = False, Wanted(typed_seed=wanted.typed_seed)
            return []
        if is_held(self.window):
            return []
        found = []
        if wanted.data is not None and (
            session.data.path is None or session.data.path.resolve() != wanted.data.resolve()
        ):
            found.append(f"{wanted.data.name} was opened last, but {session.data.path} is open")
        if wanted.priors is not None and session.prior.path not in wanted.priors:
            found.append(
                f"the prior ought to be {[p.name for p in wanted.priors]}, but it is {session.prior.path}"
            )
        image = session.data.image
        scan = image is not None and image.measured is not None
        if wanted.preset is not None and not scan and session.method.preset != wanted.preset:
            found.append(f"the preset {wanted.preset} was chosen last, but now it is {session.method.preset}")
        restored, path = wanted.restored, session.data.path
        if (
            restored
            and path is not None
            and session.method.seed == restored[0] != self._typed
            and path.resolve() != restored[1]
        ):
            found.append(f"seed {restored[0]} of a restored run of {restored[1].name} holds for {path}")
        return found

    # What is opened ---------------------------------------------------------------------------------

    def _open(self, path: Path) -> str | None:
        if not self.window.act.open_image.isEnabled():
            return None
        self.window.opening.open_image(path)
        self.wanted.data = path
        return f"open {path.name}"

    def open_image(self, rng: random.Random) -> str | None:
        return self._open(rng.choice(list(self.files.images.values())))

    def open_large(self, rng: random.Random) -> str | None:
        return self._open(rng.choice(list(self.files.large.values())))

    def open_scan(self, rng: random.Random) -> str | None:
        done = self._open(rng.choice(list(self.files.scans.values())))
        if done:
            self.wanted.preset = None
        return done

    def open_bad(self, rng: random.Random) -> str | None:
        before = self.wanted.data
        done = self._open(rng.choice(list(self.files.bad.values())))
        self.wanted.data = before
        return done

    def open_demo(self, rng: random.Random) -> str | None:
        if not self.window.act.open_demo.isEnabled():
            return None
        self.window.act.open_demo.trigger()
        self.wanted.data = self.wanted.priors = None
        return "open the demo"

    def open_page(self, rng: random.Random) -> str | None:
        box = self.window.data.page
        if not box.isEnabled() or box.isHidden() or box.maximum() < 2 or self.session.data.image is None:
            return None
        box.setValue(rng.randint(box.minimum(), box.maximum()))
        self.wanted.data = None  # of the file that is open now, whatever else is on its way
        return f"page {box.value()}"

    def choose_volume(self, rng: random.Random) -> str | None:
        data = self.window.data
        button = rng.choice([data.of_slice, data.of_volume, data.of_volume])
        if not button.isEnabled() or not data._of_pages.isVisibleTo(data):
            return None
        button.click()
        return f"see a {button.text().lower()}"

    def move_crosshair(self, rng: random.Random) -> str | None:
        reconstruct, panes = self.window.reconstruct, self.window.panes
        if not reconstruct.volume.on:
            return None
        how = rng.choice(["type", "slide", "click", "key"])
        if how == "type":
            box = rng.choice(list(reconstruct.place.boxes.values()))
            box.setValue(rng.randint(1, box.maximum()))
        elif how == "slide":
            reconstruct.slices.slider.setValue(rng.randint(0, reconstruct.slices.slider.maximum()))
        else:
            canvas = rng.choice(panes.panes).canvas
            if canvas.pixels is None:
                return None
            rows, columns = canvas.pixels.shape[:2]
            if how == "click":
                canvas.picked.emit(rng.randrange(rows), rng.randrange(columns))
            else:
                canvas.stepped.emit(rng.choice([-1, 1]))
        return f"{how} to {self.session.volume.place}"

    def set_role(self, rng: random.Random) -> str | None:
        image = self.session.data.image
        if image is None or not self.window.act.open_image.isEnabled():
            return None
        if image.measured is not None and image.measured.physics:
            return None
        role = rng.choice(["auto", "image", "measurement"])
        self.session.spawn(self.session.data.set_reading({"role": role}))
        self.wanted.data = None
        return f"read it as {role}"

    def open_prior(self, rng: random.Random) -> str | None:
        if not self.window.act.open_prior.isEnabled():
            return None
        paths = list(self.files.priors.values())
        path = rng.choice([*paths[:2] * 3, *paths[2:], *list(bundled_priors())[::2]])
        self.window.opening.open_prior(path)
        self.wanted.priors = frozenset([path])
        return f"open the prior {path.name}"

    # What is chosen ---------------------------------------------------------------------------------

    def choose_preset(self, rng: random.Random) -> str | None:
        box = self.window.problem.preset
        if not box.isEnabled():
            return None
        number = rng.randrange(1, 4) if rng.random() < 0.3 else 1
        names = [rng.choice(PRESETS).name for _ in range(number)]
        for name in names:
            index = box.findData(name)
            box.setCurrentIndex(index)
            box.activated.emit(index)
            preset, wanted = find_preset(name), self.wanted
            if wanted.data is not None and is_bundled(wanted.data):
                wanted.data = resource(preset.demo)
            if wanted.priors is None or any(is_bundled(path) for path in wanted.priors):
                known = wanted.priors is not None
                wanted.priors = frozenset(priors_alike(preset.prior)) if known else None
            wanted.preset = name
        return f"preset {', '.join(names)}"

    def choose_physics(self, rng: random.Random) -> str | None:
        names = [physics.name for physics in PHYSICS]
        box, name = self.window.problem.physics, rng.choice(names)
        if not box.isEnabled():
            return None
        box.setCurrentIndex(box.findData(name))
        box.activated.emit(box.currentIndex())
        self.wanted.preset = None
        return f"physics {name}"

    def set_views(self, rng: random.Random) -> str | None:
        editor = self.window.problem.form.editors.get("views")
        if editor is None or not editor.isEnabled() or getattr(self.session.method.problem, "angles", ()):
            return None
        editor.setValue(rng.choice([4, 8, 12, 20, 30]))
        self.wanted.preset = None
        return f"{editor.value()} views"

    def set_noise(self, rng: random.Random) -> str | None:
        value = rng.choice([0.0, 0.01, 0.1])
        if not hasattr(self.session.method.problem, "noise"):
            return None
        self.session.method.set_problem("noise", value)
        self.wanted.preset = None
        return f"noise {value}"

    def choose_solver(self, rng: random.Random) -> str | None:
        name = rng.choice(SOLVERS).name
        box = self.window.solver.solver
        if not box.isEnabled():
            return None
        box.setCurrentIndex(box.findData(name))
        box.activated.emit(box.currentIndex())
        self.wanted.preset = None
        return f"solver {name}"

    def set_tiling(self, rng: random.Random) -> str | None:
        name = rng.choice([tiling.name for tiling in TILINGS])
        self.session.method.set_tiling("strategy", name)
        return f"tiling {name}"

    def set_seed(self, rng: random.Random) -> str | None:
        value = rng.choice([-1, 3, 7])
        if value == self.window.solver.seed.value():  # which says nothing: whose it is stays
            return None
        self.window.solver.seed.setValue(value)
        self._typed = value
        self.wanted.restored = None
        return f"seed {value}"

    def live_setting(self, rng: random.Random) -> str | None:
        if not hasattr(self.session.method.settings, "zeta"):
            return None
        value = rng.choice([0.3, 0.6, 1.0])
        self.session.method.set_solver_setting("zeta", value)
        self.wanted.preset = None
        return f"ζ {value}"

    # Runs -------------------------------------------------------------------------------------------

    def _tame(self, rng: random.Random) -> None:
        """Few steps, so that there is time for many runs."""
        settings, method = self.session.method.settings, self.session.method
        few = rng.randint(1, 3)
        for name, value in (("steps", few), ("iterations", few), ("inner", 1), ("cg_steps", 2), ("draws", 2)):
            if hasattr(settings, name) and getattr(settings, name) != value:
                method.set_solver_setting(name, value)
                self.wanted.preset = None

    def run(self, rng: random.Random) -> str | None:
        if not self.window.act.run.isEnabled() or not self.window.at_work:
            return None
        self._tame(rng)
        self.window.act.run.trigger()
        return f"run {self.session.method.solver}"

    def start_paused(self, rng: random.Random) -> str | None:
        if (
            not self.window.act.run.isEnabled()
            or not self.window.act.step.isEnabled()
            or not self.window.at_work
        ):
            return None
        self._tame(rng)
        self.window.act.step.trigger()
        return f"step from rest, {self.session.method.solver}"

    def _steer(self, name: str) -> str | None:
        action = getattr(self.window.act, name)
        if not action.isEnabled() or not self.session.run.active:
            return None
        action.trigger()
        return name

    def pause(self, rng: random.Random) -> str | None:
        return self._steer("pause")

    def step(self, rng: random.Random) -> str | None:
        return self._steer("step")

    def finish(self, rng: random.Random) -> str | None:
        return self._steer("finish")

    def cancel(self, rng: random.Random) -> str | None:
        return self._steer("cancel")

    def enqueue(self, rng: random.Random) -> str | None:
        if not self.window.act.enqueue.isEnabled():
            return None
        self._tame(rng)
        self.window.act.enqueue.trigger()
        return "add to the queue"

    def draw_samples(self, rng: random.Random) -> str | None:
        if not self.window.act.samples.isEnabled():
            return None
        self._tame(rng)
        self.session.runner.draw_samples(2)
        return "draw 2 samples"

    def cancel_waiting(self, rng: random.Random) -> str | None:
        self.session.runner.cancel_waiting()
        return "take back what waits"

    def export(self, rng: random.Random) -> str | None:
        shown = self.session.shown
        if not self.window.act.export.isEnabled() or shown.result is None:
            return None
        path = self.folder / f"export{len(self._exports)}.tif"
        self._exports.append(path)
        self.session.spawn(self.session.export(path))
        return f"export {path.name}"

    def restore(self, rng: random.Random) -> str | None:
        there = [path for path in self._exports if path.exists()]
        if not there or not self.window.act.restore.isEnabled():
            return None
        path = rng.choice(there)
        recipe, _ = read_recipe(path)
        seed, data = recipe.seed, None if recipe.data is None else Path(recipe.data.file)
        self.window.opening.restore(path)
        self.wanted = Wanted(  # what is chosen before it is read wins over all of it
            data=None if self._hurries else data, restored=None if data is None else (seed, data.resolve())
        )
        return f"restore {path.name}"

    def _chosen(self, rng: random.Random, count: int) -> list[Any]:
        records = self.session.runs.records
        return rng.sample(records, count) if len(records) >= count else []

    def _list(self, action: str, records: list[Any]) -> str | None:
        if not records:
            return None
        listed = self.window.run_tools.list
        listed.select(*records)
        if not getattr(listed, action).isEnabled():
            return None
        getattr(listed, action).trigger()
        return f"{action} {', '.join(record.name for record in records)}"

    def show_run(self, rng: random.Random) -> str | None:
        return self._list("show_run", self._chosen(rng, 1))

    def use_run(self, rng: random.Random) -> str | None:
        done = self._list("use", self._chosen(rng, 1))
        if done:
            self.wanted = Wanted()
        return done

    def delete_run(self, rng: random.Random) -> str | None:
        return self._list("delete", self._chosen(rng, 1))

    def compare_runs(self, rng: random.Random) -> str | None:
        return self._list("compare", self._chosen(rng, 2))

    def undo(self, rng: random.Random) -> str | None:
        if not self.session.runs.can_undo:
            return None
        self.window.run_tools.list.undo.trigger()
        return "undo"

    def scrub(self, rng: random.Random) -> str | None:
        slider = self.window.timeline.slider
        if not slider.isEnabled():
            return None
        slider.setValue(rng.randint(slider.minimum(), slider.maximum()))
        return f"scrub to {slider.value()}"

    def click_curves(self, rng: random.Random) -> str | None:
        plots = [
            plot for plot in self.window.curves.plots.values() if plot.isVisible() and plot._view is not None
        ]
        if not plots:
            return None
        plot, at = rng.choice(plots), rng.uniform(-1, 4)
        plot.hovered.emit(at)
        plot.clicked.emit(at)
        return f"click into the curves at {at:.1f}"

    # Panels -----------------------------------------------------------------------------------------

    def bring_panel(self, rng: random.Random) -> str | None:
        dock = rng.choice(self.window.docks.all)
        if rng.random() < 0.25:
            dock.hide()
            return f"hide {dock.windowTitle()}"
        self.window.docks.bring(dock)
        return f"bring {dock.windowTitle()}"

    def inspect(self, rng: random.Random) -> str | None:
        laboratory = self.window.laboratory
        laboratory.inspect.trigger()
        inspector = laboratory.inspector
        what = rng.choice(["pick", "move", "input", "sigma"])
        if what == "pick":
            inspector.pick(rng.randrange(64), rng.randrange(64))
        elif what == "move":
            inspector.move(rng.randint(-5, 5), rng.randint(-5, 5))
        elif what == "input":
            inspector.set_input(rng.choice(["step", "truth", "estimate"]))
        else:
            inspector.set_sigma(rng.choice([None, 0.2]))
        return f"inspect a tile: {what}"

    def measure(self, rng: random.Random) -> str | None:
        laboratory = self.window.laboratory.model
        if not laboratory.measurable:
            return None
        laboratory.measure()
        return "measure the disagreement"

    def map_seams(self, rng: random.Random) -> str | None:
        key = rng.choice(["seams", "coverage", "disagreement"])
        self.window.panes.panes[0].show_source(key)
        self.window.panes.arranged.emit()
        return f"map {key}"

    def start_ab(self, rng: random.Random) -> str | None:
        ab = self.window.laboratory.ab
        if ab.active:
            return None
        self._tame(rng)
        ab.choose("strategy", rng.choice([tiling.name for tiling in TILINGS]))
        ab.start(paused=rng.random() < 0.3)
        return "start A/B"

    def end_ab(self, rng: random.Random) -> str | None:
        ab = self.window.laboratory.ab
        if not ab.active:
            return None
        what = rng.choice(["finish", "cancel", "step", "resume"])
        getattr(ab, what)()
        return f"A/B: {what}"

    def page(self, rng: random.Random) -> str | None:
        action = rng.choice([*self.window.pages.group.actions()[:2], self.window.pages.group.actions()[0]])
        action.trigger()
        return f"go to {action.text()}"

    def draw_line(self, rng: random.Random) -> str | None:
        tools, panes = self.window.panes.tools, self.window.panes
        tools.adopt(panes.active.group)
        tools.set_line(Line((2.0, 3.0), (rng.uniform(20, 90), rng.uniform(20, 90)), rng.choice([1, 3])))
        return "draw a line"

    def draw_region(self, rng: random.Random) -> str | None:
        tools, panes = self.window.panes.tools, self.window.panes
        tools.adopt(panes.active.group)
        tools.set_region(Region(
            shape="ellipse", left=rng.randint(0, 40), top=rng.randint(0, 40), width=20, height=rng.randint(5, 60)
        ))  # fmt: skip
        return "draw a region"

    def compare(self, rng: random.Random) -> str | None:
        panes = self.window.panes
        mode = rng.choice([None, "side", "wipe", "blink", "subtract"])
        keys = [source.key for source in panes.picture_set.sources]
        panes.compare_with(mode, rng.choice(keys), rng.choice(keys))
        return f"compare: {mode}, {panes.compare.keys}"

    def change_panes(self, rng: random.Random) -> str | None:
        panes = self.window.panes
        keys = [source.key for source in panes.picture_set.sources]
        pane = rng.choice(panes.panes)
        pane.show_source(rng.choice(keys))
        panes.set_active(pane)
        return f"a pane shows {pane.source}"

    def set_levels(self, rng: random.Random) -> str | None:
        picture_set, subject = self.window.panes.picture_set, self.screen._subject()
        if subject is None or not picture_set.has("truth"):
            return None
        picture_set.set_levels(picture_set.sources["truth"], rng.choice([(0.0, 0.5), (-100.0, 200.0)]))
        self.screen.hand_levels_unit = subject.unit
        return f"levels by hand, in {subject.unit!r}"

    def choose_levels(self, rng: random.Random) -> str | None:
        box = self.window.levels
        box.setCurrentIndex(rng.randrange(box.count()))
        return f"levels {box.currentText()}"

    def paint(self, rng: random.Random) -> str | None:
        editor, action = self.window.mask_editor, self.window.panes.act.mask
        if (
            not editor.possible
            or not action.isEnabled()
            or not isinstance(self.session.method.problem, PictureSettings)
        ):
            return None
        if editor.missing is not None and rng.random() < 0.4:
            self.window.panes.act.move.trigger()
            return "stop painting"
        action.trigger()
        editor.remember()
        editor.stroke((5.0, 5.0), (rng.uniform(5, 90), rng.uniform(5, 90)), 6.0, erase=False)
        self.wanted.preset = None
        return "paint a mask"


# A walk of its own -----------------------------------------------------------------------------------


def walk_once(
    app: Any,
    files: Files,
    folder: Path,
    steps: Sequence[Step],
    say: Callable[[str], object],
    *,
    on: bool = False,
) -> Walk:
    """One walk in a window of its own, which tells ``say`` how far it is; ``on`` as for :meth:`Walk.go`."""
    from padis_gui.gui.frame.main_window import MainWindow
    from padis_gui.viewmodels.session.session import Session
    from padis_gui.viewmodels.studies.studies import Studies
    from padis_gui.viewmodels.training.trainer import Trainer
    from tests.qt import qt_loop

    folder.mkdir(parents=True, exist_ok=True)

    async def go() -> Walk:
        session = Session("cpu")
        window = MainWindow(
            session,
            trainer=Trainer(session, folder / "trainings"),
            studies=Studies(session, folder / "studies"),
        )
        window.resize(1280, 720)
        window.show()
        walk = Walk(window, files, folder)
        walk.say = say
        try:
            await walk.go(steps, on=on)
        except AssertionError as error:
            walk.found = [f"it never came to rest: {error}"]
            walk.kinds[kind_of(walk.found[0])] = (
                len(walk.trace),
                walk.found[0],
            )  # it ends one that goes on, too
            say("\n".join([*walk.trace[-8:], f"WRONG: {walk.found[0]}"]))
        await leave(window)
        window.deleteLater()
        return walk

    with qt_loop(app) as run:
        walk: Walk = run(go(), 100_000)
    app.processEvents()
    gc.collect()
    return walk


def fewest(
    steps: list[Step], still: Callable[[list[Step]], bool], tries: int, say: Callable[[str], object]
) -> list[Step]:
    """Steps without which the finding goes; halves are left out first, then quarters, down to one."""
    chunk = max(1, len(steps) // 2)
    while tries and chunk:
        at = 0
        while tries and at < len(steps):
            fewer = steps[:at] + steps[at + chunk :]
            tries -= 1
            if fewer and still(fewer):
                steps = fewer
                say(f"… {len(steps)} steps do")
            else:
                at += chunk
        chunk //= 2
    return steps


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--large", type=float, default=0.03, help="share of openings that are of a large image"
    )
    options.add_argument("--tries", type=int, default=40, help="walks that may be spent on fewer steps")
    options.add_argument("--on", action="store_true", help="go on after a finding, and list one of each kind")
    chosen = options.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import pyqtgraph as pg
    import torch
    from PySide6.QtCore import QtMsgType, qInstallMessageHandler
    from PySide6.QtWidgets import QApplication

    from padis_gui.gui.kit.theme import configure

    torch.set_num_threads(1)
    app = QApplication([])
    app.setQuitOnLastWindowClosed(False)
    configure(app)
    pg.setConfigOption("mouseRateLimit", -1)

    def of_qt(kind: Any, _context: Any, text: str) -> None:
        if kind is not QtMsgType.QtDebugMsg and "plugin does not support" not in text:
            logging.getLogger("qt").error(text)

    qInstallMessageHandler(of_qt)
    gc.disable()
    say: Callable[[str], object] = lambda text: print(text, flush=True)  # noqa: E731, T201
    with tempfile.TemporaryDirectory(prefix="padis-gui-walk-") as name:
        os.environ["PADIS_GUI_HOME"] = name
        files, folder = make_files(Path(name)), Path(name) / "walk"
        steps, number = steps_of(chosen.seed, chosen.steps, chosen.large), 0
        walk = walk_once(app, files, folder / "0", steps, say, on=chosen.on)
        if chosen.on:
            say(f"{len(walk.trace)} steps were done, {len(walk.kinds)} kinds of findings.")
            return bool(walk.kinds)
        say("\n".join(walk.trace[-60:]))
        if not walk.found:
            say(f"{len(walk.trace)} steps, and nothing was wrong.")
            return 0
        say("WRONG: " + "\nWRONG: ".join(walk.found))
        kind = kind_of(walk.found[0])

        def still(fewer: list[Step]) -> bool:
            nonlocal number
            number += 1
            again = walk_once(app, files, folder / str(number), fewer, lambda text: None)
            return any(kind_of(text) == kind for text in again.found)

        last = int(walk.trace[-1].split()[0])
        few = fewest(steps[:last], still, chosen.tries, say)
        walk = walk_once(app, files, folder / "last", few, say)
        say("\n".join(walk.trace))
        say("WRONG: " + "\nWRONG: ".join(walk.found))
    return 1


if __name__ == "__main__":
    sys.exit(main())
