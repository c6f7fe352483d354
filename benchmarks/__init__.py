"""Measurements, not tests: each file prints a Markdown table; `python -m benchmarks` makes them all."""
