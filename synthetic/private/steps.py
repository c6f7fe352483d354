"""What noisy steps of training cost, beside Gaussian answers given before: by opacus' accountants.

PRV: Gopi, Lee, Wutschitz 2021, https://arxiv.org/abs/2106.02848; a first guess by Rényi differential privacy.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthetic.private.budget import PrivacyError

ERROR = 0.004  # of ε, to which the PRV accountant finds it; what it tells is an upper bound
ORDERS = (1.25, 1.5, 1.75, 2.5, 3.5, *range(2, 64), 72, 96, 128, 192, 256)
LEAST_NOISE, MOST_NOISE = 0.2, 1e4
ROUGH = 25.0  # ε from which Rényi's bound alone is taken; the other takes minutes there
TRIES = 5
NEAR = 0.02  # of ε, that may be left unspent


@dataclass(frozen=True)
class Steps:
    """noise: its standard deviation over the clipped norm. rate: each row's chance to be in a step. before: ρ paid for
    Gaussian answers about all rows."""

    noise: float
    rate: float
    steps: int
    before: float = 0.0

    @property
    def history(self) -> list[tuple[float, float, int]]:
        told = [(self.noise, self.rate, self.steps)] if self.steps else []
        return [*told, (1 / math.sqrt(2 * self.before), 1.0, 1)] if self.before else told


def rough_epsilon(steps: Steps, delta: float) -> float:
    """An upper bound of ε, quickly."""
    rdp = _opacus().analysis.rdp
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of orders at the end of their range
        curve = sum(
            rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=many, orders=ORDERS)
            for noise, rate, many in steps.history
        )
        return float(rdp.get_privacy_spent(orders=ORDERS, rdp=curve, delta=delta)[0])


def epsilon_of_steps(steps: Steps, delta: float) -> float:
    """The ε of all of it at this δ: an upper bound, within 1 % of the truth; above `ROUGH` a looser one."""
    rough = rough_epsilon(steps, delta)
    if rough > ROUGH:
        return rough
    accountant = _opacus().PRVAccountant()
    accountant.history = steps.history
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of log(0) where every row is seen
        return min(rough, float(accountant.get_epsilon(delta, eps_error=ERROR * rough)))


def noise_for(epsilon: float, delta: float, *, rate: float, steps: int, before: float) -> float:
    """The noise with which these steps, after ρ paid before, cost no more than ε, and little less.

    Raises PrivacyError where no noise does.
    """
    from scipy.optimize import brentq

    def over(log_noise: float) -> float:
        return rough_epsilon(Steps(math.exp(log_noise), rate, steps, before), delta) - epsilon

    low, high = math.log(LEAST_NOISE), math.log(MOST_NOISE)
    if over(high) > 0:
        raise PrivacyError(f"no noise makes {steps} steps cost ε = {epsilon:g}. Allow a larger ε, or take fewer steps.")
    enough = LEAST_NOISE if over(low) <= 0 else math.exp(brentq(over, low, high, xtol=1e-4) + 1e-4)
    noise, power = enough, 1.0  # about, ε ~ noise ** -power
    last: tuple[float, float] | None = None
    for _ in range(TRIES):
        cost = epsilon_of_steps(Steps(noise, rate, steps, before), delta)
        if cost <= epsilon:
            enough = min(enough, noise)
            if cost >= (1 - NEAR) * epsilon:
                break
        if last is not None and noise != last[0] and cost != last[1]:
            power = min(4.0, max(0.25, -math.log(cost / last[1]) / math.log(noise / last[0])))
        last = noise, cost
        noise = max(LEAST_NOISE, noise * (cost / ((1 - NEAR / 2) * epsilon)) ** (1 / power))
    return enough


def _opacus() -> Any:
    try:
        from opacus import accountants
        from opacus.accountants import analysis  # noqa: F401
    except ImportError:
        raise PrivacyError(
            "differential privacy by noisy training needs opacus, which is not installed here: install the extra "
            "'private', or take the engine private:mst."
        ) from None
    return accountants
