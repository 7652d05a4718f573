"""Tables, animations and pages of a run: complete, self-contained, and safe whatever names a user has."""

import csv
import io
import math
import re
import stat
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from padis_gui.core.exports import animation
from padis_gui.core.exports.animation import write_animation
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.report import (
    Report,
    ReportPicture,
    as_bytes,
    as_html,
    chart,
    curves_as_csv,
    pictures_of,
    signed_as_bytes,
)
from padis_gui.core.runs.recipe import Change, DataReference, PriorReference
from padis_gui.core.settings.errors import InputError
from tests.core.exports.test_write import recipe

NAN = math.nan
CURVES = {
    "step": [1, 2, 3], "sigma": [1.0, 0.5, 0.0], "psnr": [20.0, 25.5, 31.25], "residual": [0.5, 0.05, NAN],
    "seconds": [0.1, 0.1, 0.1], "ssim": [NAN, NAN, NAN],
}  # fmt: skip
HOSTILE = '"><script src="https://evil.example/x.js">alert(1)</script>&<img src=x onerror=1>\'µ'


def frames(count: int, coloured: bool = False) -> list[np.ndarray]:
    shape = (40, 31, 3) if coloured else (40, 31)
    return [np.random.default_rng(n).random(shape, dtype=np.float32) for n in range(count)]


def test_curves_are_read_back_as_they_are() -> None:
    rows = list(csv.DictReader(io.StringIO(curves_as_csv(CURVES))))
    assert list(rows[0]) == ["step", "sigma", "psnr [dB]", "residual", "seconds [s]"]
    assert [float(row["psnr [dB]"]) for row in rows] == CURVES["psnr"]
    assert [row["residual"] for row in rows] == ["0.5", "0.05", ""]
    assert [row["step"] for row in rows] == ["1", "2", "3"]


@pytest.mark.parametrize("coloured", [False, True])
def test_every_iterate_is_a_frame_and_the_last_one_stays(tmp_path: Path, coloured: bool) -> None:
    made, path = frames(7, coloured), tmp_path / "run.gif"
    labels = [f"step {n} of 7" for n in range(7)]
    write_animation(path, made, labels, (0, 1), ExportSettings(frame_ms=90))
    with Pillow.open(path) as gif:
        assert gif.n_frames == 7
        durations = []
        for at in range(7):
            gif.seek(at)
            durations.append(gif.info["duration"])
            if not coloured:  # a picture of 256 greys is in the GIF as it is, every pixel a square
                times = gif.size[0] // 31
                seen = np.asarray(gif.convert("L"))[: 40 * times : times, ::times]
                assert np.array_equal(seen, as_bytes(made[at], 0, 1))
    assert durations == [90] * 6 + [1500]


def test_frames_that_are_the_same_are_all_there(tmp_path: Path) -> None:
    made = [frames(1)[0]] * 4
    write_animation(tmp_path / "a.gif", made, [f"step {n}" for n in range(4)], (0, 1), ExportSettings())
    with Pillow.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 4


def test_a_full_disk_leaves_no_half_animation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("padis_gui.core.settings.files.os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_animation(tmp_path / "a.gif", frames(3), list("abc"), (0, 1), ExportSettings())
    assert not list(tmp_path.iterdir())


def test_without_an_encoder_mp4_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "encoder", lambda: None)
    with pytest.raises(InputError, match=r"ffmpeg is not installed.*choose GIF"):
        write_animation(tmp_path / "a.mp4", frames(2), list("ab"), (0, 1), ExportSettings(animation="MP4"))
    assert not list(tmp_path.iterdir())


