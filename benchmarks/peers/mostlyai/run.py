"""mostlyai-engine's TabularARGN (https://arxiv.org/abs/2501.12012): python -m benchmarks.peers.mostlyai.run FOLDER.

Its defaults; the argument `open` leaves its protection of rare values off, as ours has none.
"""

from collections.abc import Callable
from importlib.metadata import version

import pandas as pd
import torch
from mostlyai.engine import TabularARGN

from benchmarks.peers.made_rows import Asked, answer, folder_and


def learned(asked: Asked, train: pd.DataFrame) -> tuple[Callable[[], pd.DataFrame], str]:
    torch.set_num_threads(1)
    argn = TabularARGN(random_state=asked.seed, device="cpu", value_protection=protection != "open")
    argn.fit(train)
    return lambda: argn.sample(n_samples=asked.rows)[list(train.columns)], version("mostlyai-engine")


if __name__ == "__main__":
    folder, protection = folder_and()
    answer(folder, learned)
