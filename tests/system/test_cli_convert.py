"""`padis-gui convert`, `inspect` and `reconstruct` with published snapshots."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from padis_gui.cli.main import main
from padis_gui.core.prior.checkpoint import load_prior, read_record
from tests.snapshots import ARGUMENTS, NCSN, dump, random_network, random_snapshot, snapshot_content

CPU = torch.device("cpu")


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "network-snapshot-000001.pkl"
    path.write_bytes(dump(random_snapshot({"img_resolution": 96})))
    return path


@pytest.mark.parametrize("changes", [{}, NCSN, {"augment_dim": 9}], ids=str)
@pytest.mark.parametrize("half", [False, True])
def test_a_converted_snapshot_computes_the_same(tmp_path: Path, changes: dict[str, Any], half: bool) -> None:
    path, out = tmp_path / "s.pkl", tmp_path / "out.safetensors"
    path.write_bytes(dump(random_snapshot(changes)))
    assert main(["convert", str(path), str(out), *(["--half"] if half else [])]) == 0
    before, after = (load_prior(file, CPU, "float32") for file in (path, out))
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ours, theirs = (prior.network(x, torch.tensor([-1.0, 0.3])) for prior in (before, after))
    assert float((ours - theirs).norm() / ours.norm()) < (1e-2 if half else 1e-7)
    assert read_record(out) == read_record(path)


def test_convert_keeps_the_size_that_was_given(snapshot: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(snapshot), str(out)]) == 2
    assert "--training-image-size" in capsys.readouterr().err
    assert not out.exists()
    assert main(["convert", str(snapshot), str(out), "--training-image-size", "64"]) == 0
    assert "assumed" in capsys.readouterr().out
    record = read_record(out)
    assert (record.conventions.image_size, record.conventions.pad) == (64, 16)
    assert record.training["source"] == "published snapshot"
    again = tmp_path / "again.safetensors"
    assert main(["convert", str(out), str(again)]) == 0  # a native prior may be rewritten too
    assert read_record(again) == record


def test_a_prior_is_given_another_name_and_scale_and_computes_the_same(
    prior_path: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "mine.safetensors", read_record(prior_path)
    assert (
        main(["convert", str(prior_path), str(out), "--name", "mine", "--unit", "", "--window", "0,1"]) == 0
    )
    record = read_record(out)
    assert (record.name, record.conventions.unit, record.conventions.window) == ("mine", "", (0.0, 1.0))
    assert record.training == before.training
    assert record.network == before.network
    scale = {"unit": before.conventions.unit, "window": before.conventions.window}
    assert record.conventions.model_copy(update=scale) == before.conventions
    ours, theirs = (load_prior(path, CPU, "float32").network.state_dict() for path in (prior_path, out))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    again = tmp_path / "again.safetensors"
    assert main(["convert", str(prior_path), str(again), "--window", "1,0"]) == 2
    assert not again.exists()


def test_convert_refuses_in_one_sentence(snapshot: Path, tmp_path: Path, capsys) -> None:
    size = ["--training-image-size", "64"]
    state = random_network(ARGUMENTS).state_dict()
    state["model.map_layer0.bias"][0] = 1e5
    large = tmp_path / "large.pkl"
    large.write_bytes(dump(snapshot_content(ARGUMENTS, state)))
    bad = [
        [str(snapshot), str(tmp_path / "out.pkl"), *size],
        [str(snapshot), str(tmp_path / "none" / "out.safetensors"), *size],
        [str(tmp_path / "none.pkl"), str(tmp_path / "out.safetensors")],
        [str(large), str(tmp_path / "out.safetensors"), "--half"],
    ]
    for arguments in bad:
        assert main(["convert", *arguments]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["large.pkl", snapshot.name]


def test_inspect_gives_a_verdict_a_line(snapshot: Path, prior_path: Path, tmp_path: Path, capsys) -> None:
    files = [str(snapshot), str(prior_path)]
    assert main(["inspect", *files, "--training-image-size", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "published snapshot" in lines[0]
    assert "assumed" in lines[0]
    assert "patches 32, 16 px" in lines[1]
    hostile = tmp_path / "hostile.pkl"
    hostile.write_bytes(b"\x80\x04cposix\nsystem\n.")
    assert main(["inspect", *files, str(hostile), "--training-image-size", "64"]) == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "asks for posix.system" in captured.err
    assert captured.err.count("\n") == 1


def test_reconstruct_with_a_snapshot(snapshot: Path, phantom_path: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.tif", tmp_path / "report.json"
    arguments = [
        "reconstruct", str(phantom_path), "--prior", str(snapshot), "--training-image-size", "64", "--views", "8",
        "--solver", "dds", "--steps", "2", "--seed", "1", "--device", "cpu", "--patch", "32", "--tiling", "random",
        "--out", str(out), "--report", str(report),
    ]  # fmt: skip
    assert main(arguments) == 0
    assert json.loads(report.read_text())["psnr"] > 0
    assert out.exists()
