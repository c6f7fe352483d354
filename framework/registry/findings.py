"""What was found out about a winner, as parts of its model card: what it looks at, where it is weak, is it honest."""

from collections.abc import Mapping, Sequence
from typing import Any

from framework.document import Block, Bullets, Table, Text
from framework.leaderboard import number
from framework.metric import metric
from framework.registry.evidence import Evidence

FEATURES = 12
SLICES = 12


def importance(told: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, float], ...]]:
    """What is measured of each column, and the columns with it, the most important first; ("", ()) where nothing is.

    told: `Explanation.to_json`, or nothing.
    """
    if shuffled := told.get("permutation"):
        ranked = tuple((str(each["feature"]), float(each["drop"])) for each in shuffled)
        return f"{metric(told['metric']).title} lost when the column is shuffled.", ranked
    if added := told.get("shap"):
        sizes = tuple((str(feature), float(size)) for feature, size in added["mean_size"].items())
        return f"Mean size of its contribution ({added['space']}).", sizes
    return "", ()


def looks_at(told: Mapping[str, Any]) -> tuple[Block, ...]:
    """The columns that matter most. told: `Explanation.to_json`, or nothing."""
    title, ranked = importance(told)
    if not ranked:
        return ()
    first = [pair for pair in ranked[:FEATURES] if pair[1] > 0]
    rows = tuple((str(feature), f"{value:.3g}") for feature, value in first)
    more = f" The first {len(first)} of {len(ranked)}." if len(ranked) > len(first) else ""
    table = Table(("column", ""), rows, (1,), bars=tuple(value for _, value in first), caption=title + more)
    remarks = tuple(told.get("remarks") or ())
    return (table, Bullets(remarks)) if remarks else (table,)


def slices(told: Mapping[str, Any]) -> tuple[Block, ...]:
    """The slices that are surely worse than the rest, those of single columns, and gaps between groups."""
    blocks: list[Block] = []
    if found := told.get("slices"):
        title, tried = metric(found["metric"]).title, f"{found['tried']} slices were tried"
        overall = f"{title} on all rows: {number(found['overall'])}; {tried}."
        if found["worst"]:
            worst = tuple((*_slice(each), f"{each['p_value']:.2g}") for each in found["worst"])
            head = ("surely worse than the rest", "rows", title, "95 % interval", "p")
            blocks.append(Table(head, worst, (1, 2, 3, 4), caption=overall))
        else:
            blocks.append(Text(f"{overall} None of them is surely worse than the rest."))
        single = [each for slices in found["segments"].values() for each in slices]
        if single:
            more = f" The first {SLICES} of {len(single)}." if len(single) > SLICES else ""
            lines = tuple(_slice(each) for each in single[:SLICES])
            caption = f"Values of single columns.{more}"
            blocks.append(Table(("slice", "rows", title, "95 % interval"), lines, (1, 2, 3), caption=caption))
    if gaps := told.get("fairness"):
        rates = tuple((rate, number(each["gap"]), _between(each["interval"])) for rate, each in gaps["gaps"].items())
        title = f"Gaps between the groups of {gaps['column']} in being told {gaps['positive']}."
        blocks.append(Table(("rate", "gap", "95 % interval"), rates, (1, 2), caption=title))
    return tuple(blocks)


def _slice(each: Mapping[str, Any]) -> tuple[str, ...]:
    return each["slice"], f"{each['rows']:,}", number(each["score"]), _between(each["interval"])


def _between(ends: Sequence[float]) -> str:
    return f"{number(ends[0])} … {number(ends[1])}"


def honesty(known: Evidence) -> tuple[Block, ...]:
    """What its probabilities and intervals were worth on rows that it had not learned from."""
    facts = known.predictor.facts
    blocks: list[Block] = []
    if checked := facts.get("calibration"):
        before, after = checked["brier_before"], checked["brier_after"]
        told = f"held-out Brier score {before:.4f} → {after:.4f}"
        blocks.append(Text(f"Its probabilities are calibrated ({checked['method']}): {told}."))
    if known.reliability:
        lines = tuple((f"{told:.1%}", f"{seen:.1%}", f"{rows:,}") for told, seen, rows in known.reliability)
        title = "What it told of the test rows, and how often that came true."
        blocks.append(Table(("told", "seen", "rows"), lines, (0, 1, 2), caption=title))
    if held := facts.get("intervals"):
        level, share = 100 * held["level"], 100 * held["coverage"]
        told = f"Its {level:g} % intervals held {share:.1f} % of the test rows; their median width is"
        blocks.append(Text(f"{told} {number(held['median_width'])}."))
    return tuple(blocks)


def score_of(scores: Mapping[str, float], name: str) -> str:
    """A score with its interval; "" for one that is not known."""
    if name not in scores:
        return ""
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    between = f" ({number(low)} … {number(high)})" if low is not None and high is not None else ""
    return number(scores[name]) + between
