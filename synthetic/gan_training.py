"""How the GAN is trained, here or on Ray Train's workers: looks, the best generator kept, checkpoints."""

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.contender import Context, OutOfTimeError
from framework.training.failure import TrainingError
from synthetic.codec import Numbers
from synthetic.gan import GANCore
from synthetic.gan_conditions import Conditions
from synthetic.gan_looks import alike
from synthetic.gan_modes import Modes
from synthetic.synthesizer import Learned, seeded

if TYPE_CHECKING:
    from framework.training.crew import Crew, State
    from synthetic.gan import GAN
    from synthetic.gan_duel import Duel

HELD = 0.1  # share of the rows that likeness is told by
LEAST_HELD = 50
SPARE_SHARE = 0.05
LEAVE_SECONDS = 1.5  # for workers to hand in the generator and stop
STEPS, LEAST_BATCH = 10, 100  # an epoch has so many steps, where that leaves batches of so many rows
LASTING = 0.3  # of the training, from which on its rate falls


@dataclass
class Best:
    """The generator that drew the most alike rows, how many looks there were, and how many since without gain."""

    alike: float = -math.inf
    looks: int = 0
    idle: int = 0
    state: "dict[str, Any] | None" = None

    def hear(self, score: float, state: dict[str, Any]) -> None:
        self.looks, self.idle = self.looks + 1, self.idle + 1
        if score > self.alike:
            self.alike, self.idle, self.state = score, 0, state


def train_gan(asked: "GAN", rows: Learned, context: Context) -> GANCore:
    """The generator that drew the rows most alike to those held out.

    Raises OutOfTimeError before its first look, TrainingError where weights are no longer finite by then.
    """
    import torch

    from synthetic.gan_net import Generator

    order = seeded(context.seed, 2).permutation(len(rows))
    held = order[: max(LEAST_HELD, round(HELD * len(rows)))]
    kept = order
    if len(rows) >= 4 * LEAST_HELD:
        rest = order[len(held) :]
        kept = np.concatenate([rest, held[_unshown(rows, held, rest)]])
    learned = Learned(rows.places[kept], rows.cards, rows.codecs)
    facts: dict[str, Any] = {
        "asked": asked,
        "seed": context.seed,
        "rows": learned,
        "held": rows.places[held],
        "modes": Modes.learn(learned, context.seed),
        "spare": SPARE_SHARE * context.remaining(),
        "run": _mark(asked, rows, context.seed),
    }
    if asked.workers == 1:
        torch.set_num_threads(context.threads)
        told = learn(_alone(context), {**facts, "deadline": context.deadline})
    else:
        import ray

        from framework.training.on_ray import run

        given = {**facts, "rows": ray.put(learned), "deadline": context.deadline - LEAVE_SECONDS}
        told = run(learn_on_ray, given, engine="torch", resources=asked.resources, context=context)
    if told is None:
        raise OutOfTimeError("the time was too short for the GAN's first look. Give it more minutes.")
    conditions = Conditions(learned, facts["modes"])
    shape = {"noise": asked.noise, "inputs": asked.noise + conditions.width, "width": asked.width}
    generator = Generator(shape["inputs"], facts["modes"].width, width=asked.width)
    generator.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in told.items()})
    return GANCore(generator, facts["modes"], rows.codecs, conditions.shares, shape)


