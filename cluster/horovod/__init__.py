"""Horovod 0.28.1, which upstream gave up: its wheel, built from the source release against our torch."""
