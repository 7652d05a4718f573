"""The iterates of a run to look at: GIF, or MP4 where there is an encoder."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.exports.content import RunContent
from padis_gui.core.exports.report import Bytes, as_bytes, as_seen, enlarged, picture
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, writing_atomically

_CAPTION = 22  # px below the picture
_LAST_MS = 1500  # how long the last iterate stays
_ENCODER_SECONDS = 600


def write_animation(
    path: Path,
    frames: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    window: tuple[float, float],
    settings: FileSettings,
) -> None:
    """Write pictures (rows, columns) or (rows, columns, 3), a label under each, as ``settings`` say. Atomic.

    Black and white are the ends of ``window``; small pictures are enlarged. Frames are made one after the other.
    Raises :class:`InputError` where the file cannot be written or the encoder is missing or fails.
    """
    made = (
        _captioned(enlarged(as_bytes(frame, *window)), label)
        for frame, label in zip(frames, labels, strict=True)
    )
    write = _write_mp4 if settings.animation == "MP4" else _write_gif
    check_encoder(settings)
    with failures_said("The animation", path), writing_atomically(path) as file:
        write(file, made, len(frames), settings.frame_ms)


def export_animation(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the iterates to look at; returns what was written, in words.

    Raises :class:`InputError` where no iterates are kept or the encoder is missing or fails.
    """
    pictures = [as_seen(iterate.pixels, volume=run.result.image.is_volume) for iterate in run.iterates]
    labels = [
        iterate.label("noise level") for iterate in run.iterates
    ]  # the captions' font has no Greek letters
    write_animation(path, pictures, labels, run.result.window, settings)
    return f"{len(pictures)} iterates"


def note_of_animation(settings: FileSettings, kept: str) -> str:
    """What will be written, or that it cannot be made here; ``kept`` says which iterates there are."""
    if settings.animation == "MP4" and encoder() is None:
        return "There is no ffmpeg on this machine, so MP4 cannot be made here; GIF always can."
    return kept


def check_encoder(settings: FileSettings) -> None:
    """Raises :class:`InputError` where an MP4 is wanted and nothing here makes one."""
    if settings.animation == "MP4" and encoder() is None:
        raise InputError(
            "A program that encodes MP4 was wanted, but ffmpeg is not installed here; install it, or choose GIF."
        )


def encoder() -> str | None:
    """The program that makes MP4; None where there is none."""
    return shutil.which("ffmpeg")


def _captioned(pixels: Bytes, label: str) -> Bytes:
    """A picture with a line of text below."""
    from PIL import ImageDraw, ImageFont

    rows = np.zeros((_CAPTION, *pixels.shape[1:]), dtype=np.uint8)
    made = picture(np.concatenate([pixels, rows]))
    font = ImageFont.load_default(size=12)
    white = 220 if made.mode == "L" else (220, 220, 220)
    ImageDraw.Draw(made).text((6, pixels.shape[0] + 3), label, fill=white, font=font)
    return np.asarray(made)


def _write_gif(file: Any, frames: Iterable[Bytes], count: int, milliseconds: int) -> None:
    images = (picture(frame) for frame in frames)
    first = next(images)
    durations = [milliseconds] * (count - 1) + [max(milliseconds, _LAST_MS)]
    first.save(
        file, "GIF", save_all=True, append_images=images, duration=durations, loop=0, optimize=False
    )  # fmt: skip


def _write_mp4(file: Any, frames: Iterator[Bytes], count: int, milliseconds: int) -> None:
    """Through ffmpeg's standard input and output: pieces of MP4 need no file that it could seek in."""
    program = encoder()
    assert program is not None  # was asked before
    first = next(frames)
    rows, columns = first.shape[:2]
    kind = "gray" if first.ndim == 2 else "rgb24"
    command = [
        program, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", kind, "-s", f"{columns}x{rows}",
        "-r", f"{1000 / milliseconds:.6g}", "-i", "-", "-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2",
        "-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "-",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=complaints)
        assert process.stdin is not None
        try:
            process.stdin.write(np.ascontiguousarray(first).tobytes())
            for frame in frames:
                process.stdin.write(np.ascontiguousarray(frame).tobytes())
            process.stdin.close()
        except BrokenPipeError:  # it has given up: it says why below
            process.stdin = None
        except BaseException:
            process.kill()
            process.wait()
            raise
        try:
            code = process.wait(_ENCODER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code:
            complaints.seek(0)
            said = " ".join(complaints.read().decode(errors="replace").split())[-200:]
            raise InputError(f"An MP4 was wanted, but ffmpeg could not make it ({said or code}); choose GIF.")
