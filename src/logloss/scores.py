"""`score`, `report`, `merge` and `load`: from sources of predictions to the numbers that describe them."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ._errors import InvalidInputError
from .engines import local, remote
from .engines.parts import Worker
from .engines.progress import Meter, Progress
from .engines.remote import ENGINES
from .engines.task import Task
from .evaluate import ordered
from .evaluate.gate import Gate
from .evaluate.ordered import Ordered, unmergeable
from .evaluate.plan import Plan
from .evaluate.problems import Predictions
from .evaluate.scan import DEPTH
from .evaluate.state import State
from .reporting.formats import FORMATS
from .scored import Asked, Interrupted, Scores, asked_of, check_place, load, merge
from .sources.batch import Batch
from .sources.databases import query_of
from .sources.outcomes import Meaning
from .sources.paths import require_different
from .sources.reading import AS_FOUND, Reading
from .sources.sorting import sorter

__all__ = [
    "ENGINES",
    "Gate",
    "Interrupted",
    "Meaning",
    "Progress",
    "Reading",
    "Scores",
    "asked_of",
    "check_place",
    "load",
    "merge",
    "report",
    "require_different",
    "require_options",
    "score",
    "score_and_tell",
    "unmergeable",
]


def score(
    source: Any = None,
    *,
    target: str | Sequence[str],
    probability: Predictions = None,
    logit: Predictions = None,
    group: str | Sequence[str] | None = None,
    weight: str | Sequence[str] | None = None,
    weight_kind: str = "importance",
    where: str | None = None,
    nulls: str = "error",
    invalid: str = "error",
    eps: float | None = None,
    positive: Any = None,
    negative: Any = None,
    ignore: Any = None,
    labels: Any = None,
    key: str | Sequence[str] | None = None,
    unmatched: str = "error",
    separator: str | None = None,
    decimal: str | None = None,
    null: str | Sequence[str] | None = None,
    encoding: str | None = None,
    header: bool = True,
    quote: str | None = None,
    format_in: str | None = None,
    query: str | None = None,
    database: Any = None,
    engine: str | None = None,
    resume: str | os.PathLike[str] | None = None,
    on_error: str = "fail",
    diagnostics: bool = False,
    cluster: str | None = None,
    thresholds: float | Sequence[float] = (),
    prevalence: float | None = None,
    corp: str = "grid",
    negative_rate: float | None = None,
    pos_weight: float | None = None,
    compare: bool | None = False,
    segments: str | Sequence[str] | None = None,
    depth: int = DEPTH,
) -> Scores:
    """Score predictions of any size in one pass: log loss and what explains it, overall and per group.

    With weights w (1 without), targets y and losses l of the predictions p:

        log loss = Σwl / Σw        base rate q = Σwy / Σw        Brier = Σw(p - y)² / Σw
        normalized entropy = log loss / H(q)        D² = 1 - normalized entropy

    with standard errors and 95 % intervals by the delta method, where H(q) is the log loss of always predicting q. All
    sums are exact, so the result does not depend on the order of rows, on how they are split over files, or on the
    number of threads.

    Args:
        source: a path or several (Parquet, CSV, TSV, JSON lines, Arrow IPC), where a path may be a directory, a glob,
            "@list.txt", "-" for standard input, or a URL (s3, gs, az, https); a table (Polars, pandas, PyArrow, DuckDB,
            whatever has `__arrow_c_stream__`); a mapping from column names to arrays; an iterable of tables; or a data
            frame of Dask or Spark or a dataset of Ray, which is scored where it is.
        target: column of what happened, in [0, 1].
        probability: column of predicted probabilities, in [0, 1]; 0 for something that happened gives inf. For several
            models, their names with a column each. For several labels, a pattern such as "p_*", with `target` "y_*":
            columns pair by what * stands for; or lists of columns in both, in the same order. Columns of lists, in
            `target` and here, hold a value for each label; the labels are then 0, 1, 2 and so on. "m.p" is the field p
            of a column m, and "p[1]" the second element of lists.
        logit: column of predicted logits, instead of probabilities; ±inf allowed.
        group: column or columns whose values get a result each; also SQL with names, as in
            "country, young = age < 30".
        weight: column of weights, in [0, 1e300]; for labels with weights of their own a pattern such as "w_*", a list
            of columns in the order of the targets, or a column of lists.
        weight_kind: what weights mean for errors and intervals; estimates are the same. "importance": how much a row
            counts, as an inverse probability of being sampled; "frequency": that so many rows are alike, in whole
            numbers; "precision": the inverse of a row's variance, up to a factor.
        where: condition in SQL about the columns of a row; other rows are left out.
        nulls: "drop" leaves out rows that lack a value in one of the columns, and counts them; "error" refuses them. Of
            several labels, a row counts for those of which it has target, prediction and weight.
        invalid: "drop" leaves out rows with a number outside its domain, and counts them; "error" refuses them.
            Likewise for several labels.
        eps: the least probability that counts as given to what happened: p is floored at eps where the target is above
            0, 1 - p where it is below 1, as in `log_loss(eps=eps)`, and how often is counted. In [0, 0.5]; None clips
            nothing.
        positive: value or values of the target that are 1, where it holds words or other numbers, as "yes" or 2.
        negative: value or values that are 0; without them there may be one other value, and that is 0.
        ignore: value or values that are no label, as -1; rows of nothing else are left out, and counted.
        labels: source of the labels, of any kind that `source` can be, if they are not with the predictions; a column
            that both have is called "predictions.x" or "labels.x".
        key: column or columns that tell which label belongs to which prediction; each key stands in one row.
        unmatched: "drop" leaves out keys of one side alone, and counts them; "error" refuses them.
        separator: character between the fields of CSV, where it is not found; "tab" is one.
        decimal: "," for numbers in text with a decimal comma.
        null: text or texts that stand for a missing value, besides the usual ones (empty, NA, NULL, None and so on).
        encoding: "utf-8", "latin-1" or "utf-16", for text that is not UTF-8.
        header: False for CSV whose first line is a row: the columns are then named 1, 2 and so on.
        quote: character around fields of CSV, where it is not found; "none" where quotes mean nothing.
        format_in: "csv", "tsv", "json", "parquet" or "arrow", where content and name do not tell.
        query: SQL whose answer is scored, in place of a source.
        database: whom `query` is for: a file of DuckDB or SQLite, a URL such as "postgresql://user@host/name", or a
            connection (DuckDB, ADBC, SQLAlchemy, DB-API). Nothing is written to it.
        engine: "dask", "ray" or "spark": files are read by the workers of its cluster, which must all see them.
        resume: directory for the states of parts of files; a run that did not end is taken up where it was.
        on_error: "skip" leaves out files that cannot be read, and counts them; "fail" refuses them.
        diagnostics: whether to keep bins of the predictions too, which tell of calibration, decomposition,
            discrimination and use: calibration slope, ICI, ECE, MCB and DSC, AUC, net benefit and others.
        cluster: column whose values tell which rows depend on each other, as users or days: intervals are then those of
            clusters, and of values nobody sees any in a state.
        thresholds: probabilities between 0 and 1 at which rows would be flagged, for `diagnostics`.
        prevalence: the share of positives that net benefit assumes, if it is not the base rate, as for cases and
            controls.
        corp: "exact" finds the plain decomposition of `diagnostics` from all rows in the order of their predictions,
            sorted on disk, or by an engine, which reads them twice; "grid" from bins, which lose up to 1e-4 of it.
            Exact ones cannot be saved or merged.
        negative_rate: the share of negatives that the model was trained on, in (0, 1]: predictions are scored as they
            are, and beside it corrected for that, as by `correct_prior`.
        pos_weight: the weight of positives in training, likewise.
        compare: whether to keep what `compare` needs of several models, the first of which is the baseline; None: if
            there are several.
        segments: columns, or SQL with names, whose values and intersections are scanned for miscalibration, in the same
            pass: for whom predictions are wrong, as `segments` tells. They make no result of their own, as groups do.
        depth: how many of these columns a segment fixes at most.

    Returns:
        Scores, which prints as a table.

    Raises:
        InvalidInputError: a file, column or value breaks a rule; the message says which and where.
        UnsupportedTypeError: the source is of a kind that cannot be read.
        KeyboardInterrupt: Ctrl-C; the exception's `scores` are those of the rows so far, if there are any.

    Example:
        >>> import polars as pl
        >>> table = pl.DataFrame({"y": [1, 0, 1, 0], "p": [0.75, 0.25, 0.75, 0.25]})
        >>> score(table, target="y", probability="p").summary.results[0].statistics.log_loss  # -log 0.75
        0.2876820724517809

    Reference:
        He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, 2014 (normalized entropy).
    """
    return score_and_tell(
        source,
        None,
        where=where,
        target=target,
        probability=probability,
        logit=logit,
        weight=weight,
        weight_kind=weight_kind,
        group=group,
        nulls=nulls,
        invalid=invalid,
        eps=eps,
        meaning=Meaning.of(positive, negative, ignore),
        labels=labels,
        key=key,
        unmatched=unmatched,
        reading=Reading.of(
            separator=separator,
            decimal=decimal,
            null=null,
            encoding=encoding,
            header=header,
            quote=quote,
            format_in=format_in,
        ),
        query=query,
        database=database,
        engine=engine,
        resume=resume,
        on_error=on_error,
        diagnostics=diagnostics,
        cluster=cluster,
        asked=asked_of(diagnostics, thresholds, prevalence, depth),
        corp=corp,
        negative_rate=negative_rate,
        pos_weight=pos_weight,
        compare=compare,
        segments=segments,
    )


def report(source: Any, path: str | os.PathLike[str], **options: Any) -> Scores:
    """Score predictions with diagnostics, and write what they say as one HTML file that needs nothing else.

    The page answers whether predictions are good, calibrated, for whom not, useful at a threshold and changed, each
    with figures, 95 % intervals and the tables behind them. What it says of the log loss is Σwl / Σw, as in `score`.

    Args:
        source: as in `score`.
        path: where the page goes; a name that ends in .html.
        options: those of `score`, `target` and `probability` or `logit` first of all.

    Returns:
        The Scores that it shows.

    Raises:
        InvalidInputError: as in `score`, or the file cannot be written.
        MissingDependencyError: without the libraries of `logloss[report]`.

    Example:
        >>> import logloss as ll, tempfile, pathlib
        >>> rows = {"y": [1, 0, 1, 0, 1, 0], "p": [0.75, 0.25, 0.5, 0.5, 0.875, 0.375]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scores = ll.report(rows, f"{folder}/report.html", target="y", probability="p")
        ...     pathlib.Path(f"{folder}/report.html").read_text(encoding="utf-8")[:15]
        '<!doctype html>'

    Reference:
        Van Calster et al., Evaluation of performance measures in predictive artificial intelligence models, Lancet
        Digital Health 2025.
    """
    require_options("report", options)
    check_place(path)
    FORMATS["html"].require()
    scores = score(source, **{"diagnostics": True, "compare": None, **options})
    given = [f"{name}={value!r}" for name, value in options.items()]
    what = repr(source) if isinstance(source, (str, list, tuple, os.PathLike)) else "…"
    scores.report(path, command=f"logloss.report({', '.join([what, repr(os.fspath(path)), *given])})")
    return scores


def require_options(function: str, options: Mapping[str, Any], but: Sequence[str] = ()) -> None:
    """Refuse options that `score` has not, or has but for this function, naming all of them. Raises TypeError."""
    known = [name for name in inspect.signature(score).parameters if name not in ("source", *but)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TypeError(
            f"{function}() got an unexpected option {', '.join(map(repr, unknown))}. It takes {', '.join(known)}."
        )


def score_and_tell(
    source: Any,
    tell: Callable[[Progress], None] | None,
    *,
    where: str | None = None,
    group: str | Sequence[str] | None = None,
    labels: Any = None,
    key: str | Sequence[str] | None = None,
    unmatched: str = "error",
    meaning: Meaning = Meaning(),  # noqa: B008 - it cannot change
    reading: Reading = AS_FOUND,
    query: str | None = None,
    database: Any = None,
    engine: str | None = None,
    resume: str | os.PathLike[str] | None = None,
    on_error: str = "fail",
    asked: Asked = Asked(),  # noqa: B008 - it cannot change
    corp: str = "grid",
    sides: bool = False,
    segments: str | Sequence[str] | None = None,
    **options: Any,
) -> Scores:
    """As `score`, and tell a function how far it is, about five times a second and from several threads.

    `sides`: see `engines.task`.
    """
    task = Task(options, where, group, labels, key, unmatched, meaning, reading, sides, segments)
    if on_error not in ("fail", "skip"):
        raise InvalidInputError(f"on_error must be 'fail' or 'skip'; got {on_error!r}.")
    source = query_of(source, query, database)
    engine = engine or remote.engine_of(source)
    _require_corp(corp, options, resume=resume, on_error=None if on_error == "fail" else on_error)
    if engine is not None or resume is not None or on_error == "skip":
        worker = Worker(task, on_error == "skip", None if resume is None else os.fspath(resume))
        return _in_parts(engine, worker, source, asked, tell, corp == "exact")
    return _at_once(task, source, asked, tell, corp == "exact")


def _require_corp(corp: str, options: dict[str, Any], **others: Any) -> None:
    """Refuse a decomposition that there is not, and options that an exact one does not go with."""
    if corp not in ("grid", "exact"):
        raise InvalidInputError(f"corp must be 'grid' or 'exact'; got {corp!r}; choose one.")
    if corp == "grid":
        return
    if not options.get("diagnostics"):
        raise InvalidInputError(
            "corp='exact' is about the decomposition of diagnostics, and none were asked for; "
            "add diagnostics=True (--diagnostics), or leave it out."
        )
    for name, given in {**others, "eps": options.get("eps")}.items():
        if given is not None:
            raise InvalidInputError(
                f"corp='exact' takes the predictions of all rows together, as they are; got {name}={given!r}; "
                f"leave {name} out, or say corp='grid' (--corp grid)."
            )


def _in_parts(
    engine: str | None, worker: Worker, source: Any, asked: Asked, tell: Callable[[Progress], None] | None, exact: bool
) -> Scores:
    """The scores of a run whose parts are done by themselves, here or elsewhere."""
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        if tell:
            tell(Progress(done, None, math.nan))

    try:
        found = remote.run(engine, worker, source, count, exact)
    except local.Interrupted as stop:
        raise Interrupted(Scores(stop.state, (), partial=True, asked=asked)) from None
    _require_rows(found.state, found.names, worker.task.where)
    return Scores(found.state, found.names, skipped=found.skipped, asked=asked)


def _at_once(task: Task, source: Any, asked: Asked, tell: Callable[[Progress], None] | None, exact: bool) -> Scores:
    """The scores of a run that the threads of this process do together."""
    meter = Meter(tell) if tell else None
    run = task.open(source, meter.read if meter else None)
    if meter:
        meter.total = run.source.total()
    plan, batches = run.start()
    try:
        state = _ordered(plan, batches, meter) if exact else local.partial(batches, plan, meter)
    except local.Interrupted as stop:
        if stop.state.rows == 0:
            raise
        raise Interrupted(Scores(stop.state, run.names, partial=True, asked=asked)) from None
    _require_rows(state, run.names, task.where)
    state.joined = run.joined()
    return Scores(state, run.names, asked=asked)


def _ordered(plan: Plan, batches: Iterator[Batch], meter: Meter | None) -> State:
    """The state of these batches, with the decomposition of all their rows in order."""
    with sorter() as order:
        try:
            state = local.partial(batches, plan, meter, lambda plan: State(plan, {ordered.NAME: Ordered(plan, order)}))
        except local.Interrupted as stop:
            del stop.state.components[ordered.NAME]  # who sorts goes with this run
            raise
        ordered.recalibrate(state)
    return state


def _require_rows(state: State, names: tuple[str, ...], where: str | None) -> None:
    source = names[0] if len(names) == 1 else f"the {len(names):,} files"
    if state.rows == 0:
        kind = f" with {where}" if where else ""
        raise InvalidInputError(f"there must be rows to score; {source} has none{kind}; check what was named.")
    if state.plan.weight and state.moments(range(len(state.plan.problems)), None)["w"] == 0:
        raise InvalidInputError(f"some weight must be positive; {source} has none; check the column of weights.")
