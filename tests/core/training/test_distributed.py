"""Several processes train together what one trains alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.training.optimise import World, world_from_environment
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE
from tests.toy_training import CPU, aside, metadata, settings, start, tensors

gloo = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()), reason="no gloo here"
)

# 5 patches of 16 px do not divide by two, and of 1 patch one process gets none
RUNS = {"odd": settings(steps=6, pixels=1300, validate_every=3), "few": settings(steps=6, pixels=256)}
RESUMED_AT = 3

_PROGRAM = """
import sys
import json
from itertools import islice
from pathlib import Path
import torch
torch.set_num_threads(1)
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.training.optimise import world_from_environment
from tests.core.training.test_distributed import RESUMED_AT, RUNS
from tests.toy_training import aside, start
folder = Path(sys.argv[1])
with world_from_environment(torch.device("cpu")) as world:
    assert (world.size, world.main) == (2, world.rank == 0)
    assert world.any(world.rank == 1) and not world.any(False)
    assert world.agree("same") and not world.agree(str(world.rank))
    parts = [torch.full((2, 3), 1.0 + world.rank), torch.tensor([5.0])]
    world.sum_(parts)
    assert parts[0].eq(3).all() and parts[1].item() == 10
    for name, run in RUNS.items():
        first = start(folder / name, run, validation=aside(), world=world)
        losses = [event.loss for event in islice(first, RESUMED_AT)]
        first.close()
        world.any(False)  # nobody reads before the first has written
        second = start(folder / name, run, validation=aside(), world=world)
        losses += [event.loss for event in second]
        assert len(losses) == 6
        (folder / f"{name}-{world.rank}.txt").write_text(json.dumps(losses))
    try:
        start(folder / f"apart{world.rank}", RUNS["few"].model_copy(update={"seed": world.rank}), world=world)
    except SettingError as error:
        assert "different ones" in str(error)
    else:
        raise AssertionError("different settings were not noticed")
if Path("/proc/self/task").is_dir():  # a thread of gloo left at the end may abort the process (seen in one of four)
    names = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    assert not [name for name in names if "gloo" in name], names
"""


@gloo
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    repository = str(Path(__file__).resolve().parents[3])
    found = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(program), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": repository}, cwd=repository,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    for name, run in RUNS.items():
        alone = [event.loss for event in start(tmp_path / f"{name}-alone", run, validation=aside())]
        first, second = (json.loads((tmp_path / f"{name}-{rank}.txt").read_text()) for rank in (0, 1))
        assert first == second  # to the bit: both know the same
        assert first == pytest.approx(alone, rel=1e-5)
        together, one = tensors(tmp_path / name), tensors(tmp_path / f"{name}-alone")
        assert together.keys() == one.keys()
        for key in one:
            torch.testing.assert_close(
                together[key], one[key], atol=2e-6, rtol=1e-4, msg=lambda m, k=key: f"{k}: {m}"
            )
        metas = [json.loads(metadata(tmp_path / n / STATE_FILE)["training"]) for n in (name, f"{name}-alone")]
        assert metas[0]["patches_seen"] == metas[1]["patches_seen"]
        assert metas[0]["validation"] == pytest.approx(metas[1]["validation"], rel=1e-4)
        load_prior(tmp_path / name / PRIOR_FILE, CPU, "float32")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 14])
def test_shares_make_up_the_whole_and_differ_by_one_at_most(size: int, count: int) -> None:
    things = list(range(count))
    shares = [things[World(rank, size).share(count)] for rank in range(size)]
    assert [thing for share in shares for thing in share] == things
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_there_is_nothing_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with world_from_environment(CPU) as world:
        assert (world.rank, world.size, world.main, world.device) == (0, 1, True, CPU)
        value = torch.ones(3)
        world.sum_([value])
        assert torch.equal(value, torch.ones(3))
        assert world.any(True)
        assert not world.any(False)
        assert world.agree("")


@gloo
def test_an_environment_that_says_half_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingError, match="start them with torchrun"), world_from_environment(CPU):
        pass
