"""Training where rows may not be pooled."""
