"""What is asked of synthetic rows and cannot be."""

from cluster.user_error import UserError


class ConditionError(UserError):
    """A condition on a column or value that the rows learned from never had, or that a constraint forbids."""
