"""Synthetic rows with differential privacy: each row learned from may have been there or not."""
