"""No verb writes over what it reads, whichever option names it; and what was computed is written somewhere."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli import generate, outputs
from padis_gui.cli.main import main
from padis_gui.core.exports.about import read_export, read_pages
from padis_gui.core.runs.presets import DEFAULT_PRIOR, resource
from padis_gui.core.runs.queue import QueuedRun, queue_as_json
from padis_gui.core.settings import files
from padis_gui.core.settings import outputs as places
from padis_gui.core.settings.errors import InputError
from tests.volumes import write_stack

QUICK = ["--solver", "dds", "--steps", "2", "--set", "cg_steps=2", "--device", "cpu", "--seed", "1"]


@pytest.fixture
def here(tmp_path, prior_path, phantom_path):
    """A folder with a prior, an image, a mask, a stack and a scan's companions, all of the user's."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "prior.safetensors").write_bytes(prior_path.read_bytes())
    (folder / "image.tif").write_bytes(phantom_path.read_bytes())
    tifffile.imwrite(folder / "mask.tif", np.pad(np.full((16, 16), 255, np.uint8), 24))
    write_stack(folder / "stack.tif", 2)
    os.link(folder / "image.tif", folder / "hard.tif")
    (folder / "soft.json").symlink_to(folder / "prior.safetensors")
    return folder


def reconstruct(here, *more):
    image, prior = str(here / "image.tif"), str(here / "prior.safetensors")
    return ["reconstruct", image, "--prior", prior, *QUICK, *map(str, more)]


def masked(here, *more):
    return reconstruct(
        here, "--physics", "inpainting", "--mask", "file", "--mask-file", here / "mask.tif", *more
    )


CASES = {
    "the image, by a hard link": lambda h: reconstruct(h, "--out", h / "hard.tif"),
    "the prior, as a report": lambda h: reconstruct(h, "--out", h / "o.tif", "--report", h / "prior.safetensors"),
    "the prior, by a symbolic link": lambda h: reconstruct(h, "--out", h / "o.tif", "--report", h / "soft.json"),
    "the mask": lambda h: masked(h, "--out", h / "mask.tif"),
    "the mask, by the iterates": lambda h: masked(h, "--out", h / "o.tif", "--iterates", h / "mask.tif"),
    "the image, by the curves": lambda h: reconstruct(h, "--out", h / "o.tif", "--curves", h / "image.tif"),
    "the prior, by the page": lambda h: reconstruct(h, "--out", h / "o.tif", "--html", h / "prior.safetensors"),
    "the folder of what is shipped": lambda h: reconstruct(
        h, "--out", h / "o.tif", "--report", resource(DEFAULT_PRIOR)
    ),
    "a volume's prior": lambda h: [
        "volume", str(h / "stack.tif"), "--prior", str(h / "prior.safetensors"), *QUICK, "--out", str(h / "o.tif"),
        "--report", str(h / "prior.safetensors"),
    ],
    "a volume's stack": lambda h: [
        "volume", str(h / "stack.tif"), "--prior", str(h / "prior.safetensors"), *QUICK, "--out", str(h / "stack.tif"),
    ],
    "an experiment's image": lambda h: [
        "experiment", str(h / "image.md"), "--prior", str(h / "prior.safetensors"), "--out", str(h / "r.jsonl"),
        "--table", str(h / "image.md"),
    ],
    "a training's images": lambda h: ["train", str(h), "--preview", str(h / "seen.png")],
    "the prior that a training begins with": lambda h: [
        "train", str(h / "image.tif"), "--from", str(h / "prior.safetensors"), "--out", str(h), "--steps", "1",
    ],
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
@pytest.mark.parametrize("case", CASES)
def test_an_input_is_never_written_over(case, here, refusal):
    (here / "image.md").write_bytes((here / "image.tif").read_bytes())
    (here / "seen.png").write_bytes(b"of the user")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert "input" in refusal(CASES[case](here))
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="has no such pipes")
def test_a_pipe_is_neither_replaced_nor_waited_for(here, refusal):
    os.mkfifo(here / "pipe.tif")
    os.mkfifo(here / "pipe.json")
    for arguments in (
        reconstruct(here, "--out", here / "pipe.tif"),
        reconstruct(here, "--out", here / "o.tif", "--report", here / "pipe.json"),
        reconstruct(here, "--out", here / "pipe.json.tif", "--curves", here / "pipe.json"),
    ):
        assert "is a pipe, a socket or a device" in refusal(arguments)
    assert (here / "pipe.tif").is_fifo()


