"""`padis-gui desktop`: everything is written below the folder of data, is what desktops and shells want, and goes again."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from padis_gui import __version__
from padis_gui.cli.desktop import _quoted, data_home
from padis_gui.cli.main import VERBS, main
from padis_gui.core.files.formats.recognise import SUFFIXES

PLACES = {
    "applications/padis-gui.desktop",
    "icons/hicolor/scalable/apps/padis-gui.svg",
    "metainfo/padis-gui.metainfo.xml",
    "mime/packages/padis-gui.xml",
    "man/man1/padis-gui.1",
    "bash-completion/completions/padis-gui",
    "zsh/site-functions/_padis-gui",
}


def found(home: Path) -> set[str]:
    """The files of ours below a folder; what the system makes of our kinds of files is its own."""
    files = (path for path in home.rglob("*") if "padis-gui" in path.name and path.is_file())
    return {path.relative_to(home).as_posix() for path in files if path.parent.name != "application"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("a user's data")
    assert main(["desktop", "--install", "--data-home", str(home)]) == 0
    return home


def entry(home: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(home / "applications" / "padis-gui.desktop", encoding="utf-8")
    return parser["Desktop Entry"]


def test_all_of_it_is_written_and_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Below XDG_DATA_HOME, and nothing else of the user's is touched."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    other = tmp_path / "applications" / "other.desktop"
    other.parent.mkdir()
    other.write_text("[Desktop Entry]\n", encoding="utf-8")
    assert main(["desktop", "--install"]) == 0
    assert found(tmp_path) == PLACES
    assert len(capsys.readouterr().out.splitlines()) == len(PLACES)
    assert main(["desktop", "--install"]) == 0  # once more, over itself
    assert main(["desktop", "--remove"]) == 0
    assert not found(tmp_path)
    assert other.is_file()
    capsys.readouterr()
    assert main(["desktop", "--remove"]) == 0
    assert "Nothing of padis_gui" in capsys.readouterr().out


def test_an_installed_copy_without_benchmarks_says_so_and_installs_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("padis_gui.cli.bench._FOLDER", tmp_path / "benchmarks")
    assert main(["bench", "operator"]) == 2
    assert "The benchmarks were wanted, but they come with a checkout" in capsys.readouterr().err
    assert main(["desktop", "--install", "--data-home", str(tmp_path)]) == 0
    assert found(tmp_path) == PLACES
    manual = (tmp_path / "man/man1/padis-gui.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert "padis-gui reconstruct" in manual


def test_a_relative_folder_of_data_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert data_home() == Path.home() / ".local" / "share"


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path, capsys) -> None:
    (tmp_path / "applications").write_text("", encoding="utf-8")
    assert main(["desktop", "--install", "--data-home", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "The entry of padis_gui cannot be written" in said
    assert len(said.splitlines()) == 1


def test_a_system_of_another_kind_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["desktop", "--install"]) == 2
    assert "A desktop as of freedesktop.org" in capsys.readouterr().err


def test_the_entry_starts_this_program(installed: Path) -> None:
    command = entry(installed)["Exec"]
    assert command == f'"{sys.executable}" -m padis_gui %f'
    done = subprocess.run(
        [sys.executable, "-m", "padis_gui", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"padis-gui {__version__}"


def test_a_packager_says_what_starts_it(tmp_path: Path) -> None:
    assert main(["desktop", "--install", "--data-home", str(tmp_path), "--command", "padis-gui"]) == 0
    assert entry(tmp_path)["Exec"] == "padis-gui %f"


def test_a_path_with_signs_is_one_word() -> None:
    assert _quoted("/a b/100%/py") == '"/a b/100%%/py"'
    assert _quoted('/a"b/$x') == '"/a\\\\"b/\\\\$x"'


def test_every_kind_of_file_that_is_declared_is_one_that_opens(installed: Path) -> None:
    """Kinds of our own are declared with the endings that the program reads."""
    names = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
    kinds = (
        ElementTree.parse(installed / "mime" / "packages" / "padis-gui.xml")
        .getroot()
        .findall("m:mime-type", names)
    )
    ours = {kind.get("type") for kind in kinds}
    listed = {kind for kind in entry(installed)["MimeType"].split(";") if "padis-gui" in kind}
    assert listed == ours - {"application/vnd.padis-gui.queue+json"}  # a queue is opened in its panel
    endings = {
        glob.get("pattern", "").lstrip("*") for kind in kinds for glob in kind.findall("m:glob", names)
    }
    assert endings <= {*SUFFIXES, ".safetensors"}


@pytest.mark.skipif(shutil.which("update-mime-database") is None, reason="the system has no kinds of files")
def test_our_json_is_told_by_its_content(installed: Path) -> None:
    magic = (installed / "mime" / "magic").read_bytes()
    before = Path(__file__).parents[1] / "before"
    for name, kind in (("run-integers.json", "export"), ("queue.json", "queue")):
        assert (f'"format": "padis-gui {kind}"').encode() in magic
        assert f'"format": "padis-gui {kind}"' in (before / name).read_text(encoding="utf-8")[:64]


@pytest.mark.skipif(shutil.which("appstreamcli") is None, reason="the system has no validator")
def test_the_metainfo_is_valid(installed: Path) -> None:
    path = installed / "metainfo" / "padis-gui.metainfo.xml"
    done = subprocess.run(
        ["appstreamcli", "validate", "--no-net", str(path)], capture_output=True, text=True, check=False
    )
    assert "E: " not in done.stdout, done.stdout
    root = ElementTree.parse(path).getroot()
    newest = root.find("releases/release")
    assert newest is not None
    assert newest.get("version") == __version__


def test_the_icon_is_a_picture(installed: Path, qapp) -> None:
    from PySide6.QtSvg import QSvgRenderer

    drawing = QSvgRenderer(str(installed / "icons/hicolor/scalable/apps/padis-gui.svg"))
    assert drawing.isValid()
    assert drawing.defaultSize().width() == drawing.defaultSize().height() > 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="the system has no bash")
def test_bash_completes_verbs_and_options(installed: Path) -> None:
    def complete(*words: str) -> set[str]:
        call = f'COMP_WORDS=("$@"); COMP_CWORD={len(words)}; _shtab_padis_gui; echo "${{COMPREPLY[@]}}"'
        script = f'source "$1"; shift; {call}'
        source = str(installed / "bash-completion/completions/padis-gui")
        done = subprocess.run(
            ["bash", "-c", script, "bash", source, "padis-gui", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return set(done.stdout.split())

    assert complete("") >= set(VERBS)
    assert complete("rec") == {"reconstruct"}
    assert "--adapt" in complete("reconstruct", "--ad")


def test_the_manual_has_every_verb(installed: Path) -> None:
    text = (installed / "man/man1/padis-gui.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert all(f"padis-gui {verb}" in text for verb in VERBS)
    if shutil.which("man"):
        path = str(installed / "man/man1/padis-gui.1")
        done = subprocess.run(["man", "--warnings", "-l", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert "padis-gui reconstruct" in done.stdout
