"""What noisy answers cost together: in closed form where each sees every row, by opacus' accountants where not."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cluster.user_error import UserError

ERROR = 0.004  # of ε, to which the PRV accountant finds it; what it tells is at most twice that above the truth
ROUGH = 25.0  # ε from which it is told by Rényi's bound alone: no promise is made there, and the other takes minutes
ORDERS = (1.25, 1.5, 1.75, 2.5, 3.5, *range(2, 64), 72, 96, 128, 192, 256)  # whole ones are quick to reckon
LEAST_NOISE, MOST_NOISE = 0.05, 1e5
NEAR = 0.01  # of an asked ε, that may be left unspent
TRIES = 8
ROUNDING = 1e-9  # of ε, that the closed form is told above what was found


class PrivacyError(UserError):
    """A promise of privacy that makes no sense, or cannot be kept."""


@dataclass(frozen=True)
class Spend:
    """Gaussian answers: noise, their standard deviation over the sensitivity; rate, the chance of each row to be in one
    (1: all are); steps, how many. delta: a chance of failure that comes on top."""

    noise: float
    rate: float = 1.0
    steps: int = 1
    delta: float = 0.0


def epsilon_of(spends: Sequence[Spend], delta: float) -> float:
    """The ε of all of these together at this δ, an upper bound: exact where each of them sees every row; else by the
    PRV accountant (Gopi, Lee, Wutschitz 2021, https://arxiv.org/abs/2106.02848), within 1 % of the truth; above `ROUGH`
    by Rényi differential privacy (Mironov, Talwar, Zhang 2019, https://arxiv.org/abs/1908.10530). inf where δ is used
    up."""
    left = delta - sum(spend.delta for spend in spends)
    if left <= 0:
        return math.inf
    return _exact(_merged(spends), left)


def gaussian_epsilon(noise: float, delta: float) -> float:
    """The ε of one Gaussian answer about every row, exactly: noise is its standard deviation over the sensitivity
    (Balle, Wang 2018, https://arxiv.org/abs/1805.06530, theorem 8)."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    def excess(epsilon: float) -> float:
        low, high = 0.5 / noise - epsilon * noise, -0.5 / noise - epsilon * noise
        return float(ndtr(low) - math.exp(epsilon + log_ndtr(high))) - delta

    if excess(0.0) <= 0:
        return 0.0
    most = 0.5 / noise**2 + math.sqrt(-2 * math.log(delta)) / noise  # δ ≤ exp(-(ε noise - 0.5 / noise)² / 2)
    return float(brentq(excess, 0.0, most, xtol=1e-12)) * (1 + ROUNDING)


def choice_epsilon(noise: float) -> float:
    """The ε at which a choice by the exponential mechanism tells no more than a Gaussian answer with this noise.

    Its log-likelihood ratios lie in a range of ε, so that its trade-off of errors is, at worst, that of two outcomes
    with odds of exp(ε/2) either way (Dong, Durfee, Rogers 2020, https://arxiv.org/abs/1909.13830); the Gaussian one
    lies below it where Φ(0.5 / noise) = 1 / (1 + exp(-ε/2)), and so it does beside any other answers (Dong, Roth, Su
    2022, https://arxiv.org/abs/1905.02383).
    """
    from scipy.special import log_ndtr

    return float(2 * (log_ndtr(0.5 / noise) - log_ndtr(-0.5 / noise)))


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
        raise PrivacyError(f"no noise makes {steps} steps cost ε = {epsilon:g}. Ask for more, or for fewer of them.")
    if roughly(math.log(LEAST_NOISE)) <= 0:
        return LEAST_NOISE
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
    """By Rényi differential privacy; exact where every row is seen each time."""
    if not history:
        return 0.0
    if len(history) == 1 and history[0][1] >= 1:
        return gaussian_epsilon(history[0][0], delta)
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
    rough = _rough(history, delta)
    if not rough or rough > ROUGH or (len(history) == 1 and history[0][1] >= 1):
        return rough
    from opacus.accountants import PRVAccountant

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of log(0) where every row is seen
        accountant = PRVAccountant()
        accountant.history = [*history]
        return min(rough, float(accountant.get_epsilon(delta, eps_error=ERROR * rough)))
