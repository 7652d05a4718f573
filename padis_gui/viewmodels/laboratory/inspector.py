"""The tile inspector: which tile is looked at, where it was shifted, at which noise level, and what came of it.

The network runs in the compute thread, beside a run or between its patch batches; while one tile is computed, the
requests that follow are merged into the last.
"""

from dataclasses import replace
from typing import Literal

import torch
from PySide6.QtCore import QObject, Signal
from torch import Tensor

from padis_gui.core.images.image import Pixels
from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.prior.prior import DenoiserCall
from padis_gui.core.prior.tiling import make_tiling, strategy_and_patch
from padis_gui.viewmodels.laboratory.export import PictureStack
from padis_gui.viewmodels.laboratory.inspection import Asked, Inspection, TileInspection
from padis_gui.viewmodels.pictures.frames import IteratePictures, channels_first
from padis_gui.viewmodels.session.following import ShownUpdates
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Failure

Input = Literal["step", "truth", "estimate"]
INPUTS: dict[Input, tuple[str, str]] = {
    "step": ("This step's own", "The noisy image of the shown step's last denoiser call, bit for bit"),
    "estimate": ("Estimate + noise", "The shown estimate with noise of the chosen level, always the same"),
    "truth": ("Truth + noise", "The known image with noise of the chosen level, always the same"),
}
_FOLLOW_MS = 400  # while a run goes on, at most so often
_FIRST_SIGMA = 0.3
_KIND = "inspect"


