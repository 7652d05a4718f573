"""What this machine does with the time: solvers, the operator, the denoiser, and number formats.

One subject a file. Whatever is compared takes turns in the same run, as the load of a machine changes.
"""

from benchmarks.denoiser import DenoiserRequest, DenoiserTiming, bench_denoiser
from benchmarks.operator import OperatorRequest, OperatorTiming, bench_operator
from benchmarks.precision import PrecisionRequest, VariantTiming, bench_precision
from benchmarks.solvers import SHORT_RUNS, BenchRequest, SolverTiming, bench_solvers, time_solver
from benchmarks.timing import Stopwatch, TimedOperator, interleaved, speedup, timed_network

__all__ = [
    "SHORT_RUNS",
    "BenchRequest",
    "DenoiserRequest",
    "DenoiserTiming",
    "OperatorRequest",
    "OperatorTiming",
    "PrecisionRequest",
    "SolverTiming",
    "Stopwatch",
    "TimedOperator",
    "VariantTiming",
    "bench_denoiser",
    "bench_operator",
    "bench_precision",
    "bench_solvers",
    "interleaved",
    "speedup",
    "time_solver",
    "timed_network",
]
