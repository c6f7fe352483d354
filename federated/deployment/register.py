"""The silos that a coordinator knows: each by its name and its certificate, told to it by another way than the net."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cluster.user_error import UserError
from federated.deployment.certificate import read_certificate


class RegisterError(UserError):
    """A register of silos that cannot be read, or that does not tell silos apart."""


@dataclass(frozen=True)
class Register:
    """certificates: silo → its certificate, PEM."""

    certificates: dict[str, bytes] = field(repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Reads a JSON file, {"north": "north.pem", …}; certificates lie beside it, or where their paths say.

        Raises RegisterError for a file that is none, or two names with one certificate; CertificateError for a
        certificate that cannot be read.
        """
        file = Path(path)
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise RegisterError(f"the register of silos {file} cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise RegisterError(f"the register of silos {file} is no JSON ({error}).") from error
        plain = isinstance(listed, dict) and all(isinstance(value, str) and name for name, value in listed.items())
        if not (plain and listed):
            raise RegisterError(
                f'{file} is no register of silos. It holds names and certificates: {{"north": "n.pem"}}.'
            )
        found: dict[bytes, str] = {}
        for name, certificate in listed.items():
            shown = read_certificate(file.parent / certificate)
            if shown in found:
                raise RegisterError(f"silos {found[shown]!r} and {name!r} have one certificate; each needs its own.")
            found[shown] = name
        return cls({name: shown for shown, name in found.items()})

    @property
    def silos(self) -> tuple[str, ...]:
        return tuple(self.certificates)
