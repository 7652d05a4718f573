"""Volumes on several processes: the same bits as in one, also when a worker is killed in the middle of a slice."""

import os
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from padis_gui.core.settings.errors import InputError, Interrupted, SettingError
from padis_gui.core.volumes import cluster as module
from padis_gui.core.volumes.cluster import cluster, on_cluster, parse_workers, threads_each
from padis_gui.core.volumes.run import SliceDone, VolumeDone, reconstruct_volume
from tests.core.volumes.test_volume import pixels_of
from tests.volumes import finish_or_die, volume_request, write_stack

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")


@pytest.fixture(scope="module")
def client():
    """Two processes on this machine."""
    with cluster(2) as made:
        yield made


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "stack.tif", 6)


def test_a_worker_killed_in_the_middle_of_a_slice_costs_nothing(
    client, stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    """No slice is lost, none is done wrong: bit for bit what one process makes."""
    serial, shared = (
        volume_request(stack, prior, prior_path, tmp_path / name, z_smoothing=0.5)
        for name in ("serial.tif", "shared.tif")
    )
    list(reconstruct_volume(serial))
    marker = shared.folder / "killed"
    pid = 0
    events = []
    for event in reconstruct_volume(shared, on_cluster(client, work=finish_or_die)):
        events.append(event)
        if marker.exists():
            pid = int(marker.read_text())
            assert pid != os.getpid()
    assert pid, "no worker was killed"
    done = [(e.page, e.smooth) for e in events if isinstance(e, SliceDone)]
    assert sorted(done) == sorted((page, smooth) for page in range(6) for smooth in (False, True))
    assert isinstance(events[-1], VolumeDone)
    assert np.array_equal(pixels_of(serial.out), pixels_of(shared.out))
    assert [e.done for e in events if isinstance(e, SliceDone)] == list(range(1, 13))


def test_an_interruption_leaves_the_cluster_idle_and_the_slices_kept(
    client, stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    request = volume_request(stack, prior, prior_path, tmp_path / "o.tif")
    seen: list[object] = []

    def check() -> None:
        if len(seen) > 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        seen.extend(iter_into(seen, reconstruct_volume(request, on_cluster(client, check))))
    kept = len(list(request.folder.glob("slice-*")))
    assert 0 < kept < 6
    assert isinstance(list(reconstruct_volume(request, on_cluster(client)))[-1], VolumeDone)


def iter_into(seen: list[object], events):
    for event in events:
        seen.append(event)
    return ()


def test_a_slice_that_fails_on_a_worker_is_a_sentence(
    client, stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    request = volume_request(stack, prior, prior_path, tmp_path / "o.tif")
    data = request.template.data.model_copy(update={"sha256": "0" * 64})
    request = request.model_copy(update={"template": request.template.model_copy(update={"data": data})})
    events = list(reconstruct_volume(request, on_cluster(client)))
    assert len(events) == 1 + 6
    assert all("has changed since" in event.trouble for event in events[1:])


def test_a_scheduler_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match="none answers there"), cluster("tcp://127.0.0.1:9"):
        pass


def test_a_scheduler_without_workers_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(module, "_CONNECT_SECONDS", 1)
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as empty:
        address = empty.scheduler_address
        with pytest.raises(InputError, match="it has none"), cluster(address):
            pass


class Lonely:
    """A client whose scheduler has no workers left, or is gone."""

    loop = object()

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def nthreads(self) -> dict[str, int]:
        if self.error is not None:
            raise self.error
        return {}

    def cancel(self, futures: list[object], force: bool) -> None:
        assert futures == []


def test_a_cluster_that_is_lost_is_one_sentence_and_no_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    request = volume_request(stack, prior, prior_path, tmp_path / "o.tif")
    monkeypatch.setattr(module, "_ALONE_SECONDS", 0.1)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)
    for client in (Lonely(), Lonely(OSError("closed")), Lonely(CancelledError())):
        with pytest.raises(InputError, match="the finished ones are kept"):
            list(reconstruct_volume(request, on_cluster(client)))


def test_without_the_package_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"padis-gui\[cluster\]"), cluster(2):
        pass


def test_workers_are_a_number_or_an_address() -> None:
    assert parse_workers(" 4 ") == 4
    assert parse_workers("dask://box:8786") == parse_workers("tcp://box:8786/") == "tcp://box:8786"
    assert threads_each(1000) == 1
    for text in ("", "0", "-1", "1000", "2.5", "box:8786", "http://box:1", "dask://box", "tcp://:x"):
        with pytest.raises(SettingError):
            parse_workers(text)
