"""Clocks: what is booked on the network and the operator, and variants that are compared fairly."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.operator import LinearOperator, Wrapper
from padis_gui.core.settings.watch import SILENT, Watch


def now(device: torch.device) -> float:
    """Seconds on a clock, after all work that the device was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """Adds up wall-clock seconds between :meth:`start` and :meth:`stop`; spans inside a span count once.

    On CUDA the device is synchronised at both ends, so that its work is booked where it was asked for.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self.spans = 0
        self._device = device
        self._depth = 0
        self._began = 0.0

    def start(self) -> None:
        """Begin a span."""
        if self._depth == 0:
            self._began = now(self._device)
        self._depth += 1

    def stop(self) -> None:
        """End the span begun last."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += now(self._device) - self._began
            self.spans += 1

    @contextmanager
    def span(self) -> Iterator[None]:
        """A span as a context."""
        self.start()
        try:
            yield
        finally:
            self.stop()


class TimedOperator(Wrapper):
    """The same linear map, with its products, its baseline and its own data steps under a stopwatch."""

    def __init__(self, of: LinearOperator, watch: Stopwatch) -> None:
        super().__init__(of)
        self._watch = watch

    def _norm(self, watch: Watch) -> float:
        """The norm that the wrapped operator has found; not timed, as a window finds it once a problem."""
        return self._of.norm

    def _forward(self, x: Tensor) -> Tensor:
        with self._watch.span():
            return self._of._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        with self._watch.span():
            return self._of._adjoint(y)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        with self._watch.span():
            return self._of.pinv(y, watch)

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """A closed form is the operator's; of conjugate gradients only the products are."""
        if type(self._of).prox is LinearOperator.prox:
            return super().prox(y, v, rho, iterations)
        with self._watch.span():
            return self._of.prox(y, v, rho, iterations)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        """A closed form is the operator's; of conjugate gradients only the products are."""
        if type(self._of).least_squares is LinearOperator.least_squares:
            return super().least_squares(y, x, iterations)
        with self._watch.span():
            return self._of.least_squares(y, x, iterations)


@contextmanager
def timed_network(network: torch.nn.Module, watch: Stopwatch) -> Iterator[None]:
    """Book the network's forward and backward passes on ``watch`` while the context lasts.

    A forward pass that is made again inside the backward pass may be broken off when it has made enough; its
    end is told all the same.
    """
    handles = [
        network.register_forward_pre_hook(lambda *_: watch.start()),
        network.register_forward_hook(lambda *_: watch.stop(), always_call=True),
        network.register_full_backward_pre_hook(lambda *_: watch.start()),
        network.register_full_backward_hook(lambda *_: watch.stop()),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def interleaved(
    variants: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    started: Callable[[str], None] = lambda name: None,
) -> dict[str, list[float]]:
    """Seconds of each variant in each of ``repeats`` rounds, after one call of each to warm up.

    In every round all variants take their turn, in alternating order, so that a load which comes and goes falls
    on all of them. ``started`` is told a variant's name before each of its turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, call in list(variants.items())[:: -1 if repeat % 2 else 1]:
            started(name)
            began = now(device)
            call()
            if repeat:
                seconds[name].append(now(device) - began)
    return seconds


def speedup(baseline: Sequence[float], seconds: Sequence[float]) -> float:
    """How many times as fast as the baseline: the median over the rounds of :func:`interleaved`."""
    return statistics.median(slow / fast for slow, fast in zip(baseline, seconds, strict=True))


P = ParamSpec("P")
R = TypeVar("R")


def in_fresh_process(work: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """What ``work`` returns in a new process, whose memory is then its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *arguments, **options).result()
