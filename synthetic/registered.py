"""Synthesizers in the registry: kept with their data card, found again by name, version or alias."""

import json
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from framework.registry import Kind, ModelVersion, RegistryError, check_kind, check_name, register_folder, resolve
from framework.tracking import TrackingError, client
from synthetic.data_card import FILE, DataCard
from synthetic.fitted import CARD, Fitted, SynthesizerStoreError

log = logging.getLogger(__name__)

SYNTHESIZER = Kind("synthesizer", CARD)
EXPERIMENT = "synthetic rows"
PAGE = "report.html"


@dataclass(frozen=True)
class Registered:
    """What came of it. uri: models:/NAME/VERSION; "": it could not be, for the reason `trouble`."""

    uri: str = ""
    trouble: str = ""

    def __str__(self) -> str:
        return f"registered: {self.uri}" if self.uri else f"not registered: {self.trouble}"


def check_free(name: str) -> None:
    """Before any work: raises RegistryError for a name that cannot be taken. A store that does not answer is told of,
    and may answer by the time that it is needed."""
    check_name(name)
    try:
        check_kind(client(), name, SYNTHESIZER)
    except TrackingError as error:
        log.warning("%s Synthetic rows are made meanwhile; what is made will be kept.", error)


def enroll(fitted: Fitted, card: DataCard, name: str, home: Path, *, report: Path | None = None) -> Registered:
    """Registers a synthesizer with its card; where the registry does not take it, all of it is kept in `home`.

    report: a page that goes with it; not with a privately learned one, of whose rows it would tell.
    Raises SDVError for an engine whose models are pickles; WriteError.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{home.name}-", dir=home.parent) as beside:
        part = Path(beside) / home.name
        part.mkdir(mode=0o700)  # it tells of the rows that it learned from
        fitted.save(part)
        card.write(part, name)
        if report is not None and report.is_file() and card.epsilon is None:
            shutil.copy(report, part / PAGE)
        try:
            return Registered(register_kept(part, name).uri)
        except (TrackingError, RegistryError) as error:
            shutil.rmtree(home, ignore_errors=True)
            part.replace(home)
            again = f"synthetic.registered.register_kept({str(home)!r}, {name!r})"
            return Registered(trouble=f"{error} The synthesizer and its card are kept in {home}; {again} tries again.")


def register_kept(folder: Path | str, name: str) -> ModelVersion:
    """Registers a folder that holds a synthesizer and its card, and makes it the champion of its name.

    Raises SynthesizerStoreError for a folder without a card; RegistryError, TrackingError as `register_folder`.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise SynthesizerStoreError(f"{folder} holds no {FILE}: recipes.synthesize --name writes one.")
    card = DataCard.from_json(json.loads(path.read_text(encoding="utf-8")))
    return register_folder(
        Path(folder), name, SYNTHESIZER, lead=card.lead, experiment=EXPERIMENT, scores=card.metrics(), tags=card.tags()
    )


def found(address: Path | str) -> Path:
    """The folder behind a folder's own path, models:/NAME@alias or models:/NAME/VERSION, on this machine.

    Raises RegistryError for what the registry does not have, or holds something else under; TrackingError.
    """
    return resolve(address, kind=SYNTHESIZER)


def open_synthesizer(address: Path | str) -> Fitted:
    """A synthesizer by its address. Raises as `found`, and as `Fitted.load`."""
    return Fitted.load(found(address))
