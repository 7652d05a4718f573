"""Everything that is chosen for a run, but for the data, the prior and the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.settings.declarations import Settings, make
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.registry import find_solver


@dataclass(frozen=True, kw_only=True)
class Method:
    """What is measured and how that is solved: the only carrier of choices.

    The form edits one, a preset names one, a study lists many, a pair holds two. ``physics`` and ``solver`` are names
    in their registries, ``problem`` and ``settings`` their settings; ``positions`` False tells the network position 0
    in every pixel. With ``adaptation`` the prior is adapted to the measurement before the solver begins. ``stack`` says how
    the slices of a volume are denoised together; for a single image it means nothing.
    """

    physics: str
    problem: PhysicsSettings
    tiling: TilingSettings
    solver: str
    settings: Settings
    positions: bool = True
    adaptation: AdaptationSettings | None = None
    stack: StackSettings | None = None

    @classmethod
    def of(
        cls,
        *,
        physics: str,
        problem: Mapping[str, Any],
        solver: str,
        settings: Mapping[str, Any],
        tiling: TilingSettings | None = None,
        positions: bool = True,
    ) -> "Method":
        """From plain values, all of them checked; raises :class:`~padis_gui.core.settings.errors.SettingError`."""
        measured, solving = find_physics(physics), find_solver(solver)
        return cls(
            physics=measured.name, problem=make(measured.settings_type, dict(problem)),
            tiling=tiling or TilingSettings(), solver=solving.name,
            settings=make(solving.settings_type, dict(settings)), positions=positions,
        )  # fmt: skip

    def measures_as(self, other: "Method") -> bool:
        """Whether both measure the same of an image."""
        return self.physics == other.physics and self.problem == other.problem

    def changed(self, settings: Settings | None, tiling: TilingSettings | None) -> "Method":
        """With other settings of its solver, or another tiling, where they are given."""
        return replace(self, settings=settings or self.settings, tiling=tiling or self.tiling)

    @property
    def imageless(self) -> bool:
        """Whether nothing is measured: the prior alone makes the image."""
        return find_physics(self.physics).imageless

    @property
    def asks_prior(self) -> bool:
        """Whether the prior is called: by diffusion, and by plug-and-play where the denoiser is the prior."""
        return find_solver(self.solver).diffusion or getattr(self.settings, "denoiser", None) == "prior"

    @property
    def adapts(self) -> bool:
        """Whether the prior is adapted: where it is wanted, the prior is called, and something was measured."""
        return self.adaptation is not None and self.asks_prior and not self.imageless
