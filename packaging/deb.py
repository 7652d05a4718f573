"""A package of the frozen program for Debian and Ubuntu: `python packaging/deb.py dist/padis-gui` writes it beside that.

The folder of `packaging/freeze.py` goes to /usr/lib/padis-gui, with a link in /usr/bin; the entry in the menu of programs,
the icon, the kinds of files, the page of the manual and completion are those of `padis-gui desktop --install`. It needs
dpkg-deb. What the program leaves to the system (C and C++ libraries, X11's base, OpenGL) are its dependencies.
"""

import argparse
import gzip
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HOME = "https://arxiv.org/abs/2406.02462"
_MAINTAINER = "The padis_gui founders <padis-gui@localhost>"
# What frozen/padis-gui.spec leaves out as the system's own; any of Qt's other libraries is in the program
_DEPENDS = (
    "libstdc++6", "libgcc-s1", "libx11-6", "libx11-xcb1", "libxcb1", "libegl1", "libgl1", "libdrm2", "fontconfig-config",
    "fonts-dejavu-core | fonts-freefont-ttf | fonts-liberation",
)  # fmt: skip


def main() -> int:
    """Pack; prints the name and the size of the package."""
    parser = argparse.ArgumentParser(description="Make a Debian package of the frozen program.")
    parser.add_argument("folder", type=Path, help="what packaging/freeze.py made")
    parser.add_argument(
        "--out", type=Path, default=None, metavar="FOLDER", help="where the package goes (default: beside it)"
    )
    options = parser.parse_args()
    folder = options.folder.resolve()
    program = folder / "padis-gui"
    if not program.is_file() or shutil.which("dpkg-deb") is None:
        sys.exit(
            "A folder that packaging/freeze.py made, and the program dpkg-deb, were wanted; one of them is not here."
        )
    version = _said([str(program), "--version"]).split()[-1]
    architecture = _said(["dpkg", "--print-architecture"])
    target = (options.out or folder.parent).resolve() / f"padis-gui_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="padis-gui-deb-", dir=folder.parent) as work:
        tree = Path(work) / "tree"
        _fill(tree, folder)
        _describe(tree, version, architecture)
        command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z9", "--build", str(tree), str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    installed = sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )
    print(f"{target}: {target.stat().st_size / 2**20:.0f} MiB, {installed / 2**20:.0f} MiB installed")
    return 0


def _said(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _fill(tree: Path, folder: Path) -> None:
    """The files, as they lie on the system."""
    home = tree / "usr" / "lib" / "padis-gui"
    home.parent.mkdir(parents=True)
    try:  # no second copy of a gigabyte
        shutil.copytree(folder, home, symlinks=True, copy_function=_linked)
    except OSError:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(folder, home, symlinks=True)
    (tree / "usr" / "bin").mkdir()
    (tree / "usr" / "bin" / "padis-gui").symlink_to("../lib/padis-gui/padis-gui")
    share = tree / "usr" / "share"
    install = ["desktop", "--install", "--data-home", str(share), "--command", "padis-gui"]
    _said([str(folder / "padis-gui"), *install])
    manual = share / "man" / "man1" / "padis-gui.1"
    _pack(manual, manual.with_suffix(".1.gz"))
    manual.unlink()
    # where zsh of Debian looks for it
    zsh = share / "zsh" / "site-functions"
    zsh.rename(zsh.with_name("vendor-completions"))
    said = share / "doc" / "padis-gui"
    said.mkdir(parents=True)
    _pack(ROOT / "CHANGELOG.md", said / "changelog.gz")
    notice = (ROOT / "resources" / "NOTICE").read_text(encoding="utf-8")
    licence = (
        "padis_gui is free software under the GNU General Public License, version 3 or later; on Debian systems its text\n"
        "is in /usr/share/common-licenses/GPL-3. It carries Python and libraries under licences of their own, which lie\n"
        "with them in /usr/lib/padis-gui/_internal.\n\n"
    )
    (said / "copyright").write_text(licence + notice, encoding="utf-8")
    for path in tree.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


def _linked(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _pack(source: Path, target: Path) -> None:
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(source.read_bytes())


def _describe(tree: Path, version: str, architecture: str) -> None:
    """The package's own words. The program needs a C library no older than that of the machine that froze it."""
    size = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir()) // 1024
    libc = platform.libc_ver()[1] or "2.36"
    fields = {
        "Package": "padis-gui", "Version": version, "Architecture": architecture, "Maintainer": _MAINTAINER,
        "Installed-Size": str(size), "Depends": ", ".join((f"libc6 (>= {libc})", *_DEPENDS)),
        "Recommends": "ffmpeg", "Section": "science", "Priority": "optional", "Homepage": _HOME,
        "Description": "reconstruct measurements with patch-diffusion priors\n"
        " The desktop workbench for patch-diffusion reconstruction (PaDIS): CT from few views,\n"
        " live, with a prior learned from patches; deblurring, inpainting, super-resolution.\n"
        " The program carries its own Python and libraries.",
    }  # fmt: skip
    control = tree / "DEBIAN" / "control"
    control.parent.mkdir()
    control.parent.chmod(0o755)
    control.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
