"""Slices on many processes or machines, by dask.distributed: a worker that dies costs the slice in its hands.

A task is JSON in and JSON out; the slice itself goes to the disk, from the worker that made it. So every machine must
see the data, the prior and the folder of the result under the same paths, and have padis-gui installed. A scheduler
runs what anybody sends it: connect to those of your own network only.
"""

import importlib
import logging
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.machine import usable_cores
from padis_gui.core.volumes.parts import Parts
from padis_gui.core.volumes.run import Executor
from padis_gui.core.volumes.slices import SliceOutcome, SliceTask, finish_text

_CONNECT_SECONDS = 15
_LOOK_SECONDS, _TICK_SECONDS = 0.5, 0.02
_ALONE_SECONDS = 60.0  # without any worker; one that died is back in a few
_MOST_WORKERS = 256
_ANY_PORT = "127.0.0.1:0"
_ADDRESS = re.compile(r"(?:dask|tcp|tls)://[^\s/]+:\d{1,5}/?")


def parse_workers(text: str) -> int | str:
    """A number of processes on this machine (1: this one), or the address of a scheduler, such as tcp://host:8786.

    Raises :class:`SettingError` for others.
    """
    text = text.strip()
    if text.isdecimal() and 1 <= int(text[:9]) <= _MOST_WORKERS:
        return int(text)
    if _ADDRESS.fullmatch(text):
        return re.sub(r"^dask:", "tcp:", text.rstrip("/"))
    raise SettingError(
        f"Workers are a number of processes from 1 to {_MOST_WORKERS}, or the address of a dask scheduler such as "
        f"dask://host:8786, but {text[:80]!r} was given; use one of these."
    )


def _dask() -> Any:
    """The package, imported where it is wanted: it takes half a second."""
    return importlib.import_module("distributed")


def threads_each(workers: int) -> int:
    """Threads for each of so many processes on this machine: its cores, shared out."""
    return max(1, usable_cores() // workers)


@contextmanager
def cluster(workers: int | str) -> Iterator[Any]:
    """A client of so many processes started here, which end with the block, or of the scheduler at an address.

    Raises :class:`InputError` where the package is missing or nobody answers.
    """
    if find_spec("distributed") is None:
        raise InputError(
            "Slices were to be shared out by dask.distributed, but it is not installed here; install it with "
            "pip install 'padis-gui[cluster]', or leave --workers out."
        )
    distributed = _dask()
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] == "distributed":  # it reports every worker that comes and goes
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if isinstance(workers, str):
        with _connected(workers) as client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory(prefix="padis-gui-workers-") as scratch,
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=_ANY_PORT, host="127.0.0.1",
            worker_dashboard_address=_ANY_PORT, scheduler_kwargs={"dashboard": False}, memory_limit=0,
            silence_logs=logging.CRITICAL, local_directory=scratch,
        ) as local,
        distributed.Client(local) as client,
    ):  # fmt: skip
        client.register_plugin(_leave_interrupts_to_us())
        yield client


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    distributed = _dask()
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError, ImportError) as error:  # TimeoutError is an OSError
        raise InputError(
            f"A dask scheduler was wanted at {address}, but none answers there ({_first_line(error)}); start one with "
            "dask scheduler, or check the address."
        ) from None
    try:
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        if not client.nthreads():
            raise InputError(
                f"Workers were wanted at the scheduler {address}, but it has none; start some with dask worker {address}."
            )
        yield client
    finally:
        with suppress(OSError, TimeoutError):
            client.close()


def threads_of(client: Any) -> int:
    """Threads that each of the cluster's workers may use: as many as the smallest has."""
    return max(1, min(client.nthreads().values(), default=1))


def on_cluster(
    client: Any,
    check: Callable[[], None] = lambda: None,
    work: Callable[[str], str] = finish_text,
) -> Executor:
    """As many slices at a time as there are workers. ``check`` is asked twice a second, and may raise.

    ``work`` makes a slice of a task's JSON. A slice whose worker died is made again by another; one that has taken
    several workers with it is a failure.
    """

    def execute(tasks: Iterable[SliceTask]) -> Iterator[SliceOutcome]:
        waiting, under_way = iter(tasks), dict[Any, SliceTask]()
        finished = _dask().as_completed(loop=client.loop)
        task = next(waiting, None)
        seen = time.monotonic()
        try:
            while task is not None or under_way:
                check()
                workers = len(client.nthreads())
                seen = time.monotonic() if workers else seen
                if time.monotonic() - seen > _ALONE_SECONDS:
                    raise _lost("it has had no worker for a while")
                while task is not None and len(under_way) < workers:
                    # never by its content: a slice that failed in an earlier run is tried again
                    future = client.submit(work, task.model_dump_json(), pure=False)
                    under_way[future], task = task, next(waiting, None)
                    finished.add(future)
                for future in _next_of(finished):
                    yield _outcome(future, under_way.pop(future))
        except CancelledError:
            raise _lost("the scheduler is gone") from None
        except (OSError, RuntimeError) as error:
            raise _lost(error) from None
        finally:
            with suppress(Exception):  # the connection may be what went wrong
                client.cancel(list(under_way), force=True)

    return execute


def _next_of(finished: Any) -> list[Any]:
    """Those that are through, after half a second at the latest.

    The timeout of ``as_completed`` counts from its making, and its iterator waits without one: ``check`` would not be
    asked meanwhile, nor a cluster without workers be noticed. So the waiting is done here.
    """
    until = time.monotonic() + _LOOK_SECONDS
    while not finished.has_ready() and time.monotonic() < until:
        time.sleep(_TICK_SECONDS)
    found: list[Any] = finished.next_batch(block=False)
    return found


def _outcome(future: Any, task: SliceTask) -> SliceOutcome:
    if future.status == "finished":
        outcome = SliceOutcome.model_validate_json(future.result())
        if outcome.trouble or Parts(task.folder).path(task.page, smooth=task.smooth).exists():
            return outcome
        raise InputError(
            f"The slice of page {task.page} was wanted in {task.folder}, but its worker has put it elsewhere; choose a "
            "place that all workers share under the same path."
        )
    if future.status == "cancelled":
        raise _lost("the tasks were cancelled")
    error = future.exception()
    if isinstance(error, _dask().KilledWorker):
        trouble = (
            f"The workers that had page {task.page} in hand died one after the other, perhaps for lack of memory; use "
            "fewer workers."
        )
        return SliceOutcome(page=task.page, trouble=trouble)
    if isinstance(error, InputError):
        raise error
    return SliceOutcome(page=task.page, trouble=f"A worker failed ({_first_line(error)}); see its log.")


def _lost(error: object) -> InputError:
    return InputError(
        f"The cluster was to make the slices, but the connection to it is lost ({_first_line(error)}); the finished ones "
        "are kept, start again."
    )


def _first_line(error: object) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:160]


def _leave_interrupts_to_us() -> Any:
    """Ctrl-C reaches every process of the terminal; the workers are ended by this one, after it has seen to things."""

    class LeaveInterrupts(_dask().WorkerPlugin):  # type: ignore[misc]
        name = "leave-interrupts"

        def setup(self, worker: Any) -> None:
            with suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return LeaveInterrupts()
