"""Fixtures of all tests: a tiny prior, a phantom, the shared data. Nothing here imports Qt."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small problems: more threads would only wait for each other

import hypothesis
import pytest
import torch

from tests.tiny import PHANTOM_SIZE, phantom, tiny_record, tiny_state

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # for the tests that open windows
# what the program remembers goes here, also where a test starts it as a process: never into the user's home
_HOME = tempfile.TemporaryDirectory(prefix="padis-gui-tests-")
os.environ["PADIS_GUI_HOME"] = _HOME.name

THREADS = 1
# How long an example takes says more of the machine than of the program. What is drawn is the same in every run, so that
# a change is judged by what it changed; `pytest --hypothesis-profile search` draws anew, and more.
_ANY_MACHINE = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("any machine", derandomize=True, database=None, **_ANY_MACHINE)
hypothesis.settings.register_profile("search", derandomize=False, max_examples=1000, **_ANY_MACHINE)
hypothesis.settings.load_profile("any machine")
_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def _threads_stay_few():
    """The command line gives torch every core; the next test gets the small number again."""
    yield
    if torch.get_num_threads() != THREADS:
        torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data beside the repository; tests that need it are skipped where it is absent."""
    if not _SHARED.is_dir():
        pytest.skip("the shared data are not beside the repository")
    return _SHARED


@pytest.fixture(scope="session")
def prior_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A native checkpoint of a tiny, untrained prior for 64 px images, patches of 32 and 16."""
    from padis_gui.core.prior.checkpoint import save_prior

    path = tmp_path_factory.mktemp("prior") / "tiny.safetensors"
    save_prior(path, tiny_record(), tiny_state(), half=False)
    return path


@pytest.fixture(scope="session")
def prior(prior_path: Path):
    """The tiny prior, loaded on the CPU in float32."""
    from padis_gui.core.prior.checkpoint import load_prior

    return load_prior(prior_path, torch.device("cpu"), "float32")


@pytest.fixture(scope="session")
def phantom_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 64 x 64 phantom in HU as an int16 TIFF."""
    import numpy as np
    import tifffile

    path = tmp_path_factory.mktemp("phantom") / "phantom.tif"
    hounsfield = (phantom(PHANTOM_SIZE).numpy() * 2000 - 1000).round().astype(np.int16)
    tifffile.imwrite(path, hounsfield)
    return path


@pytest.fixture(scope="session")
def ct_problem():
    """The 64 px phantom measured from 12 views, without noise."""
    from padis_gui.core.physics.problem import simulate
    from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings

    settings = ParallelBeamSettings(views=12, bins=96)
    operator = ParallelBeamCT.of((1, PHANTOM_SIZE, PHANTOM_SIZE), settings, torch.device("cpu"))
    return simulate(operator, phantom(PHANTOM_SIZE)[None], settings, torch.Generator().manual_seed(0))
