"""How noisy a scan is, told from itself."""

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.scans._j_scan__core_data_scans_scan import Values

_TO_DEVIATION = 1.4826  # from the median of absolute values to a Gaussian's deviation
_SMALLEST, _LARGEST = 1e-4, 0.3


def relative_noise(values: Values) -> float:
    """The noise's standard deviation relative to the root mean square of the line integrals (views, bins).

    Second differences of neighbouring readings leave noise and little of the object; their median ignores its edges
    (Donoho and Johnstone, Biometrika 81 (1994) 425, with differences for wavelets). Of both directions the smaller
    one counts, as the object only adds to it. Rounded to two digits.
    """
    strength = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    found = [_deviation(np.diff(values, 2, axis=axis)) for axis in (0, 1) if values.shape[axis] > 2]
    if strength == 0 or not found:
        return 0.0
    noise = min(min(found) / strength, _LARGEST)
    return float(f"{noise:.2g}") if noise > _SMALLEST else 0.0


def _deviation(second_differences: NDArray[np.float32]) -> float:
    return _TO_DEVIATION * float(np.median(np.abs(second_differences))) / 6**0.5
