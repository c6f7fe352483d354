"""What MLflow's accounts forbid, as a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from framework.registry.exclusive import person
from framework.registry.version import RegistryError


@contextmanager
def permitted() -> Iterator[None]:
    """Turns MLflow's refusal into a RegistryError that names the account; around or before a function that asks it."""
    try:
        yield
    except Exception as error:  # the border to MLflow, which is not imported for its exception alone
        if getattr(error, "error_code", "") != "PERMISSION_DENIED":
            raise
        raise RegistryError(
            f"the registry does not let {person()} do that. Ask its admin for the permission EDIT, or log in as "
            f"somebody who has it (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD)."
        ) from error
