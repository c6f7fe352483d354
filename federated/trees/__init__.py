"""Boosted trees where rows may not be pooled."""