def _unshown(rows: Learned, held: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Which of the held rows have a category, or a number that is there or missing, as none of the rest has: they are
    learned from too."""
    told = []
    for tokens, card, codec in zip(rows.tokens.T, rows.cards, rows.codecs, strict=True):
        shown = codec.missing & (tokens == card - 1) if isinstance(codec, Numbers) else tokens
        told.append(~np.isin(shown[held], shown[rest]))
    return np.asarray(np.any(told, axis=0))


def learn_on_ray(facts: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """`learn` in a Ray Train worker."""
    import ray
    import torch

    from framework.training.ray_crew import RayCrew

    torch.set_num_threads(max(1, int(facts["asked"].cpus)))
    return learn(RayCrew(), {**facts, "rows": ray.get(facts["rows"])})


def learn(crew: "Crew", facts: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """One rank of a training: the best generator's weights as arrays; None where there was no time for a look.

    Random numbers start anew after every look, from the seed, the rank and the look: a training that goes on from a
    checkpoint, which comes with each look, ends as if it had never stopped.
    """
    import torch

    from synthetic.gan_duel import Duel

    asked: GAN = facts["asked"]
    rows, seed = facts["rows"], int(facts["seed"])
    context = Context(seed=seed, deadline=facts["deadline"])
    modes: Modes = facts["modes"]
    pack = asked.pack * crew.size
    batch = max(1, min(asked.batch, max(LEAST_BATCH, len(rows) // STEPS)) // pack) * asked.pack  # of this rank
    steps = asked.epochs * max(1, len(rows) // (batch * crew.size))
    every = max(1, steps // asked.looks)
    devices = [] if crew.device.type == "cpu" else [crew.device]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        duel = Duel(crew, asked, modes.encode(rows, seeded(seed, 2)), Conditions(rows, modes), modes)
        best = Best()
        if (before := crew.resume()) is not None:
            best = _restored(before, duel, facts["run"])

        def state() -> "State":
            return duel.state() | {"best": vars(best), "run": facts["run"]}

        late = False
        while duel.steps < steps and not late and not (asked.patience and best.idle >= asked.patience):
            torch.manual_seed(int(seeded(seed, 3, crew.rank, duel.steps).integers(2**62)))
            random = seeded(seed, 4, crew.rank, duel.steps)
            for _ in range(min(every, steps - duel.steps)):
                rate = asked.learning_rate * falling(duel.steps / steps)
                late = duel.step(batch, rate, random, late=context.remaining() < facts["spare"])
                if late:
                    break
            score = _look(duel, best, facts, batch, random)
            crew.report(best.looks, {"alike": score, "done": duel.steps / steps}, state)
    return None if best.state is None else {name: part.numpy() for name, part in best.state.items()}


def falling(gone: float) -> float:
    """What is left of the learning rate when a share of the training has gone: all, then less by a cosine's half."""
    return 1.0 if gone < LASTING else (1 + math.cos(math.pi * (gone - LASTING) / (1 - LASTING))) / 2


def _look(duel: "Duel", best: Best, facts: dict[str, Any], batch: int, random: np.random.Generator) -> float:
    """How alike the rows are now, told by rank 0 to all; the best generator is kept."""
    import torch

    told = torch.zeros(1, dtype=torch.float64, device=duel.crew.device)
    state: dict[str, Any] = {}
    if duel.crew.rank == 0:
        finite = duel.finite()
        if finite:
            made = duel.settled(batch, random)
            state = {name: part.clone() for name, part in made.state_dict().items()}
            core = GANCore(made, duel.modes, facts["rows"].codecs, duel.conditions.shares, duel.shape)
            told += alike(core, facts["held"], facts["seed"])
        else:
            told -= 1
    score = float(duel.crew.total(told))
    if score < 0:
        raise TrainingError(
            f"the GAN's weights are not finite after {duel.steps:,} steps. Lower learning_rate "
            f"({duel.asked.learning_rate:g})."
        )
    best.hear(score, state)
    return score


def _restored(kept: "State", duel: "Duel", run: str) -> Best:
    """Puts a checkpoint back. Raises TrainingError for one of another training."""
    if kept["run"] != run:
        raise TrainingError(
            f"the checkpoints are of another training run ({kept['run']}, and this is {run}): the rows, the seed or "
            f"the GAN's settings differ. Name a fresh folder for checkpoints, or ask for the same as before."
        )
    duel.restore(kept)
    return Best(**kept["best"])


def _alone(context: Context) -> "Crew":
    from framework.training.crew import Alone
    from framework.training.shelf import shelf_of
    from framework.training.state_shelf import StateShelf

    def hear(look: int, told: dict[str, float]) -> None:
        context.report(look, **told)

    shelf = StateShelf(shelf_of(context.checkpoints).uri) if context.checkpoints else None
    return Alone("cuda" if context.gpus > 0 else "cpu", hear, shelf=shelf, tell=context.remark)


def _mark(asked: "GAN", rows: Learned, seed: int) -> str:
    """What checkpoints must be of to be gone on from: the settings, the seed and the rows."""
    told = f"{asked!r} {seed} {rows.cards.tolist()}".encode() + np.ascontiguousarray(rows.places).tobytes()
    return hashlib.sha256(told).hexdigest()[:12]
