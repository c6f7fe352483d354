"""What a federation promises about its rows: which unit is hidden, and how well."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from cluster.wire import Facts
from framework.privacy.accountant import PrivacyError

STATELESS = frozenset(  # strategies whose silos send the change of the common weights and keep nothing
    {
        "Averaged",
        "FedAdagrad",
        "FedAdam",
        "FedAvg",
        "FedAvgM",
        "FedNova",
        "FedProx",
        "FedYogi",
        "FineTuned",
        "Krum",
        "Median",
        "NormClipped",
        "TrimmedMean",
    }
)


@dataclass(frozen=True)
class RecordLevel:
    """Each row of each silo is hidden from whoever sees all that its silo sends: (epsilon, delta)-differential privacy.

    Silos train by DP-SGD (Abadi et al. 2016, https://arxiv.org/abs/1607.00133). Neighbours are two silos of which one
    has a row where the other has nothing, both of the same public size ("zero-out": Ponomareva et al. 2023, section
    2.1, https://arxiv.org/abs/2303.00654).

    epsilon, delta: of one fit, statistics and training together. clip: the norm that each row's gradient is held to.
    statistics: the share of epsilon for what silos agree of the columns (categories, centres, quantiles); 0: these are
    declared public, leave the silo as they are, and epsilon does not cover them.
    noise: the standard deviation of training's noise over `clip`; None: as much as makes the planned rounds cost
    epsilon. Where it is given, training ends when epsilon is spent.
    """

    epsilon: float
    delta: float = 1e-5
    clip: float = 1.0
    statistics: float = 0.2
    noise: float | None = None
    unit: ClassVar[str] = "record"

    def __post_init__(self) -> None:
        _check(self.epsilon, self.delta, self.clip, self.noise)
        if not 0 <= self.statistics < 1:
            raise PrivacyError(
                f"statistics={self.statistics:g} is the share of epsilon for what is agreed of the columns: from 0 "
                f"(declared public) to below 1."
            )

    def check(self, strategies: list[str], *, keep: bool) -> None:
        """Raises PrivacyError where a silo would send or keep what the promise does not cover."""
        if strange := [name for name in strategies if name not in STATELESS]:
            raise PrivacyError(
                f"{strange[0]} cannot be trained with record-level privacy: its silos send or keep more than one noisy "
                f"change of the weights. Take one of {', '.join(sorted(STATELESS))}."
            )
        if keep:
            raise PrivacyError("keep=True leaves an optimizer's moments in the silo, which no noise covers. Leave it.")


@dataclass(frozen=True)
class SiloLevel:
    """Each silo as a whole is hidden from whoever sees the model: (epsilon, delta) for a silo more or less.

    DP-FedAvg (McMahan, Ramage, Talwar, Zhang 2018, https://arxiv.org/abs/1710.06963): the coordinator, who is trusted,
    adds up clipped changes, every silo counted alike, and Gaussian noise. What silos agree of the columns is declared
    public: epsilon does not cover it.

    clip: the norm that a silo's change of the weights is held to. share: of the silos that count in a round, drawn by
    the coordinator in secret. noise: its standard deviation over `clip`; None: so that the planned rounds cost epsilon.
    """

    epsilon: float
    delta: float = 1e-5
    clip: float = 1.0
    share: float = 1.0
    noise: float | None = None
    unit: ClassVar[str] = "silo"

    def __post_init__(self) -> None:
        _check(self.epsilon, self.delta, self.clip, self.noise)
        if not 0 < self.share <= 1:
            raise PrivacyError(f"share={self.share:g} of the silos cannot count in a round; it is above 0, at most 1.")


Privacy = RecordLevel | SiloLevel
UNITS: dict[str, type[RecordLevel] | type[SiloLevel]] = {"record": RecordLevel, "silo": SiloLevel}


def to_facts(privacy: Privacy | None) -> Facts | None:
    """Plain data; `from_facts` reads it back equal."""
    return None if privacy is None else {"unit": privacy.unit, **asdict(privacy)}


def from_facts(facts: Facts | None) -> Privacy | None:
    if facts is None:
        return None
    return UNITS[facts["unit"]](**{key: value for key, value in facts.items() if key != "unit"})


def _check(epsilon: float, delta: float, clip: float, noise: float | None) -> None:
    if not (0 < epsilon < float("inf") and 0 < delta < 1 and 0 < clip < float("inf")):
        raise PrivacyError(
            f"epsilon={epsilon:g}, delta={delta:g} and clip={clip:g} must be above 0, and delta below 1: it is the "
            f"chance that the promise fails, and belongs well below 1 / rows."
        )
    if noise is not None and not 0 < noise < float("inf"):
        raise PrivacyError(f"noise={noise:g} must be above 0. Leave it out to have it made to fit epsilon.")
