"""What noisy answers cost together, by opacus' accountants."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from federated.privacy.levels import PrivacyError

ERROR = 0.004  # of ε, to which the PRV accountant finds it; what it tells is at most twice that above the truth
ROUGH = 25.0  # ε from which it is told by Rényi's bound alone: no promise is made there, and the other takes minutes
ORDERS = (1.25, 1.5, 1.75, 2.5, 3.5, *range(2, 64), 72, 96, 128, 192, 256)  # whole ones are quick to reckon
LEAST_NOISE, MOST_NOISE = 0.05, 1e5
NEAR = 0.01  # of an asked ε, that may be left unspent
TRIES = 8


@dataclass(frozen=True)
class Spend:
    """Gaussian answers: noise, their standard deviation over the sensitivity; rate, the chance of each row to be in one
    (1: all are); steps, how many. delta: a chance of failure that comes on top."""

    noise: float
    rate: float = 1.0
    steps: int = 1
    delta: float = 0.0


def epsilon_of(spends: Sequence[Spend], delta: float) -> float:
    """The ε of all of these together at this δ, an upper bound: by the PRV accountant (Gopi, Lee, Wutschitz 2021,
    https://arxiv.org/abs/2106.02848), within 1 % of the truth; above `ROUGH` by Rényi differential privacy
    (Mironov, Talwar, Zhang 2019, https://arxiv.org/abs/1908.10530). inf where δ is used up."""
    left = delta - sum(spend.delta for spend in spends)
    if left <= 0:
        return math.inf
    return _exact(_merged(spends), left)


def noise_for(epsilon: float, delta: float, *, rate: float, steps: int, before: Sequence[Spend] = ()) -> float:
    """The noise with which these steps, after what was spent `before`, cost epsilon: from `NEAR` of it to all of it.

    Raises PrivacyError where nothing is left of it.
    """
    from scipy.optimize import brentq

    left = delta - sum(spend.delta for spend in before)
    if before and (left <= 0 or _rough(_merged(before), left) >= epsilon):
        raise PrivacyError(f"of ε = {epsilon:g} nothing is left for {steps} steps. Ask for more, or spend less before.")

    def roughly(log_noise: float) -> float:
        return _rough(_merged([*before, Spend(math.exp(log_noise), rate, steps)]), left) - epsilon

    if left <= 0 or roughly(math.log(MOST_NOISE)) > 0:
        raise PrivacyError(f"no noise makes {steps} steps cost ε = {epsilon:g}. Ask for more, or for fewer rounds.")
    enough = math.exp(brentq(roughly, math.log(LEAST_NOISE), math.log(MOST_NOISE), xtol=1e-3) + 1e-3)
    noise, power = enough, 1.0  # about, ε ~ noise ** -power
    last: tuple[float, float] | None = None
    for _ in range(TRIES):
        cost = epsilon_of([*before, Spend(noise, rate, steps)], delta)
        if cost <= epsilon:
            enough = min(enough, noise)
            if cost >= (1 - NEAR) * epsilon:
                break
        if last is not None and noise != last[0] and cost != last[1]:
            power = min(4.0, max(0.25, -math.log(cost / last[1]) / math.log(noise / last[0])))
        last = noise, cost
        noise *= (cost / ((1 - NEAR / 2) * epsilon)) ** (1 / power)
    return enough


def _merged(spends: Sequence[Spend]) -> tuple[tuple[float, float, int], ...]:
    """Noise, rate and steps of each kind there is; those that see every row are together one."""
    kinds: dict[tuple[float, float], int] = {}
    whole = 0.0  # Σ 1/σ²
    for spend in spends:
        if spend.rate >= 1:
            whole += spend.steps / spend.noise**2
        elif spend.steps:
            kinds[spend.noise, spend.rate] = kinds.get((spend.noise, spend.rate), 0) + spend.steps
    if whole:
        kinds[whole**-0.5, 1.0] = 1
    return tuple(sorted((*pair, steps) for pair, steps in kinds.items()))


@lru_cache(maxsize=4096)
def _rough(history: tuple[tuple[float, float, int], ...], delta: float) -> float:
    """By Rényi differential privacy."""
    if not history:
        return 0.0
    try:
        from opacus.accountants.analysis import rdp
    except ImportError:
        raise PrivacyError(
            "differential privacy needs opacus, which is not installed here: install the extra 'private'."
        ) from None

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of orders at the end of their range
        curve = sum(
            rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=steps, orders=ORDERS)
            for noise, rate, steps in history
        )
        return max(0.0, float(rdp.get_privacy_spent(orders=ORDERS, rdp=curve, delta=delta)[0]))


@lru_cache(maxsize=4096)
def _exact(history: tuple[tuple[float, float, int], ...], delta: float) -> float:
    """By numerical composition."""
    from opacus.accountants import PRVAccountant

    rough = _rough(history, delta)
    if not rough or rough > ROUGH:
        return rough
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of log(0) where every row is seen
        accountant = PRVAccountant()
        accountant.history = [*history]
        return min(rough, float(accountant.get_epsilon(delta, eps_error=ERROR * rough)))
