"""Set up what is missing, then open the window: `python3 packaging/run.py`.

Arguments go to padis-gui: `python3 packaging/run.py reconstruct scan.png --out result.tif`.
"""

import sys

from bootstrap import ensure, start

if __name__ == "__main__":
    sys.exit(start([str(ensure("run")), "-m", "padis_gui", *sys.argv[1:]]))
