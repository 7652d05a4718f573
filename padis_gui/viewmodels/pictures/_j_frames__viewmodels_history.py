"""The iterates of one run that are kept to be looked at again, within a memory budget."""

import bisect
import threading

from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import CurvePoint, IteratePictures

DEFAULT_BUDGET = 256 * 2**20


class History:
    """Frames and curve points of one run: appended in the compute thread, read in the UI thread.

    Every frame is kept until they take more than ``budget`` bytes; then every second one goes, and from there on
    every second one is kept, so that they stay evenly spaced. The first and the last always stay. Points are a few
    numbers each, and all of them stay.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._frames: list[IteratePictures] = []
        self._order: list[int] = []  # of each kept frame, which one it was of all that came
        self._stride = 1
        self._came = 0
        self._bytes = 0
        self._points: list[CurvePoint] = []
        self._total = 0

    def append(self, frame: IteratePictures | None, point: CurvePoint, total: int = 0) -> None:
        """Add an iterate; without a frame only the curves grow. ``total`` is the number of steps of the run."""
        if frame is not None:
            self.keep(frame)
        with self._lock:
            self._points.append(point)
            self._total = total or self._total

    def keep(self, frame: IteratePictures) -> None:
        """Add a picture alone."""
        with self._lock:
            if self._order and self._order[-1] % self._stride:  # it was kept as the last one only
                self._drop(len(self._frames) - 1)
            self._frames.append(frame)
            self._order.append(self._came)
            self._came += 1
            self._bytes += frame.nbytes
            while self._bytes > self.budget and len(self._frames) > 2:
                self._thin()

    def halve(self) -> None:
        """Let every second frame go; of two or fewer, all."""
        with self._lock:
            if len(self._frames) > 2:
                self._thin()
            else:
                self._frames.clear()
                self._order.clear()
                self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Memory that the kept frames take."""
        with self._lock:
            return self._bytes

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps whose frames are kept, ascending."""
        with self._lock:
            return tuple(frame.step for frame in self._frames)

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """All points so far, ascending by step."""
        with self._lock:
            return tuple(self._points)

    @property
    def total(self) -> int:
        """How many steps the run has in all; 0 before the first one."""
        with self._lock:
            return self._total

    @property
    def last(self) -> IteratePictures | None:
        """The latest frame."""
        with self._lock:
            return self._frames[-1] if self._frames else None

    def frame_at(self, step: int) -> IteratePictures | None:
        """The kept frame that is nearest to a step, the earlier one of two; None while there is none."""
        with self._lock:
            if not self._frames:
                return None
            steps = [frame.step for frame in self._frames]
            right = bisect.bisect_left(steps, step)
            around = self._frames[max(0, right - 1) : right + 1]
            return min(around, key=lambda frame: abs(frame.step - step))

    def point_at(self, step: int) -> CurvePoint | None:
        """The point of a step; None where it has none."""
        with self._lock:
            index = bisect.bisect_left(self._points, step, key=lambda point: point.step)
            found = self._points[index] if index < len(self._points) else None
        return found if found is not None and found.step == step else None

    def _thin(self) -> None:
        self._stride *= 2
        for index in range(len(self._frames) - 2, 0, -1):
            if self._order[index] % self._stride:
                self._drop(index)

    def _drop(self, index: int) -> None:
        self._bytes -= self._frames.pop(index).nbytes
        del self._order[index]
