"""What noisy answers about all rows cost together, told as ρ: what one Gaussian answer of noise 1 / √(2ρ) costs.

Two tables are neighbours where one has nothing in the place of one row of the other, both of the same public size
("zero-out", as `federated.privacy`: Ponomareva et al. 2023, https://arxiv.org/abs/2303.00654). Gaussian noise of σ on a
histogram of which one row changes one cell costs ρ = 1 / (2σ²); a choice by the exponential mechanism what the Gaussian
answer costs that tells no less; costs add up (Dong, Roth, Su 2022, https://arxiv.org/abs/1905.02383).
"""

import math
import secrets

import numpy as np

from framework.privacy.accountant import PrivacyError, Spend, choice_epsilon, gaussian_epsilon

LEAST_EPSILON, MOST_EPSILON = 1e-3, 100.0


def check_promise(epsilon: float, delta: float) -> None:
    """Raises PrivacyError for an ε or δ that promises nothing, or nothing that can be kept."""
    if not LEAST_EPSILON <= epsilon <= MOST_EPSILON:
        raise PrivacyError(
            f"ε = {epsilon:g} is no promise that can be kept: pass {LEAST_EPSILON:g} to {MOST_EPSILON:g}."
        )
    if not 0 < delta <= 0.01:
        raise PrivacyError(f"δ = {delta:g} must be above 0 and at most 0.01; far less than 1 in the number of rows.")


def epsilon_of(rho: float, delta: float) -> float:
    """The ε that ρ amounts to at this δ, exactly."""
    return gaussian_epsilon(deviation(rho), delta) if rho > 0 else 0.0


def rho_of(epsilon: float, delta: float) -> float:
    """The most ρ that costs no more than ε at this δ."""
    from scipy.optimize import brentq

    low, high = math.log(1e-14), math.log(4 * epsilon + 1)
    log_rho = brentq(lambda each: epsilon_of(math.exp(each), delta) - epsilon, low, high, xtol=1e-12)
    return math.exp(log_rho) * (1 - 1e-9)


def spend_of(rho: float, delta: float = 0.0) -> Spend:
    """What ρ is in a ledger, beside a chance of failure."""
    return Spend(deviation(rho), delta=delta)


def choice_rate(rho: float) -> float:
    """The ε of a choice for which ρ is paid."""
    return choice_epsilon(deviation(rho))


def secret() -> np.random.Generator:
    """Random numbers that no seed tells: who knew the seed of the noise could take it off again."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(secrets.randbits(256))))


def noisy(counts: np.ndarray, rho: float, random: np.random.Generator) -> np.ndarray:
    """Counts with Gaussian noise worth ρ, in whole numbers: no low bits tell the sum (Mironov 2012)."""
    return np.asarray(np.rint(counts + random.normal(0.0, deviation(rho), np.shape(counts))))


def deviation(rho: float) -> float:
    """The noise's standard deviation on a histogram for which ρ is paid."""
    return 1 / math.sqrt(2 * rho)


def onto_simplex(noisy_counts: np.ndarray, total: float) -> np.ndarray:
    """The nearest counts that are not negative and sum to this total, of the same shape."""
    flat = noisy_counts.ravel()
    line = np.sort(flat)[::-1]
    cut = (line.cumsum() - total) / np.arange(1, len(line) + 1)
    last = int(np.flatnonzero(line > cut)[-1])
    return np.asarray(np.maximum(noisy_counts - cut[last], 0.0))
