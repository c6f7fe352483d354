"""The distributed contenders by their engine's name, as a command line asks for them."""

from dataclasses import fields
from typing import Any, Literal

from cluster.user_error import UserError
from framework.contender import Contender

Engine = Literal["torch_ddp", "horovod", "xgboost", "lightgbm", "xgboost_ray"]
CLASSES: dict[Engine, str] = {
    "torch_ddp": "TorchDDP",
    "horovod": "Horovod",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "xgboost_ray": "XGBoostRay",
}


class EngineError(UserError):
    """A setting that an engine does not have."""


def engine(name: Engine, **settings: Any) -> Contender:
    """The contender of an engine; settings that are None keep its defaults.

    Raises EngineError naming a setting that this engine does not have.
    """
    from framework import contenders

    made = getattr(contenders, CLASSES[name])
    given = {key: value for key, value in settings.items() if value is not None}
    known = {field.name for field in fields(made)}
    if unknown := sorted(set(given) - known):
        among = ", ".join(f"--{each}" for each in settings if each in known)
        raise EngineError(f"--engine {name} takes no --{unknown[0]}. Of these flags it takes {among}.")
    return made(**given)  # type: ignore[no-any-return]