_ENCODER = """#!{python}
import sys
size = [a for a in sys.argv if "x" in a and a[0].isdigit()][0]
columns, rows = map(int, size.split("x"))
data = sys.stdin.buffer.read()
if "{code}" != "0":
    sys.exit("no such codec")
sys.stdout.buffer.write(b"%d frames" % (len(data) // (columns * rows)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
@pytest.mark.parametrize("code", [0, 1])
def test_an_encoder_gets_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(_ENCODER.format(python=sys.executable, code=code), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(animation, "encoder", lambda: str(program))
    path, settings = tmp_path / "a.mp4", ExportSettings(animation="MP4")
    if code:
        with pytest.raises(InputError, match=r"no such codec.*choose GIF"):
            write_animation(path, frames(5), list("abcde"), (0, 1), settings)
        assert list(tmp_path.iterdir()) == [program]
    else:
        write_animation(path, frames(5), list("abcde"), (0, 1), settings)
        assert path.read_bytes() == b"5 frames"


@pytest.mark.skipif(animation.encoder() is None, reason="there is no ffmpeg here")
@pytest.mark.parametrize("coloured", [False, True])
def test_ffmpeg_makes_an_mp4(tmp_path: Path, coloured: bool) -> None:
    made = frames(5, coloured)
    write_animation(tmp_path / "a.mp4", made, list("abcde"), (0, 1), ExportSettings(animation="MP4"))
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


def test_bytes_are_clipped_at_the_ends_of_the_window_only() -> None:
    values = np.array([[-5, 0, 0.5, 1, 7, NAN, np.inf]], np.float32)
    assert as_bytes(values, 0, 1).tolist() == [[0, 0, 128, 255, 255, 0, 255]]
    colours = signed_as_bytes(np.array([[-1, 0, 1, -9]], np.float32), 1.0)[0].tolist()
    assert colours == [[33, 102, 172], [255, 255, 255], [178, 24, 43], [33, 102, 172]]


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize(
    "values", [[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [NAN, 2.0, NAN], [0.0, -1.0, 1e-9], [1e30, 1e-30, 1.0]]
)
def test_a_chart_stays_in_its_frame(values: list[float], logarithmic: bool) -> None:
    drawn = chart("T", "", [1, 2, 3], values, logarithmic=logarithmic, reference=("baseline", 1.5))
    assert drawn is not None
    wanted = [v for v in values if math.isfinite(v) and (v > 0 or not logarithmic)]
    assert len(drawn.points) == len(wanted)
    for x, y in drawn.points:
        assert 58 <= x <= 340
        assert 26 <= y <= 190
    assert "nan" not in str(drawn)


def test_a_chart_of_nothing_is_nothing() -> None:
    assert chart("T", "", [1, 2], [NAN, NAN]) is None


class _Page(HTMLParser):
    """Collects elements, attributes and texts; every element must be closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_report() -> Report:
    made = recipe(
        data=DataReference(file=f"/{HOSTILE}.tif", sha256=HOSTILE, unit=HOSTILE),
        prior=PriorReference(file=HOSTILE, sha256=HOSTILE), versions={HOSTILE: HOSTILE}, device=HOSTILE,
        files={HOSTILE: HOSTILE}, changes=(Change(step=1, settings={HOSTILE: HOSTILE}),),
    )  # fmt: skip
    pixels = frames(2)
    return Report(
        title=HOSTILE, recipe=made, metrics={"psnr": 31.25, "psnr_baseline": 20.5, HOSTILE: 1.0}, seconds=2.0,
        device=HOSTILE, sha256=HOSTILE, notes=(HOSTILE,), curves=CURVES,
        pictures=[
            ReportPicture(label=HOSTILE, pixels=pixels[0], low=0, high=1, unit=HOSTILE),
            *pictures_of(pixels[0], (0, 1), HOSTILE, truth=pixels[1], baseline=pixels[1], deviation=pixels[1]),
        ],
    )  # fmt: skip


def test_a_page_has_no_element_of_the_users_and_asks_for_nothing() -> None:
    html = as_html(hostile_report())
    page = _Page()
    page.feed(html)
    page.close()
    assert not page.open
    known = {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td", "div",
        "figure", "img", "figcaption", "svg", "text", "line", "polyline", "circle", "details", "summary", "pre", "code",
    }  # fmt: skip
    assert {tag for tag, _ in page.elements} <= known
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert "href" not in attributes
        if "src" in attributes:
            assert tag == "img"
            assert attributes["src"].startswith("data:image/png;base64,")
    assert HOSTILE in page.text  # it is told, not lost
    outside = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", html)
    escaped = outside.replace("https://evil.example", "")  # as text, between &quot; and &gt;
    assert "://" not in escaped
    assert "url(" not in html
    assert "@import" not in html


def test_a_page_tells_everything() -> None:
    page = _Page()
    page.feed(as_html(hostile_report()))
    for words in (
        "31.25",
        "20.50",
        "Estimate − truth",
        "Standard deviation",
        str(2**63 - 1),
        "dB",
        "views",
        "eta",
    ):
        assert words in page.text
    assert page.text.count("Residual") >= 1
    assert sum(tag == "svg" for tag, _ in page.elements) == 4


def test_pictures_without_a_number_in_them_are_no_fault() -> None:
    nothing = np.full((20, 20), NAN, np.float32)
    report = Report(
        title="t", recipe=recipe(), metrics={"psnr": math.inf},
        pictures=pictures_of(nothing, (0, 1), "", truth=nothing, deviation=nothing),
    )  # fmt: skip
    assert "nan" not in as_html(report).lower().split("<style>")[0]
