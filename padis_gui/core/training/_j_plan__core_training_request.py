"""What is to be trained, on what and how: one description for the command line, the window and the resumption."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from padis_gui.core.prior._j_network__core_network import NetworkSettings
from padis_gui.core.settings._j_files__core_atomic import write_atomically
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.training._j_looks__core_training_sight import SightSettings
from padis_gui.core.training._j_plan__core_training_plan import settings_for_prior
from padis_gui.core.training._j_settings__core_training_data_settings import DataSettings
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings
from padis_gui.core.training.state import STATE_FILE

REQUEST_FILE = "training.json"
_LARGEST = 4 * 2**20


class TrainingRequest(BaseModel):
    """A training, fully described; round-trips through JSON and lies in its folder as ``training.json``.

    ``data`` are files and folders. The network's channels follow from the data, its whole shape from ``start_from``,
    the prior to train further, where one is named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["padis-gui training"] = "padis-gui training"
    version: Literal[1] = 1
    data: tuple[Path, ...]
    data_settings: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    network: NetworkSettings = NetworkSettings()
    sight: SightSettings = SightSettings()
    name: str = ""
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    start_from: Path | None = None

    def settled(self) -> "TrainingRequest":
        """The request with the data read as the prior that it starts from calls for.

        Raises :class:`CheckpointError` where that is none.
        """
        # a training that goes on no longer needs the file it started from
        if self.start_from is None or not self.start_from.exists():
            return self
        return self.model_copy(
            update={"data_settings": settings_for_prior(self.data_settings, self.start_from)}
        )


def has_request(folder: Path) -> bool:
    """Whether a folder says how its training was meant."""
    return (Path(folder) / REQUEST_FILE).is_file()


def load_request(folder: Path) -> TrainingRequest:
    """The request in a training's folder. Raises :class:`InputError` where there is none that can be read."""
    path = Path(folder) / REQUEST_FILE
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is far too large")
        return TrainingRequest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        what = f"{folder} holds no {REQUEST_FILE}; name its data and --out {folder}, or another folder."
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror}); check its permissions."
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{path} is damaged or of another version ({where}: {first['msg']}); name its data and --out {folder}."
    except ValueError as error:
        what = f"{path} is damaged ({error}); name its data and --out {folder}."
    raise InputError(f"A training to go on with was wanted, but {what}")


def save_request(request: TrainingRequest, folder: Path) -> Path:
    """Leave the request in the folder, which is made where it is not there; returns its file.

    Raises :class:`InputError` where that cannot be done.
    """
    path = Path(folder) / REQUEST_FILE
    data = request.model_dump_json(indent=1).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and path.read_bytes() == data):
            write_atomically(path, data)
    except OSError as error:
        raise InputError(
            f"A folder for the training was wanted, but {folder} cannot be written ({error.strerror}); make room or "
            "choose another."
        ) from None
    return path


def check_resumption(request: TrainingRequest, folder: Path) -> None:
    """Raises :class:`SettingError` where the training in ``folder`` reads its data in another way than ``request``."""
    if not ((Path(folder) / STATE_FILE).exists() and has_request(folder)):
        return
    began: dict[str, Any] = load_request(folder).data_settings.model_dump()
    changed = [name for name, value in request.data_settings.model_dump().items() if began[name] != value]
    if changed:
        raise SettingError(
            f"{folder} holds a training with other settings of the data ({', '.join(changed)}); give it the same "
            "ones to resume, or train into another folder."
        )
