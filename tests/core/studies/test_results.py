"""An experiment that several processes write at once: each case is done once, also after one of them was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from padis_gui.core.settings.errors import InputError
from padis_gui.core.studies.results import Results

_ROOT = Path(__file__).resolve().parents[3]
# a grid of eight numbers, each of which takes a moment; what is done is told in a file of the process's own
_PROGRAM = """
import json, os, sys, time
from pathlib import Path
from padis_gui.core.studies import experiment

class Point:
    def __init__(self, number):
        self.number, self.key = number, f"{number + 1:08x}" + "0" * 24

class Done:
    error, metrics = "", {}
    def __init__(self, point):
        self.key = point.key
    def as_line(self):
        return json.dumps({"key": self.key, "metrics": {"psnr": 1.0}, "error": "", "who": os.getpid()}) + "\\n"

class Runner:
    def __init__(self, open_prior, pictures, check): pass
    def finish(self, point):
        with open(sys.argv[2], "a") as file:
            file.write(f"{point.key}\\n")
        if sys.argv[3] == "forever" and point.number == 2:
            while True:
                time.sleep(1)  # sleep: a case that takes longer than the test
        time.sleep(0.05)  # sleep: as a case takes
        return Done(point)

experiment._GridRunner = Runner
experiment.GridResult = lambda point, metrics, error="": Done(point)
found = list(experiment.run_grid([Point(n) for n in range(8)], None, Path(sys.argv[1])))
print(len(found))
"""
KEYS = {f"{number + 1:08x}" + "0" * 24 for number in range(8)}


def begin(record: Path, name: str, how: str = "all") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(record), str(record.parent / name), how],
        cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def begun(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().split() if path.exists() else []


def written(record: Path) -> list[dict]:
    return [json.loads(line) for line in record.read_text().splitlines()]


def ended(*processes: subprocess.Popen) -> None:
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, output.strip(), errors) == (0, "8", "")


def test_processes_share_the_cases_of_an_experiment(tmp_path: Path) -> None:
    record = tmp_path / "r.jsonl"
    names = [f"begun{number}" for number in range(3)]
    ended(*[begin(record, name) for name in names])
    assert Counter(key for name in names for key in begun(tmp_path, name)) == Counter(KEYS)
    assert Counter(line["key"] for line in written(record)) == Counter(KEYS)
    # no lock is left; a process that came late has begun no case
    assert {path.name for path in tmp_path.iterdir()} <= {*names, "r.jsonl"}


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_case_whose_process_was_killed_is_done_by_another(tmp_path: Path) -> None:
    record = tmp_path / "r.jsonl"
    first = begin(record, "first", "forever")
    deadline = time.monotonic() + 120
    while len(begun(tmp_path, "first")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # sleep: another process is waited for
    second = begin(record, "second")
    while len(begun(tmp_path, "second")) < 5:  # all but what the first has done and what it has claimed
        assert time.monotonic() < deadline
        time.sleep(0.02)  # sleep: another process is waited for
    assert second.poll() is None, "it did not wait for the claimed case"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    ended(second)
    assert Counter(begun(tmp_path, "second")) == Counter(sorted(KEYS)[2:])
    assert Counter(line["key"] for line in written(record)) == Counter(KEYS)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second", "r.jsonl"}


def test_what_failed_elsewhere_meanwhile_is_not_run_again(tmp_path: Path) -> None:
    record = tmp_path / "r.jsonl"
    record.write_text('{"key": "a", "metrics": {}, "error": "before"}\n')
    results, others = Results(record), Results(record)
    assert results.errors == {}
    others.add('{"key": "b", "metrics": {}, "error": "meanwhile"}\n')
    others.add('{"key": "c", "metrics": {"psnr": null}, "error": ""}\n')
    results.read()
    assert results.errors == {"b": "meanwhile"}
    assert list(results.metrics) == ["c"]


def test_a_line_that_was_cut_within_a_character_costs_its_case_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = tmp_path / "r.jsonl"
    good = '{"key": "a", "metrics": {}, "error": ""}\n'
    record.write_bytes(good.encode() + '{"key": "b", "problem": "σ'.encode()[:-1])
    assert list(Results(record).metrics) == ["a"]
    assert "1 lines of r.jsonl" in caplog.text
    record.write_bytes(b"\xff\xfe\n" * 5)
    with pytest.raises(InputError, match="file of results"):
        Results(record)


def test_where_there_can_be_no_lock_the_experiment_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("padis_gui.core.studies.results.FileLock.acquire", refuse)
    results = Results(tmp_path / "r.jsonl")
    with results.claim("a" * 32, wait=False) as mine:
        assert mine
        results.add('{"key": "a", "metrics": {}, "error": ""}\n')
    results.read()
    assert list(results.metrics) == ["a"]
