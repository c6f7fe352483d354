"""The engines by the names that a command line takes."""

from typing import TYPE_CHECKING, Any

from cluster.user_error import UserError
from synthetic.synthesizer import Synthesizer

if TYPE_CHECKING:
    from framework.privacy.allowance import Allowance

OURS = ("copula", "ar", "gan", "diffusion")
PRIVATE = ("private:mst", "private:ar", "private:gan")  # with differential privacy; the first is `auto`
GAN_STEP, DIFFUSION_STEP = 0.06, 0.02  # seconds of a step on one CPU


class EngineError(UserError):
    """An engine that is not known."""


def names() -> tuple[str, ...]:
    """All of them."""
    from synthetic.sdv import METHODS

    return *OURS, *(f"sdv:{method}" for method in METHODS), *PRIVATE


def engine(name: str, **settings: Any) -> Synthesizer:
    """The engine of this name, its settings over the defaults. Raises EngineError naming those there are."""
    if name == "ar":
        from synthetic.ar import AR

        return AR(**settings)
    if name == "gan":
        from synthetic.gan import GAN

        return GAN(**settings)
    if name == "diffusion":
        from synthetic.diffusion import Diffusion

        return Diffusion(**settings)
    if name == "copula":
        from synthetic.copula import Copula

        return Copula(**settings)
    if name == "private:mst":
        from synthetic.private.mst import MST

        return MST(**settings)
    if name == "private:ar":
        from synthetic.private.noisy_ar import NoisyAR

        return NoisyAR(**settings)
    if name == "private:gan":
        from synthetic.private.noisy_gan import NoisyGAN

        return NoisyGAN(**settings)
    if name not in names():
        raise EngineError(f"there is no engine {name!r}; there are: auto, {', '.join(names())}.")
    from synthetic.sdv import SDV

    return SDV(method=name.removeprefix("sdv:"), **settings)  # type: ignore[arg-type]


def private_engine(
    name: str, epsilon: float | None, delta: float, domain: str | None, target: str | None = None
) -> Synthesizer | None:
    """The engine that keeps to (ε, δ), where an ε is asked for. domain: path of a JSON file (`private.domain`). target:
    of private:mst, a column that models are to tell.

    Raises EngineError for an engine without a promise, or a promise without ε; PrivacyError, DomainError for what is
    asked of it.
    """
    from synthetic.private.budget import check_promise
    from synthetic.private.domain import Domain

    if epsilon is None:
        if name in PRIVATE or domain is not None:
            asked = f"--engine {name}" if name in PRIVATE else f"--domain {domain}"
            raise EngineError(f"{asked} is of differential privacy, and needs --epsilon: 1 is strong, 8 is weak.")
        return None
    chosen = PRIVATE[0] if name == "auto" else name
    if chosen not in PRIVATE:
        raise EngineError(f"the engine {name!r} has no differential privacy. With --epsilon take {', '.join(PRIVATE)}.")
    check_promise(epsilon, delta)
    declared = Domain() if domain is None else Domain.read(domain)
    further = {"target": target} if chosen == "private:mst" else {}
    return engine(chosen, epsilon=epsilon, delta=delta, domain=declared, **further)


def allowance_of(folder: str | None, epsilon: float | None, delta: float, *, private: bool) -> "Allowance | None":
    """What private fits are paid from. Raises EngineError for a ledger that no private fit would write to, or a limit
    without one."""
    from framework.privacy.allowance import Allowance

    if folder is None:
        if epsilon is not None:
            raise EngineError(f"--allow {epsilon:g} is of what a ledger holds: name its folder, --ledger FOLDER.")
        return None
    if not private:
        raise EngineError(
            f"--ledger {folder} counts differential privacy, and needs --epsilon: 1 is strong, 8 is weak."
        )
    return Allowance(folder, epsilon, delta)


def line_up(rows: int, seconds: float) -> tuple[Synthesizer, ...]:
    """Which of our engines compete on so many rows in so much time: all that may come to something."""
    needed = {"gan": 150 * max(5, rows / 500) * GAN_STEP, "diffusion": 150 * max(16, rows / 256) * DIFFUSION_STEP}
    return tuple(engine(name) for name in OURS if needed.get(name, 0.0) < seconds / len(OURS))
