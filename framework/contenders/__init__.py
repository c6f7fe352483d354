"""What competes. One engine a file; each a frozen dataclass whose fields are its hyperparameters.

The classes are imported when they are first asked for: no engine is loaded by a program that does not use it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.contenders.agglomerative import Agglomerative as Agglomerative
    from framework.contenders.bag import Bag as Bag
    from framework.contenders.blend import Blend as Blend
    from framework.contenders.calibrated import Calibrated as Calibrated
    from framework.contenders.catboost import CatBoost as CatBoost
    from framework.contenders.clusters import HDBSCAN as HDBSCAN
    from framework.contenders.clusters import KMeans as KMeans
    from framework.contenders.constant import Constant as Constant
    from framework.contenders.crossed import Crossed as Crossed
    from framework.contenders.forest import ExtraTrees as ExtraTrees
    from framework.contenders.forest import RandomForest as RandomForest
    from framework.contenders.h2o import H2O as H2O
    from framework.contenders.horovod import Horovod as Horovod
    from framework.contenders.lagged import Lagged as Lagged
    from framework.contenders.lightgbm import LightGBM as LightGBM
    from framework.contenders.linear import Linear as Linear
    from framework.contenders.mixture import Mixture as Mixture
    from framework.contenders.naive import SeasonalNaive as SeasonalNaive
    from framework.contenders.neighbours import Neighbours as Neighbours
    from framework.contenders.neural import Neural as Neural
    from framework.contenders.sequence import Sequence as Sequence
    from framework.contenders.stack import Stack as Stack
    from framework.contenders.statistical import Statistical as Statistical
    from framework.contenders.svm import SVM as SVM
    from framework.contenders.torch_ddp import TorchDDP as TorchDDP
    from framework.contenders.tuned import Tuned as Tuned
    from framework.contenders.vote import Vote as Vote
    from framework.contenders.xgboost import XGBoost as XGBoost
    from framework.contenders.xgboost_ray import XGBoostRay as XGBoostRay

FILES = {
    "Agglomerative": "agglomerative",
    "Bag": "bag",
    "Blend": "blend",
    "Calibrated": "calibrated",
    "CatBoost": "catboost",
    "Constant": "constant",
    "Crossed": "crossed",
    "ExtraTrees": "forest",
    "H2O": "h2o",
    "HDBSCAN": "clusters",
    "Horovod": "horovod",
    "KMeans": "clusters",
    "Lagged": "lagged",
    "LightGBM": "lightgbm",
    "Linear": "linear",
    "Mixture": "mixture",
    "Neighbours": "neighbours",
    "Neural": "neural",
    "RandomForest": "forest",
    "SVM": "svm",
    "SeasonalNaive": "naive",
    "Sequence": "sequence",
    "Stack": "stack",
    "Statistical": "statistical",
    "TorchDDP": "torch_ddp",
    "Tuned": "tuned",
    "Vote": "vote",
    "XGBoost": "xgboost",
    "XGBoostRay": "xgboost_ray",
}

__all__ = sorted(FILES)


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no contender {name!r}; it has: {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{FILES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *FILES]
