"""Take the pictures of the window: every scene, light and dark, small and large, in the real window.

Run it in the environment of the program, on a screen or on a virtual one that is large enough:

    xvfb-run -s "-screen 0 2560x1440x24" .venv/bin/python packaging/screenshots.py
    xvfb-run -s "-screen 0 2560x1440x24" .venv/bin/python packaging/screenshots.py --scene mid-run --scheme Dark

One process takes one scheme and one size after the other; a scene is a coroutine that brings the window into a state.
"""

import argparse
import asyncio
import itertools
import os
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtGui import QAction, QPainter
from PySide6.QtWidgets import QDialog, QWidget

from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.runs.presets import DEMO_IMAGE, resource
from padis_gui.core.settings.files import HOME_VARIABLE
from padis_gui.gui.dialogs.palette import Palette
from padis_gui.gui.frame.app import make_application, make_loop
from padis_gui.gui.frame.main_window import MainWindow
from padis_gui.viewmodels.pictures.planes import Place
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.volume import volume_prior
from padis_gui.viewmodels.state.preferences import Preferences
from padis_gui.viewmodels.studies.studies import Studies
from padis_gui.viewmodels.training.trainer import Trainer

FOLDER = Path(__file__).resolve().parents[1] / "resources" / "screenshots"
SCHEMES, SIZES = ("Light", "Dark"), ("1280x720", "2560x1440")
CURSOR = (118, 96)
PATIENCE = 180.0


