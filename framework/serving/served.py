"""One model as it is served: many requests in, an answer or a reason for each out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cluster.user_error import UserError
from framework.predictor import Predictor
from framework.serving.request import RequestError, Row, reason, table

log = logging.getLogger(__name__)

Answer = dict[str, Any]
Request = Sequence[Row]  # rows of the same columns, at least one


@dataclass(frozen=True)
class Served:
    """A predictor under the name it is asked by.

    uri: where it came from, as given to `serve`. version: its number in the registry; None for a folder.
    """

    name: str
    uri: str
    version: str | None
    predictor: Predictor

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset(column.name for column in self.predictor.schema.columns)

    def example(self) -> Row:
        """A row of the training data, JSON-able."""
        return {column.name: column.example for column in self.predictor.schema.columns}

    def score(self, requests: Sequence[Request]) -> list[Answer | Exception]:
        """An answer for each request, or the reason why there is none, as if each had come alone.

        Requests are conformed together; those that do not fit, or draw a warning, are found by halving.
        """
        settled: dict[int, Exception] = {}
        fitting: list[tuple[list[int], pd.DataFrame, list[str]]] = []
        regular = [place for place, rows in enumerate(requests) if rows[0].keys() == self.columns]
        self._conform(requests, regular, fitting, settled)
        for place in sorted(set(range(len(requests))) - set(regular)):
            self._conform(requests, [place], fitting, settled)
        try:
            answers = self._predict(requests, fitting)
        except Exception as error:  # the border to the model: one request's rows must not fail its neighbours
            if len(requests) > 1:
                return [self.score([request])[0] for request in requests]
            log.exception("model %s failed on a request", self.name)
            refused = isinstance(error, ValueError | ArithmeticError)
            sentence = f"model {self.name} cannot score these rows: {reason(error)}"
            return [RequestError(sentence, status=422 if refused else 500)]
        return [settled[place] if place in settled else answers[place] for place in range(len(requests))]

    def _conform(
        self,
        requests: Sequence[Request],
        places: list[int],
        fitting: list[tuple[list[int], pd.DataFrame, list[str]]],
        settled: dict[int, Exception],
    ) -> None:
        """Adds each of these requests to `fitting` (its rows as the model takes them) or to `settled` (its error)."""
        if not places:
            return
        try:
            raw = table([row for place in places for row in requests[place]])
            X, warnings = self.predictor.schema.conform(raw, strict=True)
        except UserError as error:
            if len(places) == 1:
                settled[places[0]] = error
                return
        except Exception as error:  # the border to whatever a client sends
            if len(places) == 1:
                log.exception("model %s could not read a request", self.name)
                settled[places[0]] = RequestError(
                    f"the rows cannot be read as columns of {self.name}: {reason(error)}", status=422
                )
                return
        else:
            if not warnings or len(places) == 1:
                fitting.append((places, X, warnings))
                return
        half = len(places) // 2
        self._conform(requests, places[:half], fitting, settled)
        self._conform(requests, places[half:], fitting, settled)

    def _predict(
        self, requests: Sequence[Request], fitting: list[tuple[list[int], pd.DataFrame, list[str]]]
    ) -> dict[int, Answer]:
        """Answers by the request's place; the model is asked once for all of them."""
        if not fitting:
            return {}
        X = fitting[0][1] if len(fitting) == 1 else pd.concat([part for _, part, _ in fitting], ignore_index=True)
        items = self._items(self.predictor.answer(self.predictor.model.predict(X), X))
        answers: dict[int, Answer] = {}
        start = 0
        for places, _, warnings in fitting:
            for place in places:
                stop = start + len(requests[place])
                answers[place] = {
                    "model": self.name,
                    "version": self.version,
                    "predictions": items[start:stop],
                    "warnings": warnings,
                }
                start = stop
        return answers

    def _items(self, answered: pd.DataFrame) -> list[dict[str, Any]]:
        """One object a row: `prediction`; `probabilities` by class where the answer is a class; where there are
        intervals, `prediction_low` and `prediction_high`."""
        predictor = self.predictor
        if not predictor.problem.classified:
            names = ["prediction", *(["prediction_low", "prediction_high"] if predictor.band is not None else [])]
            columns = zip(*(answered[name].tolist() for name in names), strict=True)
            return [dict(zip(names, row, strict=True)) for row in columns]
        labels = [str(label) for label in predictor.schema.classes]
        shares = zip(*(answered[f"proba_{label}"].tolist() for label in labels), strict=True)
        return [
            {"prediction": value, "probabilities": dict(zip(labels, row, strict=True))}
            for value, row in zip(answered["prediction"].tolist(), shares, strict=True)
        ]


def flat(items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """An answer's `predictions` by column, named as `Predictor.predict` names them: `proba_<class>` for each share."""
    first = items[0]
    told = {name: [item[name] for item in items] for name in first if name != "probabilities"}
    shares = {
        f"proba_{label}": [item["probabilities"][label] for item in items] for label in first.get("probabilities", {})
    }
    return told | shares