class Inspector(QObject):
    """``selected`` is emitted when another tile, place, level or input is chosen, ``inspected`` when a result came.

    It works only while it is ``watched``.
    """

    selected = Signal()
    inspected = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.input: Input = "step"
        self.tile = 0
        self.shift = (0, 0)
        self.sigma: float | None = None  # None: that of the shown step
        self.result: Inspection | None = None
        self._inspection = TileInspection()
        self._updates = ShownUpdates(session, _FOLLOW_MS)
        self._updates.due.connect(self._changed)

    # What there is to choose from -----------------------------------------------------------------

    @property
    def frame(self) -> IteratePictures | None:
        """The shown iterate."""
        return self._session.screen.frame()

    @property
    def partition(self) -> Partition | None:
        """The shown step's tiling; before a run a grid of the present patch size."""
        frame = self.frame
        if frame is not None and frame.partition is not None:
            return frame.partition
        prior, prepared = self._session.prior.loaded, self._session.screen.prepared
        if prior is None or prepared is None:
            return None
        shape = prepared.image.shape
        strategy, patch = strategy_and_patch(self._session.method.tiling, shape, prior)
        grid = "whole" if strategy == "whole" else "fixed"
        return make_tiling(grid, shape, patch, prior.conventions.frame).draw(torch.Generator())

    @property
    def unfit(self) -> str:
        """Why the open prior cannot take the shown step's tiles, which are of a run with another one; else ""."""
        prior, partition = self._session.prior.loaded, self.partition
        if prior is None or partition is None or partition.patch % prior.downsampling == 0:
            return ""
        return (
            f"These tiles are {partition.patch} px, and the open prior takes multiples of {prior.downsampling} px: open "
            "the prior of this run"
        )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What can be put in now."""
        frame, prepared = self.frame, self._session.screen.prepared
        known: dict[Input, bool] = {
            "step": frame is not None and frame.call is not None and self._session.screen.same_prior,
            "estimate": frame is not None and prepared is not None,
            "truth": prepared is not None and prepared.problem.truth is not None,
        }
        return tuple(name for name, there in known.items() if there)

    @property
    def used_input(self) -> Input | None:
        """What is put in: the chosen one, or the first that there is."""
        there = self.inputs
        return self.input if self.input in there else (there[0] if there else None)

    @property
    def used_sigma(self) -> float:
        """The noise level that the network is told."""
        return self.step_sigma if self.sigma is None else self.sigma

    @property
    def step_sigma(self) -> float:
        """The shown step's own noise level; a middle one before a run."""
        frame = self.frame
        call = None if frame is None else frame.call
        return _FIRST_SIGMA if call is None else call.sigma

    @property
    def home(self) -> Box | None:
        """The chosen tile where the grid has it."""
        partition = self.partition
        return None if partition is None else partition.boxes[min(self.tile, len(partition.boxes) - 1)]

    @property
    def box(self) -> Box | None:
        """The chosen tile where it was shifted to, within the padded image."""
        partition, home = self.partition, self.home
        if partition is None or home is None:
            return None
        row, column = (
            min(max(first + by, 0), length - partition.patch)
            for first, by, length in zip(
                (home.row, home.column), self.shift, partition.padded_shape, strict=True
            )
        )
        return Box(row, column, partition.patch)

    @property
    def overview(self) -> Pixels | None:
        """The whole image to choose a tile on: what is shown of the run, else the truth, else the baseline."""
        frame, pictures = self.frame, self._session.screen.subject.pictures
        if self.used_input != "truth" and frame is not None:
            return frame.estimate
        if pictures is None:
            return None
        return pictures.baseline if pictures.truth is None else pictures.truth

    # What the user does ---------------------------------------------------------------------------

    def pick(self, row: int, column: int) -> bool:
        """Choose the tile that holds an *image* pixel; False outside the image."""
        partition = self.partition
        found = None if partition is None else partition.tile_at(row, column)
        if found is not None:
            self.choose(found[0])
        return found is not None

    def choose(self, tile: int) -> None:
        """Choose a tile by its number, where the grid has it."""
        partition = self.partition
        last = 0 if partition is None else len(partition.boxes) - 1
        self.tile, self.shift = min(max(tile, 0), last), (0, 0)
        self._changed()

    def place(self, row: int, column: int) -> None:
        """Put the tile's first pixel at this row and column of the *image*; padding is negative or beyond."""
        partition, home = self.partition, self.home
        if partition is not None and home is not None:
            self.shift = row + partition.pad[0] - home.row, column + partition.pad[1] - home.column
            self._hold_inside()

    def move(self, rows: int, columns: int) -> None:
        """Shift the tile by that many pixels."""
        self.shift = self.shift[0] + rows, self.shift[1] + columns
        self._hold_inside()

    def put_back(self) -> None:
        """Where the grid has it."""
        self.shift = (0, 0)
        self._changed()

    def set_sigma(self, sigma: float | None) -> None:
        """Tell the network another noise level; None for the shown step's own."""
        self.sigma = sigma
        self._changed()

    def set_input(self, chosen: Input) -> None:
        """Put in another image."""
        self.input = chosen
        self._changed()

    def watch(self, watched: bool) -> None:
        """Whether somebody looks; nothing is computed otherwise."""
        self._updates.wanted = watched
        self.selected.emit()

    @property
    def watched(self) -> bool:
        """Whether somebody looks."""
        return self._updates.wanted

    def pages(self) -> PictureStack | None:
        """The pictures of the present result; None while there is none."""
        found = self.result
        if found is None:
            return None
        tile, home = found.tile, found.home
        metrics = {
            "sigma": tile.sigma, "c_skip": tile.c_skip, "c_out": tile.c_out, "c_in": tile.c_in, "c_noise": tile.c_noise,
            "influence_rms": found.influence_rms, "moved_rms": found.moved_rms,
        }  # fmt: skip
        details = {
            "input": self.used_input, "step": found.step, "patch": tile.box.size, "row": tile.box.row,
            "column": tile.box.column, "home_row": home.row, "home_column": home.column,
        }  # fmt: skip
        return PictureStack(
            name="inspected tile", pictures=dict(found.pictures), metrics=metrics, details=details
        )

    # Computing ------------------------------------------------------------------------------------

    def _hold_inside(self) -> None:
        box, home = self.box, self.home
        if box is not None and home is not None:
            self.shift = box.row - home.row, box.column - home.column
        self._changed()

    def _changed(self) -> None:
        self.selected.emit()
        if not self.watched:
            return
        asked = self._asked()
        if asked is None:
            self._session.compute_requests.forget(_KIND)
            if self.result is not None:
                self.result = None
                self.inspected.emit()
            return
        self._session.compute_requests.ask(
            _KIND, lambda check: self._inspection.inspect(asked, check), self._take
        )

    def _asked(self) -> Asked | None:
        session, box, home, partition = self._session, self.box, self.home, self.partition
        found, prepared = self._source(), session.screen.prepared
        prior = session.prior.loaded
        if prior is None or prepared is None or found is None:
            return None
        origin, source = found
        if isinstance(source, Tensor):  # perhaps of a run whose prior had other channels
            if len(source) == 1 < prior.channels:
                source = source.expand(prior.channels, -1, -1)
            elif prior.channels not in (1, len(source)):
                return None
        if box is None or home is None or partition is None or self.unfit:
            return None
        frame = self.frame
        step = frame.step if frame is not None and self.used_input != "truth" else None
        return Asked(
            prior=prior, image=prepared.image, origin=origin, source=source, sigma=self.used_sigma,
            partition=partition, home=home, row=box.row, column=box.column, step=step,
        )  # fmt: skip

    def _source(self) -> tuple[object, DenoiserCall | Tensor] | None:
        """What is put in, and what it was made from."""
        frame, prepared, chosen = self.frame, self._session.screen.prepared, self.used_input
        if prepared is None or chosen is None:
            return None
        if chosen == "truth":
            truth = prepared.problem.truth
            return None if truth is None else (prepared, truth)
        if frame is None:
            return None
        if chosen == "step":
            return None if frame.call is None else (frame, frame.call)
        return frame, replace(prepared.image, pixels=channels_first(frame.estimate)).to_unit()

    def _take(self, result: Inspection | Failure | None) -> None:
        if result is None:
            return
        if isinstance(result, Failure):
            self._session.message.emit("error", result.sentence, result.details)
            return
        self.result = result
        self.inspected.emit()
