"""Why a federation ends before its time."""

from cluster.user_error import UserError


class FederationError(UserError):
    """A federation that cannot go on; the silos that are to blame are named."""
