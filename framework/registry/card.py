"""The model card (Mitchell et al. 2019): what a model is for, what it was made of, how good it is and where it ends."""

import json
import math
import platform

from framework.document import Block, Bullets, Code, Document, Section, Span, Table, Text
from framework.leaderboard import number
from framework.metric import metric
from framework.registry.evidence import Evidence
from framework.registry.findings import honesty, looks_at, score_of, slices
from framework.tracking import shown

COLUMNS = 60  # named in the card


def card(known: Evidence, *, name: str, semantic: str, changed: str, run_id: str) -> Document:
    """The card of a model that is registered now. name: in the registry. semantic, changed: its version and why.

    run_id: MLflow's run that holds its files.
    """
    problem, scored = known.predictor.problem, metric(known.predictor.problem.metric)
    sections = [
        Section("Question", _question(known)),
        Section("Data", _data(known)),
        Section("Leaderboard", _leaderboard(known)),
        Section("What it looks at", looks_at(known.explanation)),
        Section("Slices", slices(known.explanation)),
        Section("Are its answers honest?", honesty(known)),
        Section("Limits", (Bullets(tuple(_limits(known))),)),
        Section("Columns", _columns(known)),
        Section("Lineage and environment", _lineage(known, name, semantic, run_id)),
        Section("How to reproduce", _reproduce(known, run_id)),
    ]
    contender = known.predictor.facts.get("contender", "")
    who = f"{contender}: " if contender else ""
    score = score_of(known.scores, f"test/{scored.name}")
    tested = f"{scored.title} on rows that nothing else has seen: {score}." if score else "It comes without a test."
    asked = f"{problem.kind} of {problem.target}" if problem.target else problem.kind
    return Document(
        f"{name} {semantic}", f"{who}{asked}. {tested} {changed}", tuple(each for each in sections if each.blocks)
    )


def _question(known: Evidence) -> tuple[Block, ...]:
    problem, schema = known.predictor.problem, known.predictor.schema
    scored = metric(problem.metric)
    better = "higher" if scored.direction == "max" else "lower"
    asked = f"What is {problem.target}?" if problem.target else "Which rows belong together?"
    told = f"{asked} A question of kind {problem.kind}, scored by {scored.title} ({better} is better)."
    blocks: list[Block] = [Text(told)]
    if schema.classes:
        blocks.append(
            Text(f"It answers with one of {len(schema.classes)}: {', '.join(map(str, schema.classes[:30]))}.")
        )
    roles = [f"{role}: {column}" for role, column in problem.special.items() if role != "target"]
    if roles:
        blocks.append(Text(f"Columns with a role: {'; '.join(roles)}."))
    return tuple(blocks)


def _columns(known: Evidence) -> tuple[Block, ...]:
    columns = known.predictor.schema.columns
    rows = tuple((c.name, c.kind, "may be missing" if c.missing else "") for c in columns[:COLUMNS])
    more = f", the first {COLUMNS} of them" if len(columns) > COLUMNS else ""
    return (Table(("column", "kind", ""), rows, caption=f"It asks for {len(columns)} columns{more}."),)


def _data(known: Evidence) -> tuple[Block, ...]:
    facts = known.predictor.facts
    split = known.board.get("split", {})
    rows: list[tuple[str, str]] = [("source", known.source)]
    if split:
        rows += [("rows to learn from", f"{split['train']:,}"), ("rows to choose by", f"{split['valid']:,}")]
        rows += [("rows kept for the test", f"{split['test']:,}"), ("split", f"{split['how']}, seed {split['seed']}")]
    rows += [("fingerprint", str(facts.get("fingerprint", ""))[:16]), ("digest of the rows", known.data[:16])]
    blocks: list[Block] = [Table(("", ""), tuple(row for row in rows if row[1]))]
    if not known.board:
        blocks.append(Text("It was registered without its contest: rows, leaderboard and test are not told here."))
    return (*blocks, Bullets(known.quality)) if known.quality else tuple(blocks)


