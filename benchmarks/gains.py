"""What do an ensemble, and the whole contest, spare of the error? Two questions, answered on the same rows.

python -m benchmarks.gains --seconds 60 --seeds 0

The best ensemble against the best single contender, on the rows they were ranked on, each predicted by models that had
not seen it: the single one was picked for having done best on just these rows, the ensemble learned its weights on
others, so the single one is the more flattered. The winner against XGBoost as it comes, on the test rows.
"""

import argparse

from benchmarks.quality import TABLES, boosted_floor
from framework import compete, line_up, load
from framework.gain import GainError, error_reduction, gain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    print("| table | metric | seed | ensemble | less error than | | winner | less error than plain XGBoost |")
    print("|---|---|---|---|---|---|---|---|")
    for table in TABLES:
        for seed in asked.seeds:
            split = load(table.data, target=table.target, metric=table.metric, seed=seed)
            minutes = asked.seconds / 60
            board = compete(line_up(split, minutes=minutes), split, minutes=minutes, folds=None)
            plain = boosted_floor(split)
            share, band = error_reduction(board.metric, split.test.truth, board.winner.predicted, plain, seed=seed)
            try:
                found = gain(board)
            except GainError:
                cells = "– | – | –"
            else:
                low, high = found.interval.low, found.interval.high
                cells = f"{found.ensemble} | {found.single} | {found.reduction:+.1%} ({low:+.1%} … {high:+.1%})"
            print(
                f"| {table.data.split('/')[-1]} | {table.metric} | {seed} | {cells} "
                f"| {board.winner.name} | {share:+.1%} ({band.low:+.1%} … {band.high:+.1%}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
