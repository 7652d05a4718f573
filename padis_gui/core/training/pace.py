"""How fast a training is, and when it will be done: numbers that do not jump."""


class Pace:
    """Measures steps, and forgets old ones slowly, so that the estimate follows the machine but no single step.

    The first step of each patch size is left out as long as others are known: it allocates and compiles.
    """

    def __init__(self, half_life: float = 120.0) -> None:
        """``half_life`` is how many seconds of steps count half."""
        self._half_life = half_life
        self._steps = self._seconds = 0.0
        self._first = 0.0  # the mean of the first steps
        self._patches: set[int] = set()

    def step(self, seconds: float, patch: int) -> None:
        """A step with patches of that size took so long."""
        if patch not in self._patches:
            self._first = (self._first * len(self._patches) + seconds) / (len(self._patches) + 1)
            self._patches.add(patch)
            return
        kept = 0.5 ** (seconds / self._half_life)
        self._steps = self._steps * kept + 1
        self._seconds = self._seconds * kept + seconds

    @property
    def seconds_a_step(self) -> float:
        """The mean of late; 0 before the first step."""
        return self._seconds / self._steps if self._steps else self._first
