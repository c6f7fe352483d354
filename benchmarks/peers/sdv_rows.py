"""SDV 2.0 as its documentation has it, without our codecs: python -m benchmarks.peers.sdv_rows FOLDER CLASS.

It runs in our own environment, of which it is an extra. Its defaults; metadata detected, then told which columns are
categories.
"""

import warnings
from collections.abc import Callable
from importlib.metadata import version

import pandas as pd
import torch

from benchmarks.peers.made_rows import Asked, answer, folder_and


def learned(asked: Asked, train: pd.DataFrame) -> tuple[Callable[[], pd.DataFrame], str]:
    from sdv import single_table
    from sdv.metadata import Metadata

    from synthetic.sdv import seeds

    torch.set_num_threads(1)
    kinds = {
        name: {"sdtype": "categorical" if name in asked.categories else "numerical"}
        | ({"sdtype": "datetime"} if name in asked.dates else {})
        for name in train
    }
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": kinds}}})
    further = {} if method.startswith("Gaussian") else {"enable_gpu": False}
    with warnings.catch_warnings(), seeds(asked.seed):
        warnings.simplefilter("ignore")
        made = getattr(single_table, method)(metadata, **further)
        made.fit({"table": train})

    def draw() -> pd.DataFrame:
        with warnings.catch_warnings(), seeds(asked.seed):
            warnings.simplefilter("ignore")
            rows: pd.DataFrame = made.sample(asked.rows)["table"]
        return rows[list(train.columns)]

    return draw, version("sdv")


if __name__ == "__main__":
    folder, method = folder_and("GaussianCopulaSynthesizer")
    answer(folder, learned)
