"""The trials of a sweep on a disk or an object store: what a sweep that was killed goes on from.

Ray Tune's own snapshots are periodic and would lose the last trials before a kill; here each is written as it ends.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cluster.user_error import UserError
from framework.sweep.member import Member
from framework.sweep.trial import Trial, read_fields, written
from framework.training.shelf import absolute

CARD = "sweep.json"
TRIAL = "trial-"
MODEL = "model-"
MEMBER = "member-"
BEST = "best.json"


class LedgerError(UserError):
    """Trials that are of another sweep, or cannot be kept."""


@dataclass(frozen=True)
class Ledger:
    """A folder or URI: a card of the sweep, a file for each trial that ended, one for each member of a population that
    has not, and the best model's archive with a card of its own."""

    uri: str

    @classmethod
    def at(cls, place: str) -> "Ledger":
        """The ledger at a folder or URI, whether there is one or not."""
        return cls(absolute(place))

    @classmethod
    def open(cls, place: str, card: dict[str, Any], *, who: str) -> "Ledger":
        """The ledger at `place`, begun where there is none.

        card: plain data that tells one sweep from another. Raises LedgerError when another one's trials lie there, or
        nothing can be written.
        """
        ledger, text = cls.at(place), json.dumps(card, sort_keys=True, default=str)
        known = ledger._read(CARD)
        if known is not None and known.decode(errors="replace") != text:
            raise LedgerError(
                f"{place} holds the trials of another sweep than {who}'s: the rows, the contender or its search space "
                f"differ. Name a fresh folder for checkpoints, or ask for the same as before."
            )
        if known is None:
            try:
                ledger._place[0].create_dir(ledger._place[1], recursive=True)
                ledger._write(CARD, text.encode())
            except OSError as error:
                raise LedgerError(f"{place} cannot be written to ({error}). Pass another folder.") from error
        return ledger

    def trials(self) -> list[Trial]:
        """Those that ended, by their numbers; a file that was cut short counts as none."""
        found = []
        for name in self._names(TRIAL):
            try:
                found.append(Trial.from_json(json.loads(self._read(name) or b"")))
            except (ValueError, KeyError, TypeError):
                continue
        return sorted(found, key=lambda trial: trial.number)

    def add(self, trial: Trial) -> None:
        self._write(f"{TRIAL}{trial.number:05d}.json", json.dumps(trial.to_json()).encode())

    def best(self) -> tuple[float, dict[str, Any], bytes] | None:
        """The best model so far: its score, the fields that its contender was changed in, its archive."""
        try:
            told = json.loads(self._read(BEST) or b"")
            packed = self._read(f"{MODEL}{told['number']:05d}.tar")
            return (float(told["score"]), read_fields(told["found"]), packed) if packed is not None else None
        except (ValueError, KeyError, TypeError):
            return None

    def keep(self, number: int, score: float, found: dict[str, Any], packed: bytes) -> None:
        """Keeps this trial's model as the best one, in place of those before."""
        name = f"{MODEL}{number:05d}.tar"
        self._write(name, packed)
        self._write(BEST, json.dumps({"number": number, "score": score, "found": written(found)}).encode())
        system, path = self._place
        for other in self._names(MODEL):
            if other != name:
                system.delete_file(f"{path}/{other}")

    def members(self) -> list[Member]:
        """Those of a population that were left after a span, by their numbers."""
        numbers = sorted(int(name.removeprefix(MEMBER).split(".")[0]) for name in self._names(MEMBER))
        return [member for number in numbers if (member := self.member(number)) is not None]

    def member(self, number: int) -> Member | None:
        """The member of this number; None where it was not left, or was cut short."""
        try:
            return Member.unpack(self._read(f"{MEMBER}{number:05d}.bin") or b"")
        except (ValueError, KeyError, TypeError):
            return None

    def leave(self, member: Member) -> None:
        """Keeps a member as it is now, in place of what it was."""
        self._write(f"{MEMBER}{member.number:05d}.bin", member.pack())

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from pyarrow import fs

        system, path = fs.FileSystem.from_uri(self.uri)
        return system, path.rstrip("/")

    def _names(self, prefix: str) -> list[str]:
        from pyarrow import fs

        system, path = self._place
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return [f.base_name for f in found if f.base_name.startswith(prefix) and not f.base_name.endswith(".part")]

    def _read(self, name: str) -> bytes | None:
        system, path = self._place
        try:
            with system.open_input_stream(f"{path}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        """There whole or not at all: a process may be killed at any moment."""
        system, path = self._place
        with system.open_output_stream(f"{path}/{name}.part") as stream:
            stream.write(content)
        system.move(f"{path}/{name}.part", f"{path}/{name}")
