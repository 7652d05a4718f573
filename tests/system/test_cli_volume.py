"""`padis-gui volume`: a stack from the shell, its interruptions, and its workers."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_export
from padis_gui.core.files.read import read_image
from padis_gui.core.volumes.parts import Parts
from tests.volumes import across_file, write_stack
from tests.waiting import wait_for


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "stack.tif", 4)


@pytest.fixture
def arguments(stack: Path, prior_path: Path, tmp_path: Path) -> list[str]:
    return ["volume", str(stack), "--prior", str(prior_path), "--device", "cpu", "--precision", "float32", "--threads", "1",
            "--preset", "ct-20", "--bins", "48", "--noise", "0.02", "--solver", "dds", "--steps", "2",
            "--set", "cg-steps=2", "--seed", "5", "--out", str(tmp_path / "volume.tif")]  # fmt: skip


@contextlib.contextmanager
def start(arguments: list[str], **more) -> Iterator[subprocess.Popen]:
    """The program in a process, which a test that fails does not wait for."""
    command = [sys.executable, "-m", "padis_gui", *arguments]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True, **more) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _living(group: int) -> list[int]:
    """Processes of a group that have not ended; an ended one may wait for the system to take note."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of_group = entry.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found.append(int(entry.parent.name))
    return found


def test_a_volume_of_a_part_of_every_slice(arguments: list[str], tmp_path: Path) -> None:
    assert main([*arguments, "--pages", "1-2", "--crop", "4,8,28,24"]) == 0
    assert tifffile.imread(tmp_path / "volume.tif").shape == (2, 24, 28)


def test_a_volume_and_its_report(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    assert main([*arguments, "--pages", "0-1", "3", "--report", str(report)]) == 0
    said = capsys.readouterr().out
    assert "3 slices, mean PSNR" in said
    found = json.loads(report.read_text(encoding="utf-8"))
    assert [s["page"] for s in found["slices"]] == [0, 1, 3]
    assert found["metrics"]["psnr"] == pytest.approx(np.mean([s["psnr"] for s in found["slices"]]))
    assert (found["seed"], found["recipe"]["threads"]) == (5, 1)
    assert tifffile.imread(tmp_path / "volume.tif").shape == (3, 32, 32)
    assert main([*arguments, "--pages", "0-1", "3"]) == 0
    assert "written by an earlier run" in capsys.readouterr().out


def test_workers_make_the_same_bits(arguments: list[str], tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    assert main([*arguments, "--z-smoothing", "0.5"]) == 0
    other = str(tmp_path / "shared.tif")
    assert main([*arguments, "--z-smoothing", "0.5", "--workers", "2", "--out", other]) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "volume.tif"), tifffile.imread(other))


