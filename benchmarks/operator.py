"""The CT operator's two products against ASTRA's own OpTomo, which takes and gives arrays in host memory.

On the CPU both compute there. On a GPU the baseline is what OpTomo costs a solver that lives on the GPU: a copy to
the host, the product (by ASTRA's GPU kernels where it has them), and a copy back.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks.timing import interleaved, speedup
from padis_gui.core import Tensor, torch
from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import describe_device, pick_device, use_all_threads

# ours against ASTRA's on the CPU
GOAL_SPEEDUP = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest:
    """A parallel-beam scan of a square image of ``size`` pixels a side."""

    size: int = 256
    views: int = 20
    repeats: int = 30
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTiming:
    """Median seconds of one product, and how many times as fast as the baseline, which comes first.

    ``difference`` is the larger ||result - baseline's|| / ||baseline's|| of the two products. ``round_trips``
    says whether a product waits for the host; None where it computes on the host.
    """

    variant: str
    forward_seconds: float
    adjoint_seconds: float
    forward_speedup: float
    adjoint_speedup: float
    difference: float
    round_trips: bool | None
    device: str

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, for JSON."""
        return asdict(self)


def bench_operator(
    request: OperatorRequest, started: Callable[[str], None] = lambda name: None
) -> list[OperatorTiming]:
    """Time both products of ASTRA and of this program, in turns; raises :class:`SettingError` for wrong sizes."""
    check_range("The image size", request.size, 16, 2048)
    check_range("The number of repeats", request.repeats, 1, 10_000)
    settings = make(ParallelBeamSettings, {"views": request.views})
    device = pick_device(request.device)
    use_all_threads()
    ours = ParallelBeamCT.of((1, request.size, request.size), settings, device)
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(ours.image_shape, generator=rng).to(device)
    y = ours(x)
    with _op_tomo(ours) as (name, forward, adjoint):
        products: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
            name: (forward, adjoint),
            "padis-gui": (ours, ours.T),
        }
        expected = forward(x), adjoint(y)
        differences = {
            variant: max(
                float((product(of) - reference).norm() / reference.norm())
                for product, of, reference in zip(pair, (x, y), expected, strict=True)
            )
            for variant, pair in products.items()
        }
        waits = {variant: _round_trips(pair[0], pair[1], x, y) for variant, pair in products.items()}
        forwards = interleaved(
            {variant: partial(pair[0], x) for variant, pair in products.items()},
            request.repeats, device, lambda variant: started(f"{variant}, forward"),
        )  # fmt: skip
        adjoints = interleaved(
            {variant: partial(pair[1], y) for variant, pair in products.items()},
            request.repeats, device, lambda variant: started(f"{variant}, adjoint"),
        )  # fmt: skip
    return [
        OperatorTiming(
            variant=variant,
            forward_seconds=statistics.median(forwards[variant]),
            adjoint_seconds=statistics.median(adjoints[variant]),
            forward_speedup=speedup(forwards[name], forwards[variant]),
            adjoint_speedup=speedup(adjoints[name], adjoints[variant]),
            difference=differences[variant],
            round_trips=waits[variant],
            device=describe_device(device),
        )
        for variant in products
    ]


def check_range(what: str, value: int, lowest: int, highest: int) -> None:
    """Raise :class:`SettingError` for a number outside its range."""
    if not lowest <= value <= highest:
        raise SettingError(
            f"{what} must be {lowest} to {highest}, but {value} was given; use a number in that range."
        )


@contextmanager
def _op_tomo(
    like: ParallelBeamCT,
) -> Iterator[tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]:
    """ASTRA's operator of the same scan: its name, and its products on tensors of the same device."""
    import astra

    _, views, bins = like.measurement_shape
    on_gpu = like.device.type == "cuda" and bool(astra.use_cuda())
    volume = astra.create_vol_geom(*like.image_shape[1:])
    detector = astra.create_proj_geom("parallel", 1.0, bins, like.angles.double().cpu().numpy())
    projector = astra.create_projector("cuda" if on_gpu else "linear", detector, volume)
    try:
        tomo = astra.OpTomo(projector)

        def forward(x: Tensor) -> Tensor:
            found = torch.from_numpy(tomo.FP(x[0].cpu().numpy())).to(like.device)
            return found.reshape(1, views, bins).mul_(like.pixel_size)

        def adjoint(y: Tensor) -> Tensor:
            found = torch.from_numpy(tomo.BP(y[0].cpu().numpy())).to(like.device)
            return found.reshape(like.image_shape).mul_(like.pixel_size)

        through = ", through the host" if like.device.type == "cuda" else ""
        yield f"ASTRA OpTomo{through}", forward, adjoint
    finally:
        astra.projector.delete(projector)


def _round_trips(
    forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], x: Tensor, y: Tensor
) -> bool | None:
    """Whether a product waits for the host, as each copy to or from it does; CUDA tells."""
    if x.device.type != "cuda":
        return None
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        forward(x)
        adjoint(y)
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return False
