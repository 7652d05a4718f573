"""A process of its own for what is measured, so that peak memory is that of the work alone."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def in_fresh_process(work: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """What ``work`` returns in a new process, whose memory is then its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *arguments, **options).result()
