"""States of a net in training that can be gone back to: its weights and its optimizer's, as plain arrays."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cluster.wire import Arrays
from federated.net_weights import taken

if TYPE_CHECKING:
    import torch
    from torch import nn

STATES = 2  # all parties have the older one while some of them have not kept the newer yet


class UnkeptError(RuntimeError):
    """A state that was never kept, or has been given up for later ones."""


class Kept:
    """The last states that a net and its optimizer were kept in, each by the epoch that it was kept after."""

    def __init__(self, net: "nn.Module", engine: "torch.optim.Optimizer") -> None:
        self._net, self._engine = net, engine
        self._states: dict[int, dict[str, Arrays]] = {}

    def keep(self, epoch: int) -> None:
        """Keeps the present state as the one after this epoch."""
        earlier = {each: state for each, state in self._states.items() if each < epoch}
        self._states = dict([*earlier.items()][1 - STATES :]) | {epoch: self._state()}

    def restore(self, epoch: int) -> None:
        """Back to the state after this epoch; later ones are given up. Raises UnkeptError where there is none."""
        if epoch not in self._states:
            raise UnkeptError(f"nothing was kept after epoch {epoch}")
        self._states = {each: state for each, state in self._states.items() if each <= epoch}
        self._load(self._states[epoch])

    def to_groups(self) -> dict[str, Arrays]:
        """All states, as a message holds arrays."""
        every = self._states.items()
        return {f"{epoch}|{part}": arrays for epoch, state in every for part, arrays in state.items()}

    def take(self, groups: Mapping[str, Arrays]) -> None:
        """Takes the states of a predecessor, as `to_groups` gave them."""
        self._states = {}
        for key, arrays in groups.items():
            epoch, _, part = key.partition("|")
            self._states.setdefault(int(epoch), {})[part] = arrays

    def _state(self) -> dict[str, Arrays]:
        slots = self._engine.state_dict()["state"]
        held = {f"{place}|{name}": part for place, slot in slots.items() for name, part in slot.items()}
        return {"weights": taken(self._net.state_dict().items()), "optimizer": taken(held.items())}

    def _load(self, state: dict[str, Arrays]) -> None:
        import torch

        self._net.load_state_dict({name: torch.from_numpy(part.copy()) for name, part in state["weights"].items()})
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for key, part in state["optimizer"].items():
            place, _, name = key.partition("|")
            slots.setdefault(int(place), {})[name] = torch.from_numpy(part.copy())
        self._engine.load_state_dict({**self._engine.state_dict(), "state": slots})
