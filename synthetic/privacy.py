"""What synthetic rows tell of those learned from: copies, and how well an attacker can say who was among them.

Attacks are run as an attacker would, and scored where it counts: how many members are named when 1 % of the strangers
are (Carlini et al. 2022). Distances to the closest record are a smoke test alone: what passes it can still leak
(https://arxiv.org/abs/2505.01524).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from synthetic.attacks.inference import infer
from synthetic.attacks.linkability import link
from synthetic.attacks.risk import Risk
from synthetic.attacks.singling_out import single_out
from synthetic.copula import learn_copula
from synthetic.fitted import Fitted
from synthetic.sharded import row_keys
from synthetic.space import Space
from synthetic.synthesizer import Filling, Learned, seeded

FALSE_POSITIVES = 0.01
MOST_ROWS = 2_000  # that an attack asks about, of members and of strangers each
FLOOR = 1e-6
RISKS = {"singling out": single_out, "linkability": link, "attribute inference": infer}  # by who has rows alone


@dataclass(frozen=True)
class Attack:
    """auc: 0.5 is a coin. caught: members named at 1 % false positives; 0.01 is a coin. members, strangers: asked of.

    inside: it asks the model itself; who was given rows alone cannot run it.
    """

    auc: float
    caught: float
    members: int
    strangers: int
    inside: bool = False

    @property
    def chance(self) -> float:
        """The most that `caught` may be by luck alone where nothing leaks, at two standard errors: the share of all
        strangers beyond the threshold is Beta distributed, for it is one of these few strangers that sets it."""
        from scipy.stats import beta

        beyond = self.strangers - 1 - int(np.ceil((1 - FALSE_POSITIVES) * (self.strangers - 1)))
        most = float(beta.ppf(0.977, beyond + 1, self.strangers - beyond))
        return most + 2 * float(np.sqrt(FALSE_POSITIVES * (1 - FALSE_POSITIVES) / self.members))

    @property
    def even(self) -> float:
        """The same for the AUC."""
        return 0.5 + 2 * float(np.sqrt((1 / self.members + 1 / self.strangers) / 12))


@dataclass(frozen=True)
class Privacy:
    """attacks: on membership, by name. risks: of guesses about a row's values, by name. copies: share of synthetic rows
    equal to one learned from; copies_of_real: the same of real rows that were not learned from. closer: share of
    synthetic rows nearer to a row learned from than to one that was not; 0.5 is even."""

    attacks: Mapping[str, Attack]
    copies: float
    copies_of_real: float
    closer: float
    risks: Mapping[str, Risk] = field(default_factory=dict)

    @property
    def worst(self) -> Attack:
        """The attack that catches most."""
        return max(self.attacks.values(), key=lambda attack: (attack.caught - attack.chance, attack.auc))


def privacy(
    space: Space,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    fitted: Fitted | None = None,
    seed: int = 0,
) -> Privacy:
    """holdout: real rows that were not learned from; half of them are strangers to be told from members, the other half
    is what an attacker knows of the world. fitted: attacked by its likelihoods too, where it tells them."""
    order = seeded(seed).permutation(len(holdout))
    world, strangers = holdout.iloc[order[: len(order) // 2]], holdout.iloc[order[len(order) // 2 :]]
    strangers = strangers.iloc[:MOST_ROWS]
    members = train.iloc[seeded(seed, 1).permutation(len(train))[:MOST_ROWS]]
    asked = [members, strangers]
    attacks = {"nearest rows": _attack(*(_nearness(space, rows, synthetic, world) for rows in asked))}
    if fitted is not None and isinstance(fitted.core, Filling):
        attacks["likelihood ratio"] = replace(_attack(*_likelihoods(fitted, asked, world, seed)), inside=True)
    guessed = {name: attack(space, train, holdout, synthetic, seed=seed) for name, attack in RISKS.items()}
    keys = row_keys(train)
    return Privacy(
        attacks=attacks,
        copies=float(np.isin(row_keys(synthetic[train.columns]), keys).mean()),
        copies_of_real=float(np.isin(row_keys(holdout[train.columns]), keys).mean()),
        closer=_closer(space, train, holdout, synthetic, seed),
        risks={name: risk for name, risk in guessed.items() if risk is not None},
    )


def _attack(members: np.ndarray, strangers: np.ndarray) -> Attack:
    from sklearn.metrics import roc_auc_score

    scores = np.concatenate([members, strangers])
    auc = roc_auc_score(np.repeat([1, 0], [len(members), len(strangers)]), scores)
    caught = float((members > np.quantile(strangers, 1 - FALSE_POSITIVES, method="higher")).mean())
    return Attack(float(auc), caught, len(members), len(strangers))


def _nearness(space: Space, rows: pd.DataFrame, synthetic: pd.DataFrame, world: pd.DataFrame) -> np.ndarray:
    """How much nearer a synthetic row is than a real one of the world: the ratio of two densities, by nearest
    neighbours (DOMIAS: van Breugel et al. 2023)."""
    ours = space.points(rows)
    return np.log(_distance(ours, space.points(world)) + FLOOR) - np.log(
        _distance(ours, space.points(synthetic)) + FLOOR
    )


def _likelihoods(
    fitted: Fitted, asked: list[pd.DataFrame], world: pd.DataFrame, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """How much likelier the model thinks a row than a copula of the world does, over the same tokens."""
    layout, table = fitted.layout, fitted.table
    places = layout.reduce(table.encode(world))
    places = places[~np.isnan(places).any(axis=1)]
    codecs = tuple(layout.single(at, table) for at in range(len(layout.parts)))
    reference = learn_copula(Learned(places, layout.cards, codecs), seed, shrinkage=30.0)
    told = []
    for rows in asked:
        likely = fitted.log_likelihood(rows)
        beside = reference.log_likelihood(np.nan_to_num(layout.reduce(table.encode(rows))))
        told.append(np.where(np.isfinite(likely), likely - beside, -1e9))
    return told[0], told[1]


def _closer(space: Space, train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, seed: int) -> float:
    many = min(len(holdout), len(train), MOST_ROWS)
    random = seeded(seed, 2)
    learned, unseen = (space.points(part.iloc[random.permutation(len(part))[:many]]) for part in (train, holdout))
    points = space.points(synthetic.iloc[:MOST_ROWS])
    a, b = _distance(points, learned), _distance(points, unseen)
    return float((a < b).mean() + (a == b).mean() / 2)


def _distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """To the nearest of the others, shape (rows,)."""
    from sklearn.neighbors import NearestNeighbors

    return np.asarray(NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points)[0][:, 0])
