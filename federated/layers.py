"""A net as a list of layers and of arrays: what both sides of an Env can compute. Imports numpy alone."""

from collections.abc import Callable, Sequence

import numpy as np

LSTM = "lstm"
Plan = Sequence[str]  # layer by layer: the activation behind a dense one, or `LSTM`

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # as Keras has them
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "swish": lambda x: x / (1.0 + np.exp(-x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))),
    "selu": lambda x: 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(np.minimum(x, 0.0))),
}


def perceptron(layers: int) -> list[str]:
    """The plan of so many dense layers with ReLU between them."""
    return ["relu"] * (layers - 1) + ["linear"]


def forward(weights: Sequence[np.ndarray], X: np.ndarray, plan: Plan) -> np.ndarray:
    """h ← a(h W + b) layer by layer, a as the plan has it. X: shape (rows, features), or (rows, time, channels)
    where an LSTM comes first → (rows, outputs).

    weights: kernel, shape (inputs, outputs), and bias, shape (outputs,), of each dense layer in turn; of an LSTM what
    `last_state` takes.
    """
    hidden, left = X, list(weights)
    with np.errstate(over="ignore"):
        for layer in plan:
            if layer == LSTM:
                hidden = last_state(hidden, left.pop(0), left.pop(0), left.pop(0))
            else:
                hidden = ACTIVATIONS[layer](hidden @ left.pop(0) + left.pop(0))
    return hidden


def last_state(X: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The last h of an LSTM (`framework.nets.lstm` has its equations) over windows, shape (rows, time, channels).

    kernel: shape (channels, 4 width), recurrent: (width, 4 width), bias: (4 width,), each for i, f, g and o in turn.
    """
    squash = ACTIVATIONS["sigmoid"]
    hidden = cell = np.zeros((len(X), len(recurrent)), dtype=X.dtype)
    for step in range(X.shape[1]):
        i, f, g, o = np.split(X[:, step] @ kernel + hidden @ recurrent + bias, 4, axis=1)
        cell = squash(f) * cell + squash(i) * np.tanh(g)
        hidden = squash(o) * np.tanh(cell)
    return hidden


def error_of(outputs: np.ndarray, answers: np.ndarray) -> float:
    """The mean squared error where outputs has one column, else the log loss of class codes."""
    if outputs.shape[1] == 1:
        return float(np.mean((outputs[:, 0].astype(np.float64) - answers) ** 2))
    logits = outputs.astype(np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(answers)), answers.astype(np.int64)]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))


def error_ahead(outputs: np.ndarray, answers: np.ndarray, *, squared: bool) -> float:
    """The mean error of windows, each of its steps that have an answer, and each counted by its weight.

    outputs: shape (windows, steps); answers: shape (windows, steps + 1), nan where there is none, the last column the
    weight. squared: squares of differences, else their sizes.
    """
    steps, weight = answers[:, :-1].astype(np.float64), answers[:, -1].astype(np.float64)
    there = np.isfinite(steps)
    apart = np.where(there, steps - outputs, 0.0)
    each = (apart**2 if squared else np.abs(apart)).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return float((each * weight).sum() / weight.sum())