async def until(condition: Callable[[], object]) -> None:
    """Let the window live until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def demo(window: MainWindow, preset: str = "ct-20") -> None:
    """The bundled image and prior of a preset, ready to run from seed 1."""
    session = window.session
    await session.open_demo()
    await session.choose_preset(preset)
    session.method.set_seed(1)
    await until(lambda: session.preparation.prepared)
    window.transport.first_focus.setFocus()


async def run_to(window: MainWindow, share: float) -> None:
    """Run, and stop in the middle of it at that share of the steps."""
    session = window.session
    session.start()
    await until(lambda: session.run.snapshot().total)
    total = session.run.snapshot().total
    await until(lambda: session.run.snapshot().step >= round(share * total))
    if share < 1:
        session.run.pause()
    await until(lambda: session.run.snapshot().state.value != "Running")
    await asyncio.sleep(0.7)


async def mid_run(window: MainWindow) -> QWidget:
    """The estimate at 60 % of the steps, with its tiling and the cursor in all panes."""
    await demo(window)
    await run_to(window, 0.6)
    window.panes.point_at(*CURSOR)
    return window


async def finished(window: MainWindow) -> QWidget:
    """A run that has ended."""
    await demo(window)
    await run_to(window, 1.0)
    return window


async def comparison(window: MainWindow) -> QWidget:
    """Two runs against each other: the list of runs, and a wipe between their results."""
    await demo(window)
    for tiling in ("fixed", "random"):
        window.session.method.set_tiling("strategy", tiling)
        await run_to(window, 1.0)
    first, second = window.session.runs.records[-2:]
    bring(window, "Runs")
    window.panes.compare_with("wipe")
    window.session.runs.compare.emit(first, second)
    return window


async def laboratory(window: MainWindow) -> QWidget:
    """The boundary laboratory in mid-run: trails of tilings, the seam map, how often each pixel was on a seam."""
    await demo(window)
    window.session.method.set_solver("diffpir")
    window.session.method.set_solver_setting("steps", 30)
    await run_to(window, 0.6)
    lab = window.laboratory
    for name, value in (("trails", 10), ("numbers", True), ("offset", True)):
        lab.model.set_overlay(name, value)
    window.panes.panes[1].show_source("seams")
    window.panes.panes[3].show_source("coverage")
    bring(window, "Laboratory")
    lab.model.measure()
    await asyncio.sleep(2.0)
    window.panes.point_at(*CURSOR)
    return window


async def studies(window: MainWindow) -> QWidget:
    """A study that has ended: what each tiling gains over the first, with intervals."""
    await demo(window)
    page, model = window.study_page, window.studies
    window.findChild(QAction, "page_studies").trigger()
    image = model.plan.open_image
    assert image is not None, "the demo is open"
    await model.plan.read_images((image,))
    await model.start()
    await until(lambda: model.standing is not None and model.standing.finished and not model.active)
    await asyncio.sleep(0.7)
    window.messages.hide()
    page.tabs.setCurrentWidget(page.plot)
    return window


async def tile_inspector(window: MainWindow) -> QWidget:
    """One tile: what the network got and gave, at a place that was chosen by hand."""
    await demo(window)
    window.session.method.set_solver("diffpir")
    window.session.method.set_solver_setting("steps", 30)
    await run_to(window, 0.5)
    window.panes.point_at(*CURSOR)
    window.laboratory.inspect.trigger()
    await asyncio.sleep(1.0)
    window.laboratory.inspector.move(9, -14)
    await asyncio.sleep(2.0)
    return window


async def side_by_side(window: MainWindow) -> QWidget:
    """The A/B page: a fixed grid against the random one, from the same noise."""
    await demo(window)
    window.findChild(QAction, "page_a/b").trigger()
    window.laboratory.ab.what_if("fixed")
    await until(lambda: window.laboratory.ab.frame(1) is not None)
    await until(lambda: not window.laboratory.ab.state.active)
    await asyncio.sleep(1.0)
    return window


async def training(window: MainWindow) -> QWidget:
    """A training of a small prior on the bundled slices, after some steps."""
    trainer = window.trainer
    window.findChild(QAction, "page_train").trigger()
    trainer.plan.choose_data((resource(DEMO_IMAGE),))
    await until(lambda: trainer.plan.data.preview is not None)
    trainer.plan.set_size("small")
    trainer.plan.set_budget("steps", 60)
    trainer.plan.set_name("first-steps")
    await trainer.start()
    await until(lambda: trainer.history.step >= 25 or not trainer.active)
    await asyncio.sleep(1.0)
    return window


async def geometry(window: MainWindow) -> QWidget:
    """The sketch of a fan beam, beside the baseline that it gives."""
    await demo(window, "ct-fan")
    bring(window, "Geometry")
    window.geometry_panel.number.setValue(4)
    return window


async def mask(window: MainWindow) -> QWidget:
    """A mask that is being painted for inpainting."""
    await demo(window, "inpaint")
    window.panes.act.mask.trigger()
    window.mask_editor.clear()
    window.mask_editor.remember()
    for row in range(70, 180, 6):
        window.mask_editor.stroke((row, 60 + row / 3), (row + 5, 62 + row / 3), 14, erase=False)
    window.mask_editor.remember()
    window.mask_editor.box((110, 150), (150, 200), erase=False)
    await asyncio.sleep(1.0)
    return window


async def error_report(window: MainWindow) -> QWidget:
    """A message with its report open."""
    await demo(window)
    try:
        _ = 1 / (len(str(window)) - len(str(window)))
    except ZeroDivisionError as error:
        trace = "".join(traceback.format_exception(error))
    window.messages.show_message("error", "Something unexpected went wrong (ZeroDivisionError).", trace)
    window.messages.details.click()
    return window


async def keys(window: MainWindow) -> QWidget:
    """The sheet of keys."""
    await demo(window)
    window.act.shortcuts.trigger()
    return window


async def palette(window: MainWindow) -> QWidget:
    """All actions, found by a part of a name."""
    await demo(window)
    window.act.palette.trigger()
    next(iter(window.findChildren(Palette))).line.setText("open")
    return window


async def pages(window: MainWindow) -> QWidget:
    """The sheet of all pages of the open file."""
    await demo(window)
    window.act.slices.trigger()
    slices = window.opening.slices
    await until(lambda: all(slices.picture(page) is not None for page in range(slices.count)))
    return window


async def slice_by_slice(window: MainWindow) -> QWidget:
    """A volume whose slices are reconstructed one by one in a process of its own."""
    await demo(window)
    volumes = window.run_tools.volumes
    window.act.volume.trigger()
    volumes.set_out(Path(os.environ[HOME_VARIABLE]) / "volume.tif")
    volumes.set_restart(True)
    volumes.start()
    await until(lambda: volumes.active)
    await until(lambda: not volumes.active)
    await asyncio.sleep(1.0)
    return window


async def export(window: MainWindow) -> QWidget:
    """What can be written of a result."""
    await demo(window)
    await run_to(window, 1.0)
    window.act.export.trigger()
    return window


def volume(file: Path) -> Callable[[MainWindow], Awaitable[QWidget]]:
    """A run on a volume in the middle of it: x̂₀ and the truth in three planes, with one crosshair."""

    async def prepare(window: MainWindow) -> QWidget:
        await demo(window)
        session = window.session
        await session.data.open(file, 0, ReadingSettings(pixel_binning=2))
        window.data.of_volume.click()
        await until(lambda: session.volume.window is not None and not session.volume.reading)
        if (across := volume_prior()) is not None:
            await session.prior.open_across(across)
        await run_to(window, 0.6)
        slices, rows, columns = session.volume.grid.shape
        session.volume.move(Place(slices // 2, round(0.56 * rows), round(0.45 * columns)))
        return window

    return prepare


def real_scan(file: Path) -> Callable[[MainWindow], Awaitable[QWidget]]:
    """A real scan of which 20 views are taken, reconstructed."""

    async def prepare(window: MainWindow) -> QWidget:
        await demo(window)
        session = window.session
        await session.data.open(file)
        await session.data.set_reading({"take_views": 20})
        await until(lambda: session.preparation.prepared)
        await run_to(window, 1.0)
        return window

    return prepare


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture: its file's name, and what brings the window there and returns what is to be seen."""

    name: str
    prepare: Callable[[MainWindow], Awaitable[QWidget]]


