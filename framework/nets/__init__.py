"""Nets by name: for tables, for series. Each in its own file with the paper it is from.

A net is imported when it is first asked for: no program loads torch that does not use it.
"""

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cluster.user_error import UserError

if TYPE_CHECKING:
    from torch import nn

TABLE_NETS = {  # name → (module, class)
    "mlp": ("mlp", "MLP"),
    "tabm": ("tabm", "TabM"),
    "ft_transformer": ("ft_transformer", "FTTransformer"),
}
SERIES_NETS = {
    "lstm": ("lstm", "LSTM"),
    "patches": ("patches", "Patches"),
    "tcn": ("tcn", "TCN"),
}


class NetError(UserError, ValueError):
    """A net that there is none of by that name."""


def build(name: str, *, cards: list[int], outputs: int, **shape: Any) -> "nn.Module":
    """A net of `TABLE_NETS` for rows, shape (rows, columns), that answers shape (rows, members, outputs).

    cards: for each column how many categories it has, 0 for a number. shape: what else the net's class takes.
    Rows are float32: numbers with nan for gaps, categories as codes from 0, nan or -1 for missing and unseen. Call
    `net.learn(sample)` with a sample of training rows before the first step: it fills the buffers that standardise.
    Raises NetError (a ValueError) for an unknown name.
    """
    return _made(name, TABLE_NETS, cards=cards, outputs=outputs, **shape)


def build_series(name: str, *, time: int, channels: int, horizon: int, static: int = 0, **shape: Any) -> "nn.Module":
    """A net of `SERIES_NETS` for windows, shape (batch, time, channels), that answers shape (batch, horizon).

    static: numbers about each series as a whole, given as a second tensor, shape (batch, static).
    Raises NetError (a ValueError) for an unknown name.
    """
    return _made(name, SERIES_NETS, time=time, channels=channels, horizon=horizon, static=static, **shape)


def _made(name: str, nets: dict[str, tuple[str, str]], **shape: Any) -> "nn.Module":
    if name not in nets:
        near = difflib.get_close_matches(name, nets, n=1, cutoff=0.4)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise NetError(f"There is no net {name!r}. {meant}The nets are: {', '.join(nets)}.")
    module, kind = nets[name]
    return getattr(import_module(f"{__name__}.{module}"), kind)(**shape)
