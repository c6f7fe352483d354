"""How a command begins a sweep: the contender by its name, and where its trials lie."""

import os
from dataclasses import dataclass
from typing import Literal

from cluster.user_error import UserError
from framework.contender import Contender
from framework.sweep.ledger import Ledger
from framework.sweep.trial import Trial

FOLDER = "sweep"  # of --out, where the trials lie
Name = Literal[
    "xgboost", "lightgbm", "catboost", "random_forest", "extra_trees", "linear", "svm", "neighbours", "neural",
    "torch_ddp", "sequence", "lagged",
]  # fmt: skip
CLASSES: dict[str, str] = {
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "random_forest": "RandomForest",
    "extra_trees": "ExtraTrees",
    "linear": "Linear",
    "svm": "SVM",
    "neighbours": "Neighbours",
    "neural": "Neural",
    "torch_ddp": "TorchDDP",
    "sequence": "Sequence",
    "lagged": "Lagged",
}


class StartError(UserError):
    """A sweep that cannot be begun, or gone on with."""


@dataclass(frozen=True)
class Start:
    """checkpoints: where a contest's sweep keeps its trials, None for nowhere. earlier: those that ended before."""

    checkpoints: str | None
    earlier: tuple[Trial, ...]


def named(name: str) -> Contender:
    """The contender of this name, as it is by default."""
    import framework.contenders

    if name not in CLASSES:
        raise StartError(f"there is no contender {name!r} to tune; take one of {', '.join(CLASSES)}.")
    made: Contender = getattr(framework.contenders, CLASSES[name])()
    return made


def start(out: str | None, who: str, *, resume: bool) -> Start:
    """Where the sweep called `who` keeps its trials under `out`, and the trials that lie there.

    Raises StartError for trials, or members of a population, that nobody asked to go on with, or none where they should
    be.
    """
    if out is None:
        if resume:
            raise StartError("--resume needs the --out folder of the sweep to go on with.")
        return Start(None, ())
    checkpoints = os.path.join(out, FOLDER)
    ledger = Ledger.at(f"{checkpoints}/{who}")
    earlier = tuple(ledger.trials())
    begun = len({trial.number for trial in earlier} | {member.number for member in ledger.members()})
    if begun and not resume:
        raise StartError(
            f"--out {out} holds {begun} trials of an earlier sweep. Pass --resume to go on, or another folder."
        )
    if resume and not begun:
        raise StartError(f"--out {out} holds no trials of {who} to go on with. Leave --resume out to begin there.")
    return Start(checkpoints, earlier)
