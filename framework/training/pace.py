"""How often whoever conducts a training looks at it: every look takes CPU from the steps of all workers."""

SHORTEST, LONGEST = 0.2, 1.0  # seconds
SHARE = 0.02  # of the time gone by, that a training may have ended unnoticed


def pause(seconds: float, shortest: float = SHORTEST) -> float:
    """Seconds until the next look at workers that have trained for so long."""
    return max(shortest, min(LONGEST, SHARE * seconds))