def test_a_kill_in_the_middle_costs_the_slice_in_hand(arguments: list[str], tmp_path: Path) -> None:
    """kill -9 leaves finished slices; the same command goes on, also without saying the seed."""
    assert main([*arguments, "--out", str(tmp_path / "whole.tif")]) == 0
    long = [*arguments, "--events"]
    with start(long) as process:
        for line in process.stdout:
            if json.loads(line)["event"] == "slice":
                process.kill()
                break
    kept = len(list((tmp_path / "volume.tif.parts").glob("slice-*")))
    assert kept >= 1
    seed = arguments.index("--seed")
    with start([*arguments[:seed], *arguments[seed + 2 :], "--events"]) as process:
        events = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    assert events[0]["event"] == "volume"
    assert events[0]["done"] == kept
    assert events[-1]["event"] == "done"
    assert np.array_equal(tifffile.imread(tmp_path / "whole.tif"), tifffile.imread(tmp_path / "volume.tif"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    arguments: list[str], workers: str, tmp_path: Path
) -> None:
    """Ctrl-C reaches every process of the terminal, so it does here; no process is left."""
    if workers != "1":
        pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    slow = [*arguments, "--steps", "400", "--events", "--workers", workers]
    with start(slow, start_new_session=True) as process:
        for line in process.stdout:
            if json.loads(line)["event"] == "slice":
                os.killpg(process.pid, signal.SIGINT)
                break
        _, complaint = process.communicate(timeout=300)
    assert process.returncode == 130
    (sentence,) = complaint.strip().splitlines()
    assert "of 4 slices are finished" in sentence
    wait_for(lambda: not _living(process.pid))  # some wait for their parent's end, and take time to notice it
    request = Parts(tmp_path / "volume.tif.parts").request()
    assert request.template.settings["steps"] == 400


def test_words_pause_resume_and_stop_and_the_folder_goes_on(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start([*arguments, "--steps", "200", "--events"]) as process:
        seen = []
        for line in process.stdout:
            event = json.loads(line)
            seen.append(event["event"])
            if event["event"] == "volume":
                process.stdin.write("pause\n")
                process.stdin.flush()
            elif event["event"] == "paused":
                process.stdin.write("resume\n")
                process.stdin.flush()
            elif event["event"] == "slice" and "stop" not in seen:
                seen.append("stop")
                process.stdin.write("stop\n")
                process.stdin.flush()
    assert process.returncode == 0
    assert seen.index("paused") < seen.index("resumed") < seen.index("slice")
    assert seen[-1] in ("stopped", "done")  # a word may come too late
    if seen[-1] == "stopped":
        # one thread: several would spin while a busy machine keeps one of them waiting
        assert main(["volume", "--resume", str(tmp_path / "volume.tif.parts"), "--threads", "1"]) == 0
    assert read_export(tmp_path / "volume.tif").about.kind == "volume"
    capsys.readouterr()


BAD: list[tuple[list[str], str]] = [
    (["--pages", "7"], "Pages 0 to 3"), (["--pages", "b"], "0-99"), (["--slice-spacing", "0"], "Slice spacing"),
    (["--pages", "0", "2", "--z-smoothing", "1"], "next to"), (["--z-smoothing", "-1"], "Smoothing along z"),
    (["--workers", "0"], "dask scheduler"), (["--workers", "dask://127.0.0.1"], "dask scheduler"),
    (["--threads", "0"], "--threads"), (["--out", "r.png"], ".tif"), (["--physics", "nothing"], "belongs to"),
    (["--preset", "mri"], "ct-20"), (["--resume", "x"], "not allowed with"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_one_sentence(
    arguments: list[str], changes: list[str], said: str, refusal: Callable[[list[str]], str]
) -> None:
    assert said in refusal([*arguments, *changes])


def test_other_settings_do_not_mix(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = tmp_path / "volume.tif.parts"
    parts.mkdir()
    (parts / "volume.json").write_text("{}")
    assert main(arguments) == 2
    assert "--restart" in capfd.readouterr().err
    assert main(["volume", "--resume", str(parts)]) == 2
    assert main(["volume", "--resume", str(tmp_path)]) == 2
    assert main([*arguments, "--restart"]) == 0
    assert not parts.exists()


def test_a_page_that_cannot_be_read_is_named_and_the_others_kept(
    arguments: list[str], stack: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pages = tifffile.imread(stack).astype(np.float32)
    pages[2, 0, 0] = np.inf
    tifffile.imwrite(stack, pages, photometric="minisblack")
    assert main([*arguments, "--pages", "0-2"]) == 2
    assert "1 failed, the first because: page 2" in capfd.readouterr().err
    assert main([*arguments, "--pages", "0-1"]) == 0


@pytest.mark.parametrize("more", [[], ["--in-one"]])
def test_a_volume_is_written_for_other_programs_too(
    arguments: list[str], tmp_path: Path, more: list[str]
) -> None:
    wanted = ["--nifti", str(tmp_path / "v.nii.gz"), "--dicom", str(tmp_path / "v.dcm"), "--ome-zarr",
              str(tmp_path / "v.ome.zarr")]  # fmt: skip
    assert main([*arguments, *more, *wanted]) == 0
    pixels = tifffile.imread(tmp_path / "volume.tif")
    for name, near in (("v.nii.gz", 0.0), ("v", 0.5), ("v.ome.zarr", 0.0)):
        for page, values in enumerate(pixels):
            found = read_image(tmp_path / name, page)
            assert np.abs(found.pixels[0] - values).max() <= near
            assert found.slice_spacing == pytest.approx(2.5)
            assert found.spacing == pytest.approx((0.5, 0.5))
    assert read_export(tmp_path / "v.ome.zarr").recipe == read_export(tmp_path / "volume.tif").recipe


def test_a_finished_volume_is_written_for_other_programs_afterwards(
    arguments: list[str], tmp_path: Path
) -> None:
    assert main(arguments) == 0
    before = (tmp_path / "volume.tif").read_bytes()
    assert main([*arguments, "--nifti", str(tmp_path / "v.nii")]) == 0
    assert (tmp_path / "volume.tif").read_bytes() == before
    assert np.array_equal(
        read_image(tmp_path / "v.nii", 2).pixels[0], tifffile.imread(tmp_path / "volume.tif")[2]
    )


# Slices together ------------------------------------------------------------------------------------------------


def test_a_volume_in_one_run_is_the_volume_of_its_slices(arguments: list[str], tmp_path: Path) -> None:
    """What nothing ties together gives the same bits in one run; noise relative to each slice is told for all at once."""
    clean = [text for text in arguments if text not in ("--noise", "0.02")]
    assert main(clean) == 0
    one = tmp_path / "one.tif"
    assert main([*clean[:-1], str(one), "--in-one", "--report", str(tmp_path / "one.json")]) == 0
    assert np.array_equal(tifffile.imread(tmp_path / "volume.tif"), tifffile.imread(one))
    export = read_export(one)
    assert (export.about.kind, export.about.pages, export.about.slice_spacing) == (
        "volume",
        (0, 1, 2, 3),
        2.5,
    )
    assert export.metrics["psnr"] == pytest.approx(read_export(tmp_path / "volume.tif").metrics["psnr"])
    report = json.loads((tmp_path / "one.json").read_text())
    assert [found["page"] for found in report["slices"]] == [0, 1, 2, 3]
    assert report["metrics"]["z_step"] > 0


def test_a_prior_across_slices_is_asked_for_and_its_volume_repeats(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    across = across_file(tmp_path)
    more = [
        "--across",
        str(across),
        "--across-above",
        "0.5",
        "--z-smoothing",
        "0.2",
        "--slices-together",
        "2",
    ]
    assert main([*arguments, *more]) == 0
    out = tmp_path / "volume.tif"
    export = read_export(out)
    stack = export.recipe.stack
    assert stack is not None
    assert stack.across is not None
    assert stack.across.file == str(across)
    assert (stack.settings.across_above, stack.settings.z_smoothing, stack.settings.slice_spacing) == (
        0.5,
        0.2,
        2.5,
    )
    capsys.readouterr()
    again = tmp_path / "again.tif"
    assert main(["repeat", str(out), "--out", str(again)]) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert np.array_equal(tifffile.imread(out), tifffile.imread(again))
    assert read_export(again).about.pages == (0, 1, 2, 3)


def test_a_cone_beam_is_one_run_of_all_slices_that_repeats(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has to ask for it; what it measured is of no slice alone, and slices are as high as the stack says."""
    cone = [
        *arguments,
        "--physics",
        "ct-cone",
        "--views",
        "6",
        "--detector-rows",
        "24",
        "--z-smoothing",
        "0.1",
    ]
    assert main([*cone, "--report", str(tmp_path / "report.json")]) == 0
    out = tmp_path / "volume.tif"
    report = json.loads((tmp_path / "report.json").read_text())
    assert all("residual" not in found and "psnr" in found for found in report["slices"])
    assert report["metrics"]["residual"] < 0.6
    assert read_export(out).recipe.stack is not None
    capsys.readouterr()
    assert main(["repeat", str(out), "--out", str(tmp_path / "again.tif")]) == 0
    assert "bit for bit" in capsys.readouterr().out
    assert main([*cone, "--workers", "2"]) == 2
    assert "One process was wanted" in capsys.readouterr().err


def test_a_prior_across_slices_may_be_the_only_one(arguments: list[str], tmp_path: Path) -> None:
    across = across_file(tmp_path, "all")
    alone = [str(across) if text.endswith("tiny.safetensors") else text for text in arguments]
    assert main([*alone, "--z-tiling", "window", "--events"]) == 0
    stack = read_export(tmp_path / "volume.tif").recipe.stack
    assert stack is not None
    assert stack.across is None
    assert stack.settings.z_tiling == "window"


def test_what_does_not_go_together_is_said_before_anything_is_made(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    across = str(across_file(tmp_path))
    for more, said in (
        (["--z-tiling", "fixed"], "--across"),
        (["--across", across, "--workers", "2"], "One process"),
        (["--across", across, "--z-tiling", "sideways"], "Tiling along z"),
        (["--across", arguments[3]], "single slices"),
        (["--across", str(tmp_path / "none.safetensors")], "none.safetensors"),
        (["--across", across, "--pages", "0", "1", "3"], "distance of the slices"),
        (["--across", across, "--adapt"], "adapted"),
    ):
        assert main([*arguments, *more]) == 2, more
        assert said in capsys.readouterr().err, more
        assert not (tmp_path / "volume.tif").exists()