def _leaderboard(known: Evidence) -> tuple[Block, ...]:
    if not known.board:
        return ()
    lines: list[tuple[str, ...]] = []
    spans: list[Span | None] = []
    failed: dict[str, list[str]] = {}
    for row in known.board["entries"]:
        if (score := row["validation_score"]) is None:
            failed.setdefault(f"{row['status']}: {row['reason']}", []).append(row["name"])
            continue
        low, high = row["interval"]
        tie = "not told apart from the best" if (row["noise"] or 0.0) >= 0.05 else ""
        note = "; ".join(part for part in (tie, row["reason"]) if part)
        lines.append((str(len(lines) + 1), row["name"], number(score), f"{number(low)} … {number(high)}", note))
        spans.append((low, score, high) if all(math.isfinite(value) for value in (low, score, high)) else None)
    folds = known.board["split"]["folds"]
    where = f"all rows, each held out of one of {folds} folds" if folds > 1 else "the validation rows"
    title = f"{metric(known.board['metric']['name']).title} on {where}, with 95 % intervals."
    table = Table(("", "contender", "score", "interval", ""), tuple(lines), (2, 3), tuple(spans), caption=title)
    missing = tuple(f"{', '.join(names)}: {reason}" for reason, names in failed.items())
    left: tuple[Block, ...] = (Text("These left no model:"), Bullets(missing)) if missing else ()
    return (table, *_verdict(known), *left)


def _verdict(known: Evidence) -> tuple[Block, ...]:
    won = known.board.get("winner")
    if not won:
        return ()
    score = score_of(known.scores, f"test/{known.board['metric']['name']}")
    again = ", refit on all rows but the test's" if won["refit"] else ""
    return (Text(f"Registered: {won['name']}{again}; on the test rows it scores {score}."),)


def _limits(known: Evidence) -> list[str]:
    problem, schema = known.predictor.problem, known.predictor.schema
    where = f"the rows of {known.source}" if known.source else "the rows of its contest"
    told = [f"It knows {where} and what resembles them; of other places, people or times it was not tested."]
    if won := known.board.get("winner"):
        ties = sum(1 for row in known.board["entries"] if (row["noise"] or 0.0) >= 0.05)
        if ties:
            who = f"{ties} other contenders are" if ties > 1 else "Another contender is"
            told.append(f"{who} not told apart from the best by these rows.")
        if (optimism := won.get("optimism")) and optimism[1] > 0:
            told.append(f"Its validation score flattered it by {number(optimism[0])}: trust the test score.")
        if known.board["split"]["test"] < 100:
            told.append(f"The test has {known.board['split']['test']} rows: its score is a rough one.")
    listed = [column for column in schema.columns if column.kind == "category"]
    if listed:
        told.append(f"Of {len(listed)} columns it knows a list of categories; any other value counts as unknown.")
    if whole := [column.name for column in schema.columns if not column.missing]:
        told.append(f"In {len(whole)} of {len(schema.columns)} columns it has never seen a missing value.")
    told += getattr(known.predictor.model, "promises", ())
    if problem.kind == "forecast":
        told.append(f"It was tested {problem.horizon} steps ahead, and no farther.")
    if problem.kind == "regression" and known.predictor.band is None:
        told.append("Its values come without intervals.")
    if not known.explanation:
        told.append("It was registered without an explanation.")
    if not slices(known.explanation):
        told.append("No slices of the rows were looked at: for some of them it may be worse than its score says.")
    if "minutes" in known.config or "--minutes" in known.command:
        told.append("Its contest ran against the clock: on a slower or busier machine another contender may win.")
    told.append("What it looks at is what tells the answer in these rows, not what causes it.")
    if str(known.environment.get("git_commit", "")).endswith("changes"):
        told.append("The code had changes that no commit holds: it cannot be made again exactly.")
    return told


def _lineage(known: Evidence, name: str, semantic: str, run_id: str) -> tuple[Block, ...]:
    data = f"{known.source or 'data'} ({str(known.predictor.facts.get('fingerprint', ''))[:12] or 'no fingerprint'})"
    facts = {"python": platform.python_version(), **known.environment}
    rows = tuple((key.removeprefix("version_"), str(value)) for key, value in sorted(facts.items()))
    return (Text(f"{data} → run {run_id} → {name} {semantic}"), Table(("", ""), rows))


def _reproduce(known: Evidence, run_id: str) -> tuple[Block, ...]:
    commit = str(known.environment.get("git_commit", "")).split(" ")[0]
    lines = [f"git checkout {commit}"] if commit else []
    blocks: list[Block] = []
    if known.command:
        lines.append(known.command)
    elif known.config:
        lines.append(f"# the recipe that was run, with --from-run {run_id}")
    if lines:
        blocks.append(Code("\n".join(lines)))
    if known.config:
        blocks += [Text("Its configuration:"), Code(shown(json.dumps(known.config, indent=1, ensure_ascii=False)))]
    if not known.command and not known.config:
        facts = known.predictor.facts
        seed = f", seed {facts['seed']}" if "seed" in facts else ""
        blocks.append(
            Text(f"It was not made by a recipe{seed}: register the contest's run with it to keep its settings.")
        )
    return tuple(blocks)
