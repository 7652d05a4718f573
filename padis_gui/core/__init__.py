"""The mathematics of patch-diffusion reconstruction, without Qt; and torch, which is imported when it is first used."""

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """For imports: they make a great many objects and no garbage, and looking for it takes a tenth of their time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


if TYPE_CHECKING:
    import torch as torch
    from torch import Tensor as Tensor
else:

    class _Torch:
        """torch, imported when something of it is first used.

        That takes longer than all else of a program that reads a header or refuses an option. What declares settings
        and records takes it from here; annotations that name more than ``Tensor`` are not evaluated there
        (`from __future__ import annotations`).
        """

        def __getattr__(self, name: str) -> Any:
            with uncollected():
                import torch

            self.__dict__ = torch.__dict__  # whatever torch has, from now on without a detour
            return getattr(torch, name)

        @contextlib.contextmanager
        def no_grad(self) -> Iterator[None]:
            """torch's own, which as a decorator waits for the first call."""
            import torch

            with torch.no_grad():
                yield

    torch = _Torch()

    class _Tensors(type):
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, torch.Tensor)

    class Tensor(metaclass=_Tensors):
        """What torch's tensors are instances of, for annotations that are evaluated before torch is there."""
