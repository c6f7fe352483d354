"""A multilayer perceptron as a list of arrays: what both sides of an Env can compute. Imports numpy alone."""

from collections.abc import Sequence

import numpy as np


def forward(weights: Sequence[np.ndarray], X: np.ndarray) -> np.ndarray:
    """h ← ReLU(h W + b) layer by layer, the last one without ReLU. X: shape (rows, features) → (rows, outputs).

    weights: kernel, shape (inputs, outputs), and bias, shape (outputs,), of each layer in turn.
    """
    hidden = X
    for place in range(0, len(weights), 2):
        hidden = hidden @ weights[place] + weights[place + 1]
        if place + 2 < len(weights):
            hidden = np.maximum(hidden, 0.0)
    return hidden


def error_of(outputs: np.ndarray, answers: np.ndarray) -> float:
    """The mean squared error where outputs has one column, else the log loss of class codes."""
    if outputs.shape[1] == 1:
        return float(np.mean((outputs[:, 0].astype(np.float64) - answers) ** 2))
    logits = outputs.astype(np.float64)
    logits = logits - logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(answers)), answers.astype(np.int64)]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))
