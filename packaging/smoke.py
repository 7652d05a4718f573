"""Try a program as it is installed: `python packaging/smoke.py PROGRAM`, such as a frozen one or `padis-gui` on PATH.

It reconstructs and exports in every format, repeats that to the bit, trains 20 steps as the window would, and opens the
window on a virtual screen, where a person's keys run the demo, export it and quit. Everything is written below --keep, or
a temporary folder; the user's own files are left alone. The window needs Xvfb, xdotool and a window manager (openbox), and
--picture ImageMagick's import; without Xvfb it is left out, and said. The exit code is 1 where something failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IMAGES = Path(__file__).resolve().parents[1] / "resources" / "images"
_VERBS = (
    "reconstruct", "generate", "repeat", "queue", "volume", "train", "runs", "convert", "inspect", "geometry", "experiment",
    "study", "desktop",
)  # fmt: skip
_PATIENCE = 300.0  # seconds


class Smoke:
    """The program, and the folder that it works in."""

    def __init__(self, program: str, folder: Path, picture: Path | None) -> None:
        self.program, self.folder, self.picture = program, folder, picture
        home = folder / "home"
        home.mkdir()
        kept = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "QT_QPA_PLATFORM")
        }
        self.environment = kept | {
            "HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"), "PADIS_GUI_HOME": str(home / "own"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def run(self, *arguments: str) -> str:
        """The program with these arguments, which must end well; what it said.

        Its standard input stays open, as the window leaves it: the end of it would be a wish to stop.
        """
        with subprocess.Popen(
            [self.program, *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            limit = threading.Timer(_PATIENCE, process.kill)
            limit.start()
            assert process.stdout is not None
            said = process.stdout.read()
            limit.cancel()
        if process.returncode:
            raise AssertionError(f"{arguments[0]} ended with {process.returncode}: {said[-2000:]}")
        return said

    def command_line(self) -> None:
        """Every verb says what it can do."""
        assert "padis-gui" in self.run("--version")
        for verb in _VERBS:
            assert "usage" in self.run(verb, "--help"), verb

    def reconstruct(self) -> None:
        """A result with all that is exported of it, and the same once more."""
        wanted = {
            "--out": "a.tif", "--ome-zarr": "a.ome.zarr", "--nifti": "a.nii.gz", "--dicom": "a.dcm",
            "--data-exchange": "a.h5", "--html": "a.html", "--iterates": "iterates.tif", "--animation": "a.gif",
            "--curves": "a.csv", "--report": "a.json",
        }  # fmt: skip
        slices = str(_IMAGES / "ct_slices.tif")
        self.run("reconstruct", slices, "--preset", "ct-20", "--steps", "4", "--seed", "1",
                 *(word for pair in wanted.items() for word in pair))  # fmt: skip
        for name in wanted.values():
            assert (self.folder / name).exists(), name
        assert json.loads((self.folder / "a.json").read_text(encoding="utf-8"))["psnr"] > 15
        assert "bit for bit" in self.run("repeat", "a.tif")
        # what was written is read again, each by its own library
        for name in ("a.h5", "a.ome.zarr", "a.nii.gz", "a.dcm"):
            self.run(
                "reconstruct", name, "--solver", "fast", "--steps", "2", "--seed", "1", "--out", f"{name}.tif"
            )
        self.run("volume", slices, "--pages", "0-1", "--preset", "ct-20", "--steps", "2", "--seed", "1", "--workers", "1",
                 "--out", "volume.tif", "--nifti", "volume.nii")  # fmt: skip

    def train(self) -> None:
        """20 steps, with events, as the window starts it; the prior that comes of it is one."""
        small = {
            "--patch-sizes": "32",
            "--patch-probabilities": "1",
            "--width": "32",
            "--warmup": "2",
            "--device": "cpu",
        }
        said = self.run(
            "train",
            str(_IMAGES / "ct_slices.tif"),
            "--out",
            "training",
            "--steps",
            "20",
            "--events",
            *(word for pair in small.items() for word in pair),
        )
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        assert events, said[-500:]
        assert "20 training steps" in self.run("inspect", str(self.folder / "training" / "prior.safetensors"))

    def window(self) -> None:
        """A person's keys: the demo, a run, its export, and the end."""
        with _screen(self.environment) as screen:
            process = subprocess.Popen(
                [self.program, str(_IMAGES / "ct_slices.tif")],
                cwd=self.folder,
                env=screen,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                self._use(process, screen)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def _use(self, process: "subprocess.Popen[str]", screen: dict[str, str]) -> None:
        def windows(name: str) -> list[str]:
            found = subprocess.run(
                ["xdotool", "search", "--onlyvisible", "--name", name],
                env=screen,
                capture_output=True,
                text=True,
            )
            return found.stdout.split()

        def there(name: str) -> Callable[[], bool]:
            def look() -> bool:
                if process.poll() is not None:
                    raise AssertionError(
                        f"the window ended with {process.returncode}: {process.stderr.read()[-2000:]}"
                    )
                return bool(windows(name))

            return look

        def press(*keys: str) -> None:
            subprocess.run(["xdotool", "key", "--clearmodifiers", *keys], env=screen, check=True)

        def write(text: str) -> None:
            subprocess.run(["xdotool", "type", "--delay", "10", text], env=screen, check=True)

        _until(there("padis_gui"), "the window opens")
        _until(there("ct_slices"), "the image is open")
        press("ctrl+d")
        time.sleep(5)  # the demo is opened, and its problem prepared
        press("ctrl+r")
        result = self.folder / "window.tif"

        def exporting() -> bool:
            if there("^Export")():
                return True
            press("ctrl+s")  # it can be exported once there is a result
            time.sleep(2)
            return there("^Export")()

        time.sleep(5)
        _until(exporting, "there is a result to export")
        if self.picture is not None:
            press("Escape")
            time.sleep(1)
            subprocess.run(["import", "-window", "root", str(self.picture)], env=screen, check=True)
            _until(exporting, "it is exported")
        press("Return")
        time.sleep(2)
        press("ctrl+a")
        write(str(result))
        press("Return")
        _until(result.exists, "the result is written")
        press("ctrl+q")
        assert process.wait(_PATIENCE) == 0, "the window did not end well"
        assert "fast" in self.run("inspect", str(result))


@contextmanager
def _screen(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A virtual screen with a window manager."""
    number = next(n for n in range(80, 200) if not Path(f"/tmp/.X11-unix/X{n}").exists())
    found = environment | {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(["Xvfb", f":{number}", "-screen", "0", "1280x720x24"], **quiet)
    manager = None
    try:
        _until(lambda: Path(f"/tmp/.X11-unix/X{number}").exists(), "there is a screen")
        if shutil.which("openbox"):
            manager = subprocess.Popen(["openbox"], env=found, **quiet)
        yield found
    finally:
        for process in filter(None, (manager, server)):
            process.terminate()
            process.wait()


def _until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited {_PATIENCE:.0f} s until {what}")
        time.sleep(0.5)


def main() -> int:
    """Try one thing after the other, and say how each went."""
    parser = argparse.ArgumentParser(description="Try a program as it is installed.")
    parser.add_argument("program", help="a path, or a name on PATH")
    parser.add_argument(
        "--keep", type=Path, default=None, metavar="FOLDER", help="a new folder for what it writes"
    )
    parser.add_argument(
        "--picture", type=Path, default=None, metavar="PNG", help="take a picture of the window"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="STEP", help="command_line, reconstruct, train, window"
    )
    options = parser.parse_args()
    program = shutil.which(options.program)
    if program is None:
        sys.exit(f"A program was wanted, but there is no {options.program}; give its path.")
    picture = None if options.picture is None else options.picture.absolute()
    if options.keep is not None:
        options.keep.mkdir(parents=True)
        return _try(Smoke(os.path.abspath(program), options.keep.absolute(), picture), options.only)
    with tempfile.TemporaryDirectory(prefix="padis-gui-smoke-") as folder:
        return _try(Smoke(os.path.abspath(program), Path(folder), picture), options.only)


def _try(smoke: Smoke, only: list[str]) -> int:
    failed = False
    for name in only or ("command_line", "reconstruct", "train", "window"):
        if name == "window" and not all(map(shutil.which, ("Xvfb", "xdotool"))):
            print("window: left out, Xvfb or xdotool is not here")
            continue
        began = time.monotonic()
        try:
            getattr(smoke, name)()
        except (AssertionError, OSError, subprocess.SubprocessError, ValueError) as error:
            failed = True
            print(f"{name}: FAILED: {error}")
        else:
            print(f"{name}: {time.monotonic() - began:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
