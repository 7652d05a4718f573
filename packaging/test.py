"""Set up what is missing, then run the tests: `python3 packaging/test.py`.

Arguments go to pytest, from the root of the checkout: `python3 packaging/test.py tests/core -k tiling`.
No screen is needed; set QT_QPA_PLATFORM to use a real one.
"""

import os
import sys

from bootstrap import ROOT, ensure, start

if __name__ == "__main__":
    platform = {"QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
    sys.exit(start([str(ensure("test")), "-m", "pytest", *sys.argv[1:]], platform, ROOT))
