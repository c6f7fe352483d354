"""What stands in the way of learning series, in an own file because clocks, panels and engines raise it."""

from cluster.user_error import UserError


class SeriesError(UserError):
    """Rows that are no series, or series that cannot be learned or drawn as asked."""
