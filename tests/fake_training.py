"""A process that speaks like a training and learns nothing: for tests of what follows one.

``python fake_training.py --resume DIR --events``; DIR/fake.json may set steps, delay (seconds a step), fail ("" or
"bad", "crash", "deaf", "noise") and every (steps between checkpoints).
"""

import contextlib
import json
import math
import os
import sys
import threading
import time
from pathlib import Path


def tell(line: str) -> None:
    """One line to whoever listens, if anybody still does."""
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


def main() -> int:
    """Emit a data event, steps with validations and looks, and the end."""
    folder = Path(sys.argv[sys.argv.index("--resume") + 1])
    wish = {"steps": 20, "delay": 0.01, "fail": "", "every": 5}
    if (folder / "fake.json").exists():
        wish |= json.loads((folder / "fake.json").read_text())
    words: list[str] = []
    come = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            words.append(line.strip())
            come.set()
        words.append("stop")
        come.set()

    if wish["fail"] == "bad":
        sys.stderr.write("padis-gui: Images were wanted, but there are none; choose others.\n")
        return 2
    if wish["fail"] != "deaf":
        threading.Thread(target=listen, daemon=True).start()
    log = (folder / "log.jsonl").open("a", encoding="utf-8")

    def say(event: str, **values: object) -> None:
        line = json.dumps({"event": event, **values})
        tell(line)
        log.write(line + "\n")
        log.flush()

    state = folder / "state.safetensors"
    step = int(state.read_text()) if state.exists() else 0

    def save() -> None:
        state.write_text(str(step))
        (folder / "prior.safetensors").write_text("no prior")
        say("saved", step=step)

    total = int(sys.argv[sys.argv.index("--steps") + 1]) if "--steps" in sys.argv else wish["steps"]
    say(
        "data", step=step, total=total, name=folder.name, images=12, subjects=12, validation=1, image_size=64,
        channels=1, window=[0, 1], unit="", skipped=[],
    )  # fmt: skip
    paused = False
    while step < total:
        if wish["fail"] == "crash" and step == 5:
            os.abort()
        while words or paused:
            if not words:
                come.wait()
                come.clear()
                continue
            word = words.pop(0)
            if word == "stop":
                save()
                return 0
            if word in ("pause", "resume"):
                paused = word == "pause"
                say("paused" if paused else "resumed", step=step)
        time.sleep(wish["delay"])  # sleep: what a step takes is played
        step += 1
        loss = 0.05 + 0.5 * math.exp(-4 * step / total)
        say(
            "step", step=step, total=total, loss=loss, average=loss, patch=32, patches_seen=97 * step,
            patches_per_second=485.0, left=0.2 * (total - step), seconds=0.2 * step, losses={"32": loss, "16": 2 * loss},
            levels=[None, *(loss * (5 - n) for n in range(5)), loss], memory=5 * 2**27,
        )  # fmt: skip
        if wish["fail"] == "noise":
            tell("this is no event")
            tell('{"event": "step", "step": "three"}')
        if step % wish["every"] == 0 or step == total:
            save()
            say("validation", step=step, loss=1.2 * loss)
            say(
                "look", step=step, file=f"looks/{step:06d}.npz", psnr=31 - 20 * loss, ssim=0.9, baseline_psnr=22.5,
                baseline_ssim=0.5, problem="CT, 20 views", baseline_name="FBP", seconds=1.0, trouble="",
            )  # fmt: skip
    say("done", step=step, stopped="", prior="prior.safetensors", seconds=0.2 * step)
    return 0


if __name__ == "__main__":
    sys.exit(main())
