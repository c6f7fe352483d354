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


FLAGS = {"gpus": "gpu"}  # fields that a command line calls otherwise
FIELDS = {"checkpoint_every": ("checkpoint_steps", "checkpoint_rounds")}  # settings that engines call otherwise


class EngineError(UserError):
    """A setting that an engine does not have."""


def engine(name: Engine, **settings: Any) -> Contender:
    """The contender of an engine; settings that are None keep its defaults.

    A net's workers are processes apart from the fit, even a single one, so that the fit survives them and takes no CPU.
    Raises EngineError naming a setting that this engine does not have.
    """
    from framework import contenders

    made = getattr(contenders, CLASSES[name])
    known = {field.name for field in fields(made)}
    named = {key: next((field for field in (key, *FIELDS.get(key, ())) if field in known), None) for key in settings}
    given: dict[str, Any] = {"apart": True} if "apart" in known else {}
    for key, value in settings.items():
        if value is None:
            continue
        if (field := named[key]) is None:
            among = ", ".join(f"--{FLAGS.get(each, each)}" for each, taken in named.items() if taken)
            raise EngineError(f"--engine {name} takes no --{FLAGS.get(key, key)}. Of these flags it takes {among}.")
        given[field] = value
    return made(**given)  # type: ignore[no-any-return]
