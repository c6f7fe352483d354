"""The engines by the names that a command line takes."""

from typing import Any

from cluster.user_error import UserError
from synthetic.synthesizer import Synthesizer

OURS = ("copula", "ar", "gan")
GAN_STEP = 0.06  # seconds of a step on one CPU


class EngineError(UserError):
    """An engine that is not known."""


def names() -> tuple[str, ...]:
    """All of them."""
    from synthetic.sdv import METHODS

    return *OURS, *(f"sdv:{method}" for method in METHODS)


def engine(name: str, **settings: Any) -> Synthesizer:
    """The engine of this name, its settings over the defaults. Raises EngineError naming those there are."""
    if name == "ar":
        from synthetic.ar import AR

        return AR(**settings)
    if name == "gan":
        from synthetic.gan import GAN

        return GAN(**settings)
    if name == "copula":
        from synthetic.copula import Copula

        return Copula(**settings)
    if name not in names():
        raise EngineError(f"there is no engine {name!r}; there are: auto, {', '.join(names())}.")
    from synthetic.sdv import SDV

    return SDV(method=name.removeprefix("sdv:"), **settings)  # type: ignore[arg-type]


def line_up(rows: int, seconds: float) -> tuple[Synthesizer, ...]:
    """Which of our engines compete on so many rows in so much time: all that may come to something."""
    steps = 300 * rows / 500  # of the GAN at its usual length
    return tuple(engine(name) for name in OURS if name != "gan" or steps * GAN_STEP < seconds / len(OURS))
