"""Winners by name: versions and aliases in MLflow's registry, each the model folder that `Predictor.save` writes.

register → ModelVersion, promote → Promotion, rollback and archive → Change, history → History.

MLflow's own accounts guard a registry that others reach: `mlflow server --app-name basic-auth` (extra `mlflow[auth]`),
with MLFLOW_AUTH_ADMIN_PASSWORD at its first start and MLFLOW_FLASK_SERVER_SECRET_KEY; clients bear
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. Who may not write a model cannot move its aliases.
"""

from framework.registry.aliases import archive, rollback
from framework.registry.audit import Change, History, history
from framework.registry.folder import register_folder
from framework.registry.kind import Kind, check_kind
from framework.registry.lookup import KEPT, resolve, versions
from framework.registry.promotion import Promotion, RefusedError, promote
from framework.registry.pyfunc import REQUIREMENTS, Served, _load_pyfunc
from framework.registry.registration import EXPERIMENT, Won, register
from framework.registry.version import ModelVersion, RegistryError, check_name

__all__ = [
    "EXPERIMENT",
    "KEPT",
    "REQUIREMENTS",
    "Change",
    "History",
    "Kind",
    "ModelVersion",
    "Promotion",
    "RefusedError",
    "RegistryError",
    "Served",
    "Won",
    "_load_pyfunc",
    "archive",
    "check_kind",
    "check_name",
    "history",
    "promote",
    "register",
    "register_folder",
    "resolve",
    "rollback",
    "versions",
]
