"""`python -m benchmarks.federated rounds`, or another of the measurements; each has its own --help."""

import sys
from importlib import import_module

KINDS = ("rounds", "scale", "robust", "cox", "parties", "trees")

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in KINDS:
        sys.exit(f"python -m benchmarks.federated {'|'.join(KINDS)}")
    import_module(f"benchmarks.federated.{sys.argv[1]}").main(sys.argv[2:])