SCENES = (
    Scene("mid-run", mid_run),
    Scene("finished", finished),
    Scene("comparison", comparison),
    Scene("laboratory", laboratory),
    Scene("tile-inspector", tile_inspector),
    Scene("a-b", side_by_side),
    Scene("training", training),
    Scene("studies", studies),
    Scene("geometry", geometry),
    Scene("mask", mask),
    Scene("pages", pages),
    Scene("slice-by-slice", slice_by_slice),
    Scene("export", export),
    Scene("error-report", error_report),
    Scene("keys", keys),
    Scene("palette", palette),
)
_NAMES = ", ".join(scene.name for scene in SCENES)


def bring(window: MainWindow, title: str) -> None:
    """Put a panel in front."""
    window.docks.bring(next(dock for dock in window.docks.all if dock.windowTitle() == title))


async def take(scene: Scene, scheme: str, size: str, folder: Path) -> None:
    """One picture in a window of its own, which remembers nothing."""
    preferences = Preferences()
    preferences.set_option("scheme", scheme)
    session = Session()
    home = Path(os.environ[HOME_VARIABLE])
    window = MainWindow(
        session, preferences, Trainer(session, home / "trainings"), Studies(session, home / "studies")
    )
    window.resize(*(int(side) for side in size.split("x")))
    window.show()
    await asyncio.sleep(0.1)
    shown = await scene.prepare(window)
    await asyncio.sleep(0.5)
    save(shown, folder / f"{scene.name}-{scheme.lower()}-{size}.png")
    window.studies.stop()
    await until(lambda: not window.studies.active)
    if window.trainer.active:
        window.trainer.stop()
        await until(lambda: not window.trainer.active)
    for _ in range(2):  # also in the middle of a run: who closes twice means it
        window.close()
    await window.closed.wait()
    window.deleteLater()
    await asyncio.sleep(0.1)


def save(shown: QWidget, path: Path) -> None:
    """Write a widget as PNG, with the dialogs that are open over it."""
    picture = shown.grab()
    with QPainter(picture) as painter:
        for dialog in shown.findChildren(QDialog):
            if dialog.isVisible():
                middle = shown.rect().center() - dialog.rect().center()
                painter.drawPixmap(middle, dialog.grab())
                painter.setPen(dialog.palette().mid().color())
                painter.drawRect(dialog.rect().translated(middle))
    if not picture.save(str(path)):
        raise SystemExit(f"{path} cannot be written.")
    print(path)


async def take_all(options: argparse.Namespace) -> None:
    """Every picture that was asked for."""
    scenes = SCENES if options.scan is None else (*SCENES, Scene("real-scan", real_scan(options.scan)))
    if options.volume is not None:
        scenes = (*scenes, Scene("volume", volume(options.volume)))
    wanted = [scene for scene in scenes if options.scene is None or scene.name in options.scene]
    for scheme, size, scene in itertools.product(options.scheme, options.size, wanted):
        await take(scene, scheme, size, options.folder)


def main() -> None:
    """Parse the options and take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scene", nargs="+", metavar="NAME", help=f"of {_NAMES}, real-scan and volume; default: all"
    )
    parser.add_argument("--scheme", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument(
        "--scan", type=Path, default=None, help="a file with a real scan, for the scene real-scan"
    )
    parser.add_argument(
        "--volume", type=Path, default=None, help="a series or a stack of slices, for the scene volume"
    )
    parser.add_argument("--size", nargs="+", default=list(SIZES), help="width x height of the window")
    parser.add_argument("--scale", default=None, help="device pixels a pixel, such as 2 for a 4K screen")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.scale is not None:
        os.environ["QT_SCALE_FACTOR"] = options.scale
    with tempfile.TemporaryDirectory() as home:
        os.environ[HOME_VARIABLE] = home
        app = make_application([])
        loop = make_loop(app)
        with loop:
            loop.run_until_complete(take_all(options))


if __name__ == "__main__":
    main()
