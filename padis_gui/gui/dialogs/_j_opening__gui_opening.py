"""Opening and writing files from the window: dialogs, recent files, drops, and a question that a file may raise."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QInputDialog, QMainWindow

from padis_gui.core.exports._j_about__core_data_stored import TIFF_SUFFIXES, carries_recipe
from padis_gui.core.files.formats.format import DatasetInfo
from padis_gui.core.runs.presets import DEFAULT_PRESET, is_bundled, resource
from padis_gui.core.runs.recipe import find_preset
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.dialogs._j_opening__gui_dialogs_datasets import DatasetChooser
from padis_gui.gui.dialogs._j_opening__gui_dialogs_slices import SliceChooser
from padis_gui.gui.kit._j_files__gui_files import (
    EXPORTS,
    IMAGES,
    PRIOR_SUFFIXES,
    PRIORS,
    choose_folder,
    choose_to_open,
)
from padis_gui.viewmodels.session._j_pages__viewmodels_series import SeriesAround
from padis_gui.viewmodels.session._j_pages__viewmodels_slices import Slices
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences


class Opening(QObject):
    """Opens what the user names, and remembers it once it is open.

    ``question`` carries a sentence and the answers to it, as :meth:`ChoiceBar.ask` takes them.
    """

    question = Signal(str, object)

    def __init__(self, window: QMainWindow, session: Session, preferences: Preferences) -> None:
        super().__init__(window)
        self._window, self._session, self._preferences = window, session, preferences
        self.slices, self.series = Slices(session), SeriesAround(session)
        session.data.dataset_wanted.connect(self._ask_dataset)
        session.data.changed.connect(self._remember_image)
        session.prior.changed.connect(self._remember_prior)
        session.training_size_wanted.connect(self._ask_training_size)

    def open_image(self, path: Path) -> None:
        """Open a file as image."""
        self._session.spawn(self._session.data.open(path))

    def open_prior(self, path: Path) -> None:
        """Open a file as prior."""
        self._session.spawn(self._session.prior.open(path))

    def open_demo(self) -> None:
        """The bundled image and prior that belong to the chosen preset, whatever is open now."""
        session = self._session
        try:
            preset = find_preset(session.method.preset or DEFAULT_PRESET)
            prior, image = resource(preset.prior), resource(preset.demo)
        except PadisError as error:
            session.message.emit("error", str(error), "")
            return

        async def both() -> None:
            if session.prior.path != prior:
                await session.prior.open(prior)
            await session.data.open(image)

        session.spawn(both())

    def choose_image(self) -> None:
        """Ask for an image."""
        start = self._preferences.folder_of("image")
        choose_to_open(self._window, "Open image", IMAGES, self.open_image, start)

    def choose_folder(self) -> None:
        """Ask for a folder of images."""
        choose_folder(self._window, "Open folder", self.open_image, self._preferences.folder_of("image"))

    def choose_page(self) -> None:
        """Show all pages of the open file to choose from."""
        open_now = self._window.findChild(SliceChooser)
        sheet = open_now or SliceChooser(self._window, self._session, self.slices)
        sheet.show()
        sheet.raise_()
        sheet.view.setFocus()

    def choose_dataset(self) -> None:
        """Show what else the open file holds."""
        session, path = self._session, self._session.data.path

        async def look() -> None:
            if path is not None and not await session.data.offer_datasets(path):
                session.message.emit("info", f"{path.name} holds nothing else that could be read.", "")

        session.spawn(look())

    def _ask_dataset(self, path: Path, found: tuple[DatasetInfo, ...]) -> None:
        chooser = DatasetChooser(self._window, self._session, path, found)
        chooser.show()
        chooser.list.setFocus()

    def choose_prior(self) -> None:
        """Ask for a prior."""
        start = self._preferences.folder_of("prior")
        choose_to_open(self._window, "Open checkpoint", PRIORS, self.open_prior, start)

    def choose_restore(self) -> None:
        """Ask for an exported file, and bring back the run that made it."""
        start = self._preferences.folder_of("export")
        choose_to_open(self._window, "Restore run", EXPORTS, self.restore, start)

    def restore(self, path: Path) -> None:
        """Bring back the run that made an exported file."""
        self._preferences.went_to("export", path)
        self._session.spawn(self._session.restore(path))

    def _remember_image(self) -> None:
        path = self._session.data.path
        if path is not None and not is_bundled(path):
            self._preferences.opened("image", path)

    def _remember_prior(self) -> None:
        path = self._session.prior.path
        if path is not None and not is_bundled(path):
            self._preferences.opened("prior", path)

    def drag_enter(self, event: QDragEnterEvent) -> None:
        """Take files, while nothing runs."""
        if event.mimeData().hasUrls() and not self._session.run.active:
            event.acceptProposedAction()

    def drop(self, event: QDropEvent) -> None:
        """Open the first file: a prior where its name says so, else an image; of an export, ask what is wanted."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        for path in paths[:1]:
            if path.suffix.lower() in PRIOR_SUFFIXES:
                self.open_prior(path)
            elif path.suffix.lower() in (*TIFF_SUFFIXES, ".json"):
                self._session.spawn(self._dropped(path))
            else:
                self.open_image(path)
            event.acceptProposedAction()

    async def _dropped(self, path: Path) -> None:
        """An exported TIFF may be wanted as an image or for its run; the JSON beside one only for that."""
        if not await self._session.io(carries_recipe, path):
            self.open_image(path)
        elif path.suffix.lower() == ".json":
            self.restore(path)
        else:
            self.question.emit(
                f"{path.name} was exported by padis-gui and knows how it was made.",
                (
                    (
                        "Restore the run", "Bring back its image, prior, settings and seed, and show its result",
                        lambda: self.restore(path),
                    ),
                    ("Open as image", "Take its pixels as a truth for runs of your own", lambda: self.open_image(path)),
                    ("Neither", "Leave everything as it is", lambda: None),
                ),
            )  # fmt: skip

    def _ask_training_size(self, path: Path, padded: int) -> None:
        """Ask for what a published snapshot leaves open, and open it with the answer."""
        dialog = QInputDialog(self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Size of the training images")
        dialog.setLabelText(
            f"{path.name} was trained on images that were zero-padded to {padded} px a side.\n"
            "How large were they without the padding, in px?"
        )
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setIntRange(8, padded)
        dialog.setIntStep(2)
        dialog.setIntValue(max(8, padded - 48))
        dialog.intValueSelected.connect(
            lambda size: self._session.spawn(self._session.prior.open(path, size))
        )
        dialog.open()