def test_a_queue_keeps_what_its_runs_read(here, refusal, capfd):
    assert main(reconstruct(here, "--out", here / "run.tif")) == 0
    recipe = read_export(here / "run.tif").recipe
    (here / "queue.json").write_bytes(queue_as_json([QueuedRun(name="image", recipe=recipe)]))
    capfd.readouterr()
    kept = (here / "image.tif").read_bytes()
    assert "image.tif is the input" in refusal(["queue", str(here / "queue.json"), "--out", str(here)])
    (here / "queue.json").rename(here / "summary.json")
    said = refusal(["queue", str(here / "summary.json"), "--out", str(here)])
    assert "summary.json is the input" in said
    assert (here / "image.tif").read_bytes() == kept


def test_repeat_keeps_what_the_run_was_made_of(here, refusal, capfd):
    assert main(masked(here, "--out", here / "run.tif", "--sidecar")) == 0
    capfd.readouterr()
    for name in ("run.tif", "image.tif", "mask.tif"):
        assert "is the input" in refusal(["repeat", str(here / "run.tif"), "--out", str(here / name)])
    assert "is the input" in refusal(["repeat", str(here / "run.json"), "--out", str(here / "run.tif")])


def test_convert_keeps_the_snapshot(here, refusal):
    (here / "snapshot.safetensors").symlink_to(here / "prior.safetensors")
    said = refusal(["convert", str(here / "prior.safetensors"), str(here / "snapshot.safetensors")])
    assert "is the input" in said


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
@pytest.mark.parametrize("verb", ["reconstruct", "volume", "train", "convert", "generate"])
def test_a_name_that_is_no_text_is_refused_before_anything_is_done(verb, here, refusal):
    name = str(here / os.fsdecode(b"n\xff.tif"))
    prior = str(here / "prior.safetensors")
    said = refusal({
        "reconstruct": ["reconstruct", name, "--out", str(here / "o.tif")],
        "volume": ["volume", str(here / "stack.tif"), "--prior", prior, "--out", name],
        "train": ["train", name, "--out", str(here / "run")],
        "convert": ["convert", name, str(here / "o.safetensors")],
        "generate": ["generate", "--prior", prior, "--out", name],
    }[verb])  # fmt: skip
    assert "A name in UTF-8 was wanted" in said
    assert r"n\udcff.tif" in said


def test_a_result_that_its_place_refuses_is_kept_elsewhere_and_that_is_said(here, monkeypatch, capsys):
    """As where the folder is made read-only, or a disk is full, while the run goes on."""
    from padis_gui.core.exports import tiff

    honest, out = tiff.writing_atomically, here / "out.tif"

    def full(path):
        if path in (out, here / "iterates.tif"):
            raise OSError(28, "No space left on device")
        return honest(path)

    monkeypatch.setattr(tiff, "writing_atomically", full)
    arguments = reconstruct(
        here, "--out", out, "--sidecar", "--iterates", here / "iterates.tif", "--report", here / "report.json"
    )
    assert main(arguments) == 2
    assert not out.exists()
    export = read_export(here / "out-kept.json")
    assert export.file == here / "out-kept.tif"
    assert np.isfinite(read_pages(export)[0][0]).all()
    said = capsys.readouterr()
    lines = [" ".join(line.split()) for line in said.err.splitlines() if "padis-gui:" in line]
    assert lines == [
        f"padis-gui: The result cannot be written to {out} (No space left on device); make room, or choose another "
        f"place. It is kept in {here / 'out-kept.tif'}.",
        f"padis-gui: The result cannot be written to {here / 'iterates.tif'} (No space left on device); make room, or "
        f"choose another place. It is kept in {here / 'iterates-kept.tif'}.",
    ]
    assert f"{here / 'out-kept.tif'}: PSNR" in said.out
    assert json.loads((here / "report.json").read_text())["solver"] == "dds"


