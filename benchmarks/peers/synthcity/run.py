"""synthcity's generators (Qian, Cebere, van der Schaar 2023): python -m benchmarks.peers.synthcity.run FOLDER PLUGIN.

Their defaults; the rows as they are but for missing numbers, which its loader does not take: their median stands in.
"""

from collections.abc import Callable
from importlib.metadata import version

import pandas as pd
import torch
from synthcity.plugins import Plugins
from synthcity.plugins.core.dataloader import GenericDataLoader
from synthcity.utils.reproducibility import enable_reproducible_results

import benchmarks.peers.synthcity.absent  # noqa: F401  (before synthcity)
from benchmarks.peers.made_rows import Asked, answer, folder_and


def learned(asked: Asked, train: pd.DataFrame) -> tuple[Callable[[], pd.DataFrame], str]:
    torch.set_num_threads(1)
    enable_reproducible_results(asked.seed)
    whole = train.copy()
    for name in whole:
        whole[name] = whole[name].fillna("missing" if name in asked.categories else whole[name].median())
    made = Plugins().get(plugin, random_state=asked.seed, device=torch.device("cpu"), workspace=folder / "workspace")
    made.fit(GenericDataLoader(whole, target_column=None, random_state=asked.seed))

    def draw() -> pd.DataFrame:
        rows = made.generate(count=asked.rows, random_state=asked.seed).dataframe()[list(train.columns)]
        return rows.replace({name: {"missing": None} for name in asked.categories})

    return draw, version("synthcity")


if __name__ == "__main__":
    folder, plugin = folder_and("ddpm")
    answer(folder, learned)
