"""How the autoregressive net is trained: by the framework's loop, here or on Ray Train's workers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from framework.contender import Context
from framework.contenders.watch import Watch
from synthetic.synthesizer import Learned, seeded, shares

if TYPE_CHECKING:
    import torch

    from framework.training.crew import Crew
    from synthetic.ar import AR
    from synthetic.ar_net import ArNet

MANY_COLUMNS = 40
LEAVE_SECONDS = 1.5  # for workers to hand in the net and stop
LEAST_HELD = 20  # rows
STEPS = 32  # of an epoch, where the rows are few
SMALLEST, LARGEST = 16, 128  # batches
MASKS = 4  # under which each held-out row is looked at


def train_net(asked: "AR", rows: Learned, context: Context) -> "tuple[ArNet, dict[str, Any]]":
    """A net that has learned these rows, and the arguments that make one of its shape."""
    import torch

    from synthetic.ar_net import WIDEST, ArNet, features

    width = asked.width or (128 if len(rows.cards) <= MANY_COLUMNS else 192)
    order = seeded(context.seed, 1).permutation(len(rows))
    held = max(LEAST_HELD, round(asked.held * len(rows))) if asked.patience and len(rows) > 4 * LEAST_HELD else 0
    smooth = {
        str(at): features(shares(rows.tokens[order[held:], at], int(card), smoothing=0.1)).shape[1]
        for at, card in enumerate(rows.cards)
        if card > WIDEST and (codec := rows.codecs[at]) is not None and codec.ranked
    }
    shape = {"cards": rows.cards.tolist(), "smooth": smooth, "width": width, "blocks": asked.blocks,
             "dropout": asked.dropout}  # fmt: skip
    facts: dict[str, Any] = {
        "shape": shape,
        "tokens": rows.tokens[order[held:]],
        "valid": rows.tokens[order[:held]],
        "asked": asked,
        "seed": context.seed,
    }
    if asked.workers == 1:
        from framework.training.crew import Alone

        torch.set_num_threads(context.threads)

        def hear(look: int, told: dict[str, float]) -> None:
            if told:
                context.report(look, **told)

        crew = Alone("cuda" if context.gpus > 0 else "cpu", hear)
        state = _learn(crew, {**facts, "deadline": context.deadline})
    else:
        import ray

        from framework.training.on_ray import run

        given = {**facts, "tokens": ray.put(facts["tokens"]), "deadline": context.deadline - LEAVE_SECONDS}
        state = run(learn_on_ray, given, engine="torch", resources=asked.resources, context=context)
    net = ArNet(**shape)
    net.load_state_dict({name: torch.from_numpy(np.array(part)) for name, part in state.items()})
    return net, shape


def learn_on_ray(facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """`_learn` in a Ray Train worker."""
    import ray

    from framework.training.ray_crew import RayCrew

    return _learn(RayCrew(), {**facts, "tokens": ray.get(facts["tokens"])})


def _learn(crew: "Crew", facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """One rank of a training: the net's weights as arrays."""
    import torch

    from framework.training.batches import Shuffled
    from framework.training.loop import train_together
    from framework.training.plan import Plan
    from synthetic.ar_net import ArNet

    asked: AR = facts["asked"]
    seed = int(facts["seed"])
    batch = asked.batch or int(np.clip(len(facts["tokens"]) // STEPS, SMALLEST, LARGEST))
    plan = Plan(
        looks=asked.epochs, batch=batch, learning_rate=asked.learning_rate, weight_decay=asked.weight_decay,
        seed=seed, schedule="cosine", memory=0.995, compile=False,
    )  # fmt: skip
    context = Context(seed=seed, deadline=facts["deadline"])
    devices = [] if crew.device.type == "cpu" else [crew.device]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        net = ArNet(**facts["shape"]).learn(facts["tokens"]).to(crew.device)
        train_together(
            net,
            Shuffled(_rows(facts["tokens"], 1, seed).to(crew.device), batch=batch, seed=seed, crew=crew),
            valid=_rows(facts["valid"], MASKS, seed).to(crew.device),
            crew=crew,
            plan=plan,
            watch=Watch(context, asked.patience),
            loss=_told,
        )
    return {name: part.detach().cpu().numpy() for name, part in net.state_dict().items()}


def _rows(tokens: np.ndarray, masks: int, seed: int) -> Any:
    """Tokens and, beside them, which are shown when the net is not training; each row under several masks."""
    import torch

    from framework.training.rows import Rows
    from synthetic.ar_net import mask

    whole = torch.from_numpy(np.tile(tokens, (masks, 1)))
    shown = mask(len(whole), tokens.shape[1], generator=torch.Generator().manual_seed(seed)).long()
    nothing = torch.zeros(len(whole))
    return Rows(torch.cat([whole, shown], dim=1), nothing, torch.ones(len(whole)))


def _told(outputs: "torch.Tensor", answers: "torch.Tensor") -> "torch.Tensor":
    """The net tells each row's loss itself."""
    return outputs
