"""SDV 2.0's single-table synthesizers, behind our codecs, conditions and constraints (https://docs.sdv.dev).

SDV and ctgan are under the Business Source License 1.1, which forbids to offer synthetic data made by them to third
parties as a commercial service. They are an extra, and nothing else here needs them.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Context
from synthetic.codec import Codec, Numbers
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted, fit_by
from synthetic.synthesizer import Allowed, Learned, seeded

Method = Literal["gaussian_copula", "ctgan", "tvae", "copula_gan"]
METHODS: tuple[Method, ...] = get_args(Method)
CLASSES: dict[Method, str] = {
    "gaussian_copula": "GaussianCopulaSynthesizer",
    "ctgan": "CTGANSynthesizer",
    "tvae": "TVAESynthesizer",
    "copula_gan": "CopulaGANSynthesizer",
}
LICENCE = (
    "SDV is under the Business Source License 1.1: do not offer rows made by it to third parties as a commercial "
    "service"
)
TABLE = "table"


class SDVError(UserError):
    """SDV is not installed, or cannot do what was asked."""


@dataclass(frozen=True)
class SDV:
    """method: which of SDV's. epochs: of its nets; None: SDV's own default (300). It knows no deadline."""

    method: Method = "gaussian_copula"
    epochs: int | None = None
    name: str = ""
    licence: ClassVar[str] = LICENCE

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SDVError(f"SDV has no method {self.method!r}; there are: {', '.join(METHODS)}.")
        if not self.name:
            object.__setattr__(self, "name", f"sdv:{self.method}")

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `Synthesizer.fit`. Raises SDVError where the extra is not installed."""
        return fit_by(self, frame, constraints, context, self._core)

    def _core(self, rows: Learned, context: Context) -> "SDVCore":
        context.remark(LICENCE)
        try:
            from sdv import single_table
            from sdv.metadata import Metadata
        except ImportError as error:
            raise SDVError(
                f"the engine {self.name} needs SDV, which is not installed: pip install 'contenders[synthetic]'. "
                f"{LICENCE}."
            ) from error
        table = _as_table(rows)
        columns = {
            name: {"sdtype": "numerical" if dtype == np.float64 else "categorical"}
            for name, dtype in table.dtypes.items()
        }
        metadata = Metadata.load_from_dict({"tables": {TABLE: {"columns": columns}}})
        asked: dict[str, Any] = {}
        if self.method != "gaussian_copula":
            asked = {"enable_gpu": False} | ({} if self.epochs is None else {"epochs": self.epochs})
        with warnings.catch_warnings(), seeds(context.seed):
            warnings.simplefilter("ignore")
            made = getattr(single_table, CLASSES[self.method])(metadata, **asked)
            made.fit({TABLE: table})
        return SDVCore(made, rows.codecs)


class SDVCore:
    """An SDV synthesizer. SDV keeps its models as pickles alone, so this is never saved."""

    exact: ClassVar[bool] = False

    def __init__(self, made: Any, codecs: tuple[Codec | None, ...]) -> None:
        self.made, self.codecs = made, codecs

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        """Each call from a seed of its own: SDV's fixed one would give all workers the same rows."""
        random = seeded(seed)
        state = int(random.integers(2**31))
        with warnings.catch_warnings(), seeds(state):
            warnings.simplefilter("ignore")
            self.made.reset_sampling()
            self.made._set_random_state(state)
            table = self.made.sample(rows)[TABLE]
        places = np.empty((len(table), len(self.codecs)))
        for at, codec in enumerate(self.codecs):
            column = table[str(at)]
            if isinstance(codec, Numbers):
                places[:, at] = codec.place(np.round(column.to_numpy(dtype=np.float64), codec.decimals))
            else:
                places[:, at] = column.astype(np.int64) + random.random(len(table)) * (1 - 1e-9)
        return places

    def save(self, folder: Path) -> None:
        raise SDVError(
            "SDV keeps its models as pickles, which run code when they are opened: this one is not saved. Write its "
            "rows, or take an engine of our own."
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        raise SDVError(f"{folder} cannot hold a model of SDV's: they are never saved.")


@contextmanager
def seeds(seed: int) -> Iterator[None]:
    """Within it the global random numbers of numpy and torch, which SDV draws from, start from a seed; after it they
    go on as before."""
    import torch

    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def _as_table(rows: Learned) -> pd.DataFrame:
    """Numbers as float64, all else as texts of tokens."""
    made: dict[str, Any] = {}
    for at, codec in enumerate(rows.codecs):
        if isinstance(codec, Numbers):
            made[str(at)] = codec.values_at(rows.places[:, at])
        else:
            made[str(at)] = rows.tokens[:, at].astype(str).astype(object)
    return pd.DataFrame(made)
