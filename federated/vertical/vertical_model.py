"""A net of several parties as it answers: rows with all their columns, or without those of some."""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from cluster.wire import Arrays
from federated.vertical.holding import absent
from federated.vertical.plan import NetPlan, VerticalError
from framework.contenders.native import Native
from framework.contenders.net_rows import NetRows
from framework.contenders.target import Target
from framework.data.schema import Schema

if TYPE_CHECKING:
    from torch import nn

CARD = "vertical.json"
WEIGHTS = "weights.safetensors"
TOP = "top"


@dataclass(frozen=True)
class VerticalModel:
    """All parties' nets in one place, which is what a simulation leaves and what each party's policy must allow.

    rows: of the target's owner. schemas: party → its columns, the owner first. A row of which a party knows nothing is
    answered with that party's mean embedding; so are all, where its columns are not among those given.
    """

    rows: NetRows
    schemas: dict[str, Schema] = field(repr=False)
    plan: NetPlan
    top: Arrays = field(repr=False)
    bottoms: dict[str, Arrays] = field(repr=False)
    means: dict[str, np.ndarray] = field(repr=False)
    epochs: int

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """As `Model` has it."""
        import torch

        top, bottoms = self._nets
        told = []
        with torch.inference_mode():
            for party, schema in self.schemas.items():
                inputs = self._inputs(schema, X)
                embedding = bottoms[party](torch.from_numpy(inputs))
                if party != self._owner:
                    embedding[torch.from_numpy(absent(inputs))] = torch.from_numpy(self.means[party].copy())
                told.append(embedding)
            answer = self.rows.answer(top(told)).numpy()
        return np.asarray(answer if self.rows.classes else self.rows.target.back(answer))

    def check(self) -> None:
        """Raises VerticalError naming the party whose net is none of the plan's over its columns."""
        for party, schema in self.schemas.items():
            made = _bottom(schema, self.plan).state_dict()
            asked = {name: tuple(part.shape) for name, part in made.items()}
            told = {name: part.shape for name, part in self.bottoms[party].items()}
            if wrong := sorted(name for name in {*asked, *told} if asked.get(name) != told.get(name)):
                raise VerticalError(
                    f"party {party!r} disclosed a net of other shapes: {wrong[0]!r} is {told.get(wrong[0])}, and "
                    f"{asked.get(wrong[0])} was asked for."
                )

    @property
    def _owner(self) -> str:
        return next(iter(self.schemas))

    def _inputs(self, schema: Schema, X: pd.DataFrame) -> np.ndarray:
        encoder = NetRows(Native(schema), Target(), 0)
        if set(schema.names) <= set(X.columns):
            return encoder.inputs(X[list(schema.names)])
        return np.full((len(X), encoder.native.width), np.nan, dtype=np.float32)

    @cached_property
    def _nets(self) -> "tuple[nn.Module, dict[str, nn.Module]]":
        import torch

        from federated.vertical.nets import Top

        def filled(net: "nn.Module", weights: Arrays) -> "nn.Module":
            net.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in weights.items()})
            return net.eval()

        bottoms = {
            party: filled(_bottom(schema, self.plan), self.bottoms[party]) for party, schema in self.schemas.items()
        }
        return filled(Top(len(self.schemas), self.rows.outputs, self.plan), self.top), bottoms

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {f"{TOP}|{name}": part for name, part in self.top.items()}
        for place, party in enumerate(self.schemas):  # a party's name may be any text: in the file it is a number
            arrays |= {f"{place}|{name}": part for name, part in self.bottoms[party].items()}
            arrays[f"mean|{place}"] = self.means[party]
        save_file({name: np.ascontiguousarray(part) for name, part in arrays.items()}, folder / WEIGHTS)
        self.rows.save(folder)
        schemas = [[party, schema.to_json()] for party, schema in self.schemas.items()]
        card = {"schemas": schemas, "plan": asdict(self.plan), "epochs": self.epochs}
        (folder / CARD).write_text(json.dumps(card, default=str, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        try:
            arrays = load((folder / WEIGHTS).read_bytes())
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS} does not open: {error}") from error
        parts: dict[str, Arrays] = {}
        for key, array in arrays.items():
            side, _, name = key.partition("|")
            parts.setdefault(side, {})[name] = array
        schemas = {party: Schema.from_json(schema) for party, schema in card["schemas"]}
        return cls(
            NetRows.load(folder),
            schemas,
            NetPlan(**card["plan"]),
            parts[TOP],
            {party: parts[str(place)] for place, party in enumerate(schemas)},
            {party: parts["mean"][str(place)] for place, party in enumerate(schemas)},
            card["epochs"],
        )


def _bottom(schema: Schema, plan: NetPlan) -> "nn.Module":
    """A party's net over these columns, untrained."""
    from federated.vertical.nets import Bottom

    return Bottom(NetRows(Native(schema), Target(), 0).cards, plan)
