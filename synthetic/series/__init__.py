"""Time series that were never observed, and how they are judged."""
