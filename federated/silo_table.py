"""Methods beside one another as lines of text, and what a reader has to know of their columns."""

from typing import TYPE_CHECKING

from framework.leaderboard import number
from framework.metric import CLASSES, metric

if TYPE_CHECKING:
    from federated.comparison import SiloComparison


def table(compared: "SiloComparison") -> str:
    """A line for each method, and a few below them."""
    title = metric(compared.metric).title
    head = f"{'method':24} {'R²':>15} {title:>12} {'mean RMSE':>12} {'worst RMSE':>12} {'gap closed':>11}"
    lines = [head, "-" * len(head)]
    for each in compared.methods:
        gap = "" if each.gap is None else f"{each.gap:.0%}"
        r2 = f"{each.r2:.4f}" + ("" if each.r2_spread is None else f" ± {each.r2_spread:.4f}")
        told = " ".join(f"{number(value):>12}" for value in (each.score, each.mean_rmse, each.worst_rmse))
        lines.append(f"{each.method:24} {r2:>15} {told} {gap:>11}".rstrip())
    return "\n".join([*lines, "", *_read(compared)])


def _read(compared: "SiloComparison") -> list[str]:
    """How the columns are to be read."""
    judged = metric(compared.metric)
    seeds, silos = len({score.seed for score in compared.silos}), len({score.silo for score in compared.silos})
    spread = "; ± between seeds" if seeds > 1 else ": no spread is known"
    if compared.forecasts and seeds > 1:
        spread += ", all of which keep back the same last steps"
    better = "higher" if judged.direction == "max" else "lower"
    lines = [
        f"{compared.target}: {silos} silos, {seeds} seed(s){spread}",
        f"R² and {judged.title} ({better} is better): all kept rows together; RMSE: each silo's own",
    ]
    if judged.kinds <= CLASSES:
        lines.append("R² and RMSE of probabilities: Brier's skill over the mean share, and the root of Brier's score")
    if any(each.gap is not None for each in compared.methods):
        lines.append("gap closed: of the way in mean RMSE from each silo alone to pooled rows, by models of one kind")
    return lines
