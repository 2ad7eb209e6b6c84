"""What a reader must know before trusting a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..evaluate.summary import FEW, FEW_BUCKETS, FEWEST_BUCKETS, FREQUENCY, Block, Summary, few
from .view import View

_LEFT_OUT = {"missing": "a value", "invalid": "a valid number", "ignored": "a label"}
"""What rows that were left out lack, by reason."""


def number(value: float) -> str:
    """Five decimals, or three digits where five decimals would hide the number."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.5f}"
    return f"{value:.3g}"


def rows_of(count: int) -> str:
    """So many rows, in words."""
    return "1 row" if count == 1 else f"{count:,} rows"


def signed(value: float) -> str:
    """The same of a difference, with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)


def p_value(value: float) -> str:
    """A probability under the hypothesis, or nothing where it is not known."""
    if math.isnan(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def notes(summary: Summary, view: View) -> Iterator[str]:
    """All of it, a sentence or two at a time."""
    yield from of_hidden(summary, view)
    each = [block for block in summary.results.blocks if block.average is None]
    yield from of_doubts(summary)
    yield from _of_infinite(summary, each)
    if summary.clipped:
        predictions = "1 prediction" if summary.clipped == 1 else f"{summary.clipped:,} predictions"
        yield f"{predictions} of less than eps = {summary.plan.eps!r} for what happened counted as eps."
    for reason, meaning in _LEFT_OUT.items():
        if summary.dropped[reason]:
            rows, were = rows_of(summary.dropped[reason]), "was" if summary.dropped[reason] == 1 else "were"
            weight = f" of weight {number(summary.dropped_weight[reason])}" if summary.plan.weight else ""
            yield f"{rows}{weight} {were} left out for want of {meaning}."
    yield from _of_gaps(summary)
    if summary.joined:
        yield of_joined(summary)
    yield from _of_the_run(summary)
    yield from _of_clusters(summary)
    reasons = list(_reasons(summary, each))
    if reasons:
        yield f"-: undefined, because {'; or '.join(reasons)}."
    weak = sum(
        int((few(b.columns["base_rate"], b.columns["effective_rows"]) & (b.columns["weight"] > 0)).sum()) for b in each
    )
    if weak:
        lines = "one line" if weak == 1 else f"{weak:,} lines"
        yield f"In {lines} fewer than {FEW} positives or negatives count: too few for a 95 % interval there."


def of_hidden(summary: Summary, view: View) -> Iterator[str]:
    """That not all groups are shown."""
    if view.hidden(summary.results):
        count, by = summary.results.per_block - 1, view.sort or "rows"
        of = f"the {view.top:,} with the largest {by} are shown" if view.top else "none is shown"
        yield f"Of {count:,} groups {of} (--top N shows more); JSON, CSV and Parquet have all."


def of_joined(summary: Summary) -> str:
    """How many keys matched."""
    counts = summary.joined
    matched = f"{counts['matched']:,} key{' stands' if counts['matched'] == 1 else 's stand'}"
    alone = f"alone in predictions {counts['only_in_predictions']:,}, alone in labels {counts['only_in_labels']:,}"
    return f"{matched} in predictions and labels; {alone}."


def of_partial(summary: Summary) -> str:
    """That the run was interrupted."""
    return f"Partial result: interrupted after {rows_of(summary.rows)}; the others are not in it."


def of_doubts(summary: Summary) -> Iterator[str]:
    """That columns may have been named as what they are not: of each kind, about the first one."""
    found = {doubt.kind: doubt for doubt in reversed(summary.doubts)}
    role = "logit" if summary.plan.logits else "probability"
    if (doubt := found.get("exchanged")) is not None:
        y, p = doubt.problem.target, doubt.problem.prediction
        yield (
            f"All predictions in {p} are exactly 0 or 1, and targets in {y} lie between: if these were exchanged, say "
            f"--target {p} --probability {y} (target={p!r}, probability={y!r})."
        )
    if (doubt := found.get("other class")) is not None:
        p = doubt.problem.prediction
        yield (
            f"Predictions in {p} are lower where more happened; the opposite would have a Brier score of "
            f"{number(doubt.turned)} instead of {number(doubt.brier)}. If {p} is the {role} of the other class, say "
            "which outcome that is: --positive 0 (positive=0)."
        )


def _of_the_run(summary: Summary) -> Iterator[str]:
    """That sums are rounded, files left out, or rows sorted."""
    if summary.approximate:
        yield "A database added these up in float64: digits beyond the twelfth may differ from exact ones."
    if summary.exact:
        yield (
            "Exact CORP: of all rows in the order of their predictions, over-fit included; "
            "score = miscal. - discrim. + uncertainty."
        )
    if summary.skipped:
        files = "1 file" if len(summary.skipped) == 1 else f"{len(summary.skipped):,} files"
        yield f"{files} left out: {summary.skipped[0]}{' And others, which JSON names.' * (len(summary.skipped) > 1)}"


def _of_clusters(summary: Summary) -> Iterator[str]:
    counts = [int(block.buckets[-1]) for block in summary.results.blocks if block.buckets is not None]
    if not counts:
        return
    count, cluster = min(counts), summary.plan.cluster
    if count < FEWEST_BUCKETS:
        yield f"Rows of {cluster} fall into {count} bucket{'s' * (count != 1)}: too few for any error or interval."
        return
    rough = ", so few that they are rough" if count < FEW_BUCKETS else ""
    yield f"95 % intervals allow for rows of one {cluster} to depend on each other: from {count} buckets{rough}."


def _of_infinite(summary: Summary, each: Sequence[Block]) -> Iterator[str]:
    overall = [block.statistics(-1) for block in each]
    infinite = sum(found.infinite_rows for found in overall)
    if not infinite:
        return
    rows = "1 row has" if infinite == 1 else f"{infinite:,} rows have"
    others = overall[0].finite_log_loss
    finite = f" The others have {number(others)} on average." if len(overall) == 1 and not math.isnan(others) else ""
    clip = "" if summary.plan.logits else "; --eps 1e-15 (eps=1e-15) would count at least that much for what happened"
    yield f"{rows} infinite loss: what was predicted with probability 0 happened. Nothing was clipped{clip}.{finite}"


def _of_gaps(summary: Summary) -> Iterator[str]:
    """That labels are not there in every row: of several models, in the same rows for each."""
    if summary.plan.weight_kind == FREQUENCY:  # rows are those that weights stand for
        return
    problems, blocks = summary.plan.problems, (one for one in summary.results.blocks if one.average is None)
    rows = [
        int(block.columns["rows"][-1])
        for problem, block in zip(problems, blocks, strict=True)
        if problem.model == problems[0].model
    ]
    gaps = summary.rows * len(rows) - sum(rows)
    if gaps:
        are = "1 label of a row is" if gaps == 1 else f"{gaps:,} labels of rows are"
        yield f"{are} missing, invalid or ignored: every label is scored on the rows that have it."


def _reasons(summary: Summary, each: Sequence[Block]) -> Iterator[str]:
    """Why there are numbers that are undefined."""
    columns = {name: np.concatenate([block.columns[name] for block in each]) for name in _TELLING}
    rows, rate, unknown = columns["rows"], columns["base_rate"], np.isnan(columns["normalized_entropy"])
    weightless = (rows > 0) & (columns["weight"] == 0)
    if (unknown & ((rate == 0) | (rate == 1))).any():
        yield "all targets are the same there"
    if (rows == 0).any():
        yield "no row has the label there"
    if weightless.any():
        yield "all weights are 0 there"
    if ((rows == 1) & ~weightless).any():
        yield "there is one row"
    if np.isinf(columns["log_loss"]).any():
        yield "a loss is infinite there"
    blocks = summary.results.blocks
    means = [block.columns for block in blocks if block.average == "macro"] + [b.mean for b in blocks if b.mean]
    if any(np.isnan(found["normalized_entropy"]).any() for found in means):
        yield "a mean is of such numbers"


_TELLING = "rows", "weight", "base_rate", "log_loss", "normalized_entropy"
