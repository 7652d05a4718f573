"""What one step of a training has to say."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One optimiser step.

    ``loss`` is that of this step (NaN where the step was left out), ``average`` the running one; ``losses`` the
    running average for each patch size drawn so far, ``levels`` for each noise level (between the edges
    ``NOISE_BINS``; NaN where none was drawn yet). ``validation`` is the loss on the data kept aside, of the best of
    the averaged weights, at steps where it was measured. ``seconds`` counts what was spent in steps since training
    began, ``memory`` is the peak so far in bytes, of the GPU or resident. ``saved``: a checkpoint of this step is on
    disk. ``stopped`` says why training ended early, at its last step.
    """

    step: int
    total: int
    loss: float
    average: float
    patch: int
    patches_seen: int
    learning_rate: float
    seconds: float
    saved: bool
    losses: dict[int, float]
    levels: tuple[float, ...]
    validation: float | None
    stopped: str
    memory: int
