"""What is shown, in a line: a run under way, a result and its quality, a stale one, or what to do first."""

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.engine import Result
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session


def verdict(session: Session) -> str:
    """The line for the tool bar."""
    result = session.shown.result
    if session.shown.record is not None and result is not None:
        return f"{session.shown.record.name}:   {quality(result)}"
    if session.run.active:
        return f"{session.run.snapshot().state.value}…"
    if session.occupied_by:
        return f"{session.occupied_by} is under way…"
    if session.opened() is None:
        what = "an image (Ctrl+O)" if session.prior.loaded is not None else "a checkpoint (Ctrl+P)"
        return f"Open {what}, or the demo (Ctrl+D)"
    if session.stale:
        return "⚠ Stale: the settings have changed since this result; press Run"
    if result is None:
        return "Ready: press Run"
    return f"{quality(result)}   {result.seconds:.1f} s   seed {result.recipe.seed}"


def quality(result: Result) -> str:
    """What the metrics say, beside the baseline's."""
    m = result.metrics
    if "psnr" in m:
        return (
            f"PSNR {m['psnr']:.2f} dB, SSIM {m['ssim']:.3f}   ({find_physics(result.recipe.physics).baseline} "
            f"{m['psnr_baseline']:.2f} dB, {m['ssim_baseline']:.3f})"
        )
    return f"Residual {m['residual']:.2e}" if "residual" in m else "Sample of the prior"
