"""Set up what is missing, then run the tests: `python3 packaging/test.py`.

All tests run on up to four cores, file by file. Arguments go to pytest, from the root of the checkout, and then it is as
they say: `python3 packaging/test.py tests/core -k tiling`.
No screen is needed; set QT_QPA_PLATFORM to use a real one.
"""

import os
import sys

from bootstrap import ROOT, ensure, start

if __name__ == "__main__":
    arguments = sys.argv[1:] or ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile"]
    platform = {"QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
    sys.exit(start([str(ensure("test")), "-m", "pytest", *arguments], platform, ROOT))
