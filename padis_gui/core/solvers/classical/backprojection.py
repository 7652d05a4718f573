"""The picture that the physics itself offers in one step: FBP, Wiener filter, harmonic fill, bicubic upsampling."""

from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers.iterate import ClassicalSetup, MethodSettings, Step, Steps


class BackprojectionSettings(MethodSettings):
    clip: bool = setting(False, label="Clip", help="Clip the picture to the image's range, 0 to 1")

    @property
    def unit_norm(self) -> bool:
        """The operator as it is: its norm is not needed, and takes longer than the picture."""
        return False


def backprojection(setup: ClassicalSetup, settings: BackprojectionSettings) -> Steps[BackprojectionSettings]:
    """One iterate, the operator's ``pinv``."""
    x = setup.A.pinv(setup.y)
    yield Step(x.clamp(0, 1) if settings.clip else x)
