"""Take the README's screenshots: the demo in mid-run and at its end, in the real window.

Run it in the environment of the program, on a screen or on a virtual one:

    xvfb-run -s "-screen 0 1440x900x24" .venv/bin/python packaging/screenshots.py
"""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from padis_gui.gui.app import make_application, make_loop
from padis_gui.gui.main_window import MainWindow
from padis_gui.gui.theme import set_scheme
from padis_gui.viewmodels.session import Session

FOLDER = Path(__file__).resolve().parents[1] / "resources" / "screenshots"
CURSOR = (118, 96)


async def until(condition: Callable[[], bool]) -> None:
    """Let the window live until the condition holds."""
    while not condition():
        await asyncio.sleep(0.01)


async def tour(window: MainWindow, options: argparse.Namespace) -> None:
    """Open the demo, run it, and take a picture at 70 % of the steps and one at the end."""
    session = window.session
    window.show()
    await session.open_demo()
    await until(lambda: session.prepared is not None)
    session.set_seed(options.seed)
    steps = session.solver_settings.steps
    session.start()
    await until(lambda: session.run.snapshot().step >= round(0.7 * steps))
    window.panes.point_at(*CURSOR)
    await asyncio.sleep(0.1)
    save(window, options.folder / f"mid-run{options.suffix}.png")
    await until(lambda: not session.run.active)
    await asyncio.sleep(0.2)
    save(window, options.folder / f"finished{options.suffix}.png")
    window.close()
    await window.closed.wait()


def save(window: MainWindow, path: Path) -> None:
    """Write the window as a PNG."""
    if not window.grab().save(str(path)):
        raise SystemExit(f"{path} cannot be written.")
    print(path)


def main() -> None:
    """Parse the options and take the tour."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scheme", choices=("Light", "Dark"), default="Dark")
    parser.add_argument("--size", default="1440x900", help="width x height of the window")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--suffix", default="", help="added to the file names")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    app = make_application([])
    set_scheme(options.scheme)
    loop = make_loop(app)
    window = MainWindow(Session())
    window.resize(*(int(side) for side in options.size.split("x")))
    with loop:
        loop.run_until_complete(tour(window, options))


if __name__ == "__main__":
    main()
