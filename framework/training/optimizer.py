"""The optimizer of the loop: AdamW, whose decay pulls at the weights of layers alone."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from framework.training.plan import Plan


def optimizer(net: "torch.nn.Module", plan: "Plan") -> "torch.optim.Optimizer":
    """AdamW (Loshchilov, Hutter 2019, https://arxiv.org/abs/1711.05101) in torch's fused kernel."""
    import torch

    asked: Any = groups(net, plan.weight_decay)
    return torch.optim.AdamW(asked, lr=plan.learning_rate, fused=True)


def groups(net: "torch.nn.Module", weight_decay: float) -> "list[dict[str, Any]]":
    """Every parameter that learns, in two groups: weights, which decay, and what does not.

    What does not: vectors (biases, the scales of norms), embeddings, and what a module names in its `undecayed`.
    """
    import torch

    weights: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for module in net.modules():
        free = getattr(module, "undecayed", ())
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            plain = parameter.dim() < 2 or isinstance(module, torch.nn.Embedding) or name in free
            (others if plain else weights).append(parameter)
    decays = ((weights, weight_decay), (others, 0.0))
    return [{"params": found, "weight_decay": decay} for found, decay in decays if found]
