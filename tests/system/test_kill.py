"""A few kills of every writer; `python -m tests.system.kill` does many."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.kill import WRITERS, damaged

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="needs forks and SIGKILL")
def test_a_killed_program_leaves_whole_files_and_goes_on():
    command = [sys.executable, "-m", "tests.system.kill", "--kills", str(2 * len(WRITERS)), "--seed", "5"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    lines = found.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(WRITERS)
    assert lines[-1].startswith(f"{2 * len(WRITERS)} kills in ")


def test_damage_would_be_seen(tmp_path, phantom_path, prior_path):
    (tmp_path / "whole.json").write_text("{}")
    (tmp_path / "lines.jsonl").write_text('{"a": 1}\n{"a"')
    for name, whole in (("phantom.tif", phantom_path), ("prior.safetensors", prior_path)):
        data = whole.read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "half.json").write_text("{")
    (tmp_path / "half.csv").write_text("step,psnr\n1,")
    (tmp_path / "half.jsonl").write_text('{"a"\n{"a": 1}\n')
    found = {line.split(":")[0] for line in damaged(tmp_path)}
    assert found == {"phantom.tif", "prior.safetensors", "half.json", "half.csv", "half.jsonl"}