def test_what_no_place_takes_is_said_and_does_not_cost_the_rest(here, monkeypatch, capsys):
    from padis_gui.core.exports import report

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write_atomically", full)
    arguments = reconstruct(
        here,
        "--out",
        here / "out.tif",
        "--curves",
        here / "a.csv",
        "--html",
        here / "a.html",
        "--report",
        here / "r.json",
    )
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("padis-gui: The export cannot be written to") == 2
    assert "a.csv (No space left on device); make room" in said
    assert (here / "out.tif").exists()
    assert (here / "r.json").exists()


def test_samples_and_queued_runs_are_kept_elsewhere(here, monkeypatch, capsys, tmp_path):
    """Their folder goes while they run."""
    assert main(reconstruct(here, "--out", here / "run.tif")) == 0
    recipe = read_export(here / "run.tif").recipe
    (here / "queue.json").write_bytes(queue_as_json([QueuedRun(name="a", recipe=recipe)]))
    monkeypatch.chdir(tmp_path)
    from padis_gui.core.exports import tiff

    honest = tiff.writing_atomically

    def gone(path):
        if path.parent.name == "results":
            raise FileNotFoundError(2, "No such file or directory")
        return honest(path)

    monkeypatch.setattr(tiff, "writing_atomically", gone)
    (tmp_path / "results").mkdir()
    capsys.readouterr()
    assert (
        main(["queue", str(here / "queue.json"), "--device", "cpu", "--out", str(tmp_path / "results")]) == 1
    )
    assert "the result is kept in" in capsys.readouterr().out
    sample = [
        "generate", "--prior", str(here / "prior.safetensors"), "--steps", "2", "--rows", "64", "--columns", "64",
        "--device", "cpu", "--out", str(tmp_path / "results" / "sample.tif"),
    ]  # fmt: skip
    assert main(sample) == 2
    for name in ("a-kept.tif", "sample-kept.tif"):
        assert read_export(tmp_path / name).recipe.solver


def test_a_summary_and_a_report_do_not_stop_what_is_computed(here, monkeypatch, capsys):
    assert main(reconstruct(here, "--out", here / "run.tif")) == 0
    recipe = read_export(here / "run.tif").recipe
    runs = [QueuedRun(name=name, recipe=recipe) for name in ("a", "b")]
    (here / "queue.json").write_bytes(queue_as_json(runs))
    honest = files.write_atomically

    def full(path, data):
        if path.name in ("summary.json", "report.json"):
            raise OSError(28, "No space left on device")
        honest(path, data)

    monkeypatch.setattr(files, "write_atomically", full)
    results = here / "results"
    assert main(["queue", str(here / "queue.json"), "--device", "cpu", "--out", str(results)]) == 2
    assert {path.name for path in results.iterdir()} == {"a.tif", "b.tif", "summary-kept.json"}
    volume = ["volume", str(here / "stack.tif"), "--prior", str(here / "prior.safetensors"), *QUICK]
    assert main([*volume, "--out", str(here / "v.tif"), "--report", str(here / "report.json")]) == 2
    assert len(json.loads((here / "report-kept.json").read_text())["slices"]) == 2
    assert capsys.readouterr().err.count("No space left on device") == 2


def test_a_result_that_fits_nowhere_is_one_sentence(here, monkeypatch):
    def refuse(path):
        raise InputError(f"It cannot be written to {path}.", remedy="elsewhere")

    with pytest.raises(InputError, match=r"cannot be written to out\.tif"):
        outputs.kept(Path("out.tif"), refuse)
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(here / "gone"))
    assert all(path.parent.is_dir() for path in places.elsewhere(here / "no" / "out.tif"))
    assert generate.kept is outputs.kept
