"""What a prior's file says of the training that it came from."""

from typing import Any

from padis_gui.core.prior.checkpoint import PriorRecord
from padis_gui.core.training._j_plan__core_training_plan import Plan
from padis_gui.core.training.state import State


def prior_record(state: State, plan: Plan, name: str, notes: dict[str, Any]) -> PriorRecord:
    """The record: settings, how long and how well, which of the averaged weights these are and why."""
    best = state.best
    training: dict[str, Any] = {
        "settings": plan.settings.model_dump(mode="json"),
        "steps": state.step,
        "patches_seen": state.patches_seen,
        "seconds": round(state.seconds, 1),
        "loss": round(state.loss_average, 5),
    }
    if best is None:
        training["weights"] = {"ema": state.chosen, "step": state.step, "why": "no validation"}
    else:
        training["weights"] = {"ema": best.decay, "step": best.step, "why": "least validation loss"}
        training["validation"] = {
            "loss": round(best.loss, 5),
            "last": {str(decay): round(loss, 5) for decay, loss in state.validation.items()},
        }
    if plan.origin:
        training["started_from"] = plan.origin
    return PriorRecord(
        name=name, network=state.network.settings, conventions=plan.conventions, training=training | notes
    )
