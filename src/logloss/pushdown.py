"""Scores of tables that stay in their database: one SELECT adds up the sums of a state, and its rows are read back.

A database adds float64 in an order of its own: these scores agree with exact ones to about twelve digits, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._errors import InvalidInputError, MissingDependencyError
from ._kernels import terms
from .evaluate import sums
from .evaluate.moments import MomentSums, names_of
from .evaluate.plan import Plan
from .evaluate.problems import Predictions, make_plan
from .evaluate.state import State
from .scored import Scores
from .sources import open_source
from .sources.engine import identifier
from .sources.sql import Expression, condition, group_by
from .sources.wanted import Wanted

if TYPE_CHECKING:
    import polars as pl

DIALECTS = ("duckdb", "spark", "postgres", "bigquery", "snowflake", "trino")
"""Whose SQL can be written: run in tests on the first three, and parsed for the others."""

_LEAST, _FARTHEST = "1e-75", "172.0"
"""Smaller probabilities count as this, e^-172, but for their own logarithm: PostgreSQL lets no fourth power be 0."""

_LARGEST = "1.7976931348623157e308"

_COLUMNS = {
    terms.Y: "ll_y",
    terms.P: "ll_p",
    terms.L: "ll_l",
    terms.Q: "ll_d * ll_d",
    terms.S: "ll_d * (ll_rest - ll_p)",
    terms.G: "ll_d * ll_z",
    terms.VS: "(ll_p * (ll_rest - ll_p)) * (ll_rest * (ll_rest - ll_p))",
    terms.VG: "(ll_p * ll_z) * (ll_rest * ll_z)",
    terms.INFINITE: "ll_infinite",
    terms.ZERO: "ll_zero",
    terms.ONE: "ll_one",
}
"""The columns of `_kernels.terms` in SQL: y - p = d, 1 - p = rest, and z the logit, 0 where p is 0 or 1."""

_COUNTS = ("infinite", "zero", "one")
_LEFT = ("missing", "invalid")


@dataclass(frozen=True)
class Query:
    """One SELECT, and how its rows become scores."""

    text: str
    table: str
    plan: Plan

    def __str__(self) -> str:
        return self.text

    def scores(self, result: Any) -> Scores:
        """The scores, given the rows that the database returned: a table or file of any kind that `score` takes.

        Raises InvalidInputError if these are not the rows of this query, or if rows of the table break a rule.
        """
        frame = _rows(result, self.plan)
        state = _state(frame, self.plan)
        for reason in _LEFT:
            _require_dropped(self, reason, state.dropped[reason])
        if state.rows == 0:
            raise InvalidInputError(f"there must be rows to score; {self.table} has none; check what was named.")
        return Scores(state, (self.table,), approximate=True)


def sql(
    table: str,
    *,
    target: str | Sequence[str],
    probability: Predictions = None,
    logit: Predictions = None,
    weight: str | None = None,
    group: str | Sequence[str] | None = None,
    where: str | None = None,
    nulls: str = "error",
    invalid: str = "error",
    dialect: str = "duckdb",
) -> Query:
    """One SELECT that adds up, inside a database, all that log loss and its relatives need.

    With the sums of w·y, w·p, w·l, w·(p - y)², w²·l² and so on for every group,

        log loss = Σwl / Σw        l = y·softplus(-z) + (1 - y)·softplus(z)

    where softplus keeps its digits without `log1p`: with u = 1 + e^-|z|, it is max(z, 0) + log u · e^-|z| / (u - 1).

    Args:
        table: name of the table, as it is or quoted, perhaps with those of its schema and database before dots; or a
            query in parentheses.
        target: column of what happened, in [0, 1], or one for each label.
        probability: column of predicted probabilities; for several models or labels as `score` takes them.
        logit: column of predicted logits, instead.
        weight: column of weights.
        group: columns, or SQL with names, as in "country, young = age < 30".
        where: condition in SQL.
        nulls: "drop" leaves out rows that lack a value, and counts them; "error" refuses them when scores are read.
        invalid: likewise for numbers outside their domain.
        dialect: "duckdb", "spark", "postgres", "bigquery", "snowflake" or "trino": whose SQL is written. What `group`
            and `where` say is DuckDB's SQL in any case, and is translated.

    Returns:
        Query: `str` is its text, and `scores(rows)` reads what the database returned.

    Raises:
        InvalidInputError: an argument breaks a rule.
        MissingDependencyError: a dialect other than DuckDB's needs sqlglot.

    Example:
        >>> import duckdb
        >>> with duckdb.connect() as connection:
        ...     predictions = connection.sql("select * from (values (1, 0.75), (0, 0.25)) as t(y, p)")
        ...     query = sql("predictions", target="y", probability="p")
        ...     scores = query.scores(connection.sql(query.text))
        >>> scores.summary.results[0].statistics.log_loss  # -log 0.75
        0.2876820724517809

    Reference:
        Goldberg, What Every Computer Scientist Should Know About Floating-Point Arithmetic, 1991 (theorem 4: log1p).
    """
    if dialect not in DIALECTS:
        raise InvalidInputError(f"dialect must be one of {', '.join(DIALECTS)}; got {dialect!r}.")
    groups, expressions = group_by(group, ())
    definitions = "; ".join(f"{one.name} = {one.text}" for one in expressions) or None
    columns: dict[str, Any] = {"target": target, "probability": probability, "logit": logit, "weight": weight}
    plan = make_plan((), **columns, where=where, group=groups, definitions=definitions, nulls=nulls, invalid=invalid)
    holds = None if where is None else condition(where)
    source = _source(table)
    written = "\nUNION ALL\n".join(
        _select(number, source, plan, expressions, holds) for number in range(len(plan.problems))
    )
    return Query(_translated(written, dialect), table, plan)


_PART = re.compile(r'("(?:[^"]|"")+"|`[^`]+`|[^"`.]+)(?:\.(?=.)|$)')
_PLAIN = re.compile(r'"(?:[^"]|"")+"|[^\W\d]\w*')
_NO_NAME = re.compile(r"[('].*|[\w.]+\(.*|.* as .*", re.DOTALL | re.IGNORECASE)


def _source(table: str) -> str:
    """What stands behind FROM: names, quoted where they must be; a query, a function or a file as it was given."""
    if not isinstance(table, str) or not table.strip():
        raise InvalidInputError(f"a table must be named; got {table!r}; give its name, or a query in parentheses.")
    name = table.strip()
    if _NO_NAME.fullmatch(name):
        return name
    parts = _PART.findall(name)
    if ".".join(parts) != name:  # quotes amid it are its own
        parts = [identifier(name)]
    bare = (part[1:-1] if part.startswith("`") else part for part in parts)
    return ".".join(part if _PLAIN.fullmatch(part) else identifier(part) for part in bare)


# What a database is asked, step by step: every step adds columns that the next one uses.


def _select(number: int, table: str, plan: Plan, expressions: Sequence[Expression], holds: Expression | None) -> str:
    """The sums of one problem, a row for each group."""
    keys, numbers = [_key(k) for k in range(len(plan.groups))], _numbers(plan, number)
    filtered = f" WHERE {_within(holds.text)}" if holds else ""
    stages = [
        f"SELECT {', '.join(_read(plan, numbers, expressions))} FROM {table}{filtered}",
        f"SELECT *, {_marks(plan, numbers.values())} FROM ll_before",
        f"SELECT {', '.join([*keys, *_good(numbers.values())])} FROM ll_before",
        *map(_added, (*(_OF_LOGITS if plan.logits else _OF_PROBABILITIES), *_OF_BOTH)),
    ]
    named = [
        f"ll_step{step} AS ({text.replace('ll_before', f'll_step{step - 1}')})" for step, text in enumerate(stages)
    ]
    by = f" GROUP BY {', '.join(keys)}" if keys else ""
    chosen = ", ".join([*keys, f"{number} AS ll_problem", *_sums(bool(plan.weight))])
    return (
        f"SELECT * FROM (WITH {', '.join(named)} SELECT {chosen} FROM ll_step{len(stages) - 1}{by}) AS ll_sums{number}"
    )


def _key(place: int) -> str:
    return f"ll_group{place}"


def _numbers(plan: Plan, number: int) -> dict[str, str]:
    """The columns of numbers, by what they are called from the first step on."""
    problem = plan.problems[number]
    found = {problem.target: "ll_y", problem.prediction: "ll_x"}
    weight = plan.weight_of(problem)
    return found | ({weight: "ll_w"} if weight else {})


def _read(plan: Plan, numbers: dict[str, str], expressions: Sequence[Expression]) -> Iterator[str]:
    """The groups, and the columns of numbers as float64."""
    texts = {one.name: one.text for one in expressions}
    for k, name in enumerate(plan.groups):
        yield f"({_within(texts[name])}) AS {_key(k)}" if name in texts else f"{identifier(name)} AS {_key(k)}"
    for name, alias in numbers.items():
        yield f"CAST({identifier(name)} AS DOUBLE) AS {alias}"


def _within(text: str) -> str:
    """A person's SQL amid ours: a comment in it ends with its line."""
    return f"{text}\n" if "--" in text else text


def _marks(plan: Plan, numbers: Iterable[str]) -> str:
    """Which rows lack a value, and which others hold a number out of its domain; NaN is in none."""
    missing = " OR ".join(f"{name} IS NULL" for name in numbers)
    logits = f"ABS(ll_x) <= {_LARGEST} OR ll_x = CAST('Infinity' AS DOUBLE) OR ll_x = CAST('-Infinity' AS DOUBLE)"
    rules = ["ll_y BETWEEN 0 AND 1", f"({logits})" if plan.logits else "ll_x BETWEEN 0 AND 1"]
    rules += ["ll_w BETWEEN 0 AND 1e300"] * bool(plan.weight)
    return (
        f"CASE WHEN {missing} THEN 1 ELSE 0 END AS ll_missing, "
        f"CASE WHEN {missing} OR ({' AND '.join(rules)}) THEN 0 ELSE 1 END AS ll_invalid"
    )


def _good(numbers: Iterable[str]) -> list[str]:
    """The marks, and the numbers of rows without one; sums pass over those of the others."""
    marks = [f"ll_{name}" for name in _LEFT]
    return [*marks, *(f"CASE WHEN {' + '.join(marks)} = 0 THEN {name} END AS {name}" for name in numbers)]


def _sums(weighted: bool) -> Iterator[str]:
    yield "COUNT(ll_y) AS ll_rows"
    for name in _COUNTS:
        yield f"SUM(ll_{name}) AS ll_{name}_rows"
    for name in _LEFT:
        yield f"SUM(ll_{name}) AS ll_{name}"
    for term in terms.terms_of(weighted):
        factors = [*["ll_w"] * (term.power * weighted), *(f"({_COLUMNS[one]})" for one in term.factors)]
        yield f"SUM({' * '.join(factors)}) AS ll_{term.name}"


Step = dict[str, str]
"""Columns that are added to those before, and their formulas."""

_OF_LOGITS: tuple[Step, ...] = (
    {
        "upper": "CASE WHEN ll_x > 0 THEN 1 ELSE 0 END",
        "certain": f"CASE WHEN ABS(ll_x) > {_LARGEST} THEN 1 ELSE 0 END",
        "e": f"EXP(CASE WHEN ABS(ll_x) > {_FARTHEST} THEN -{_FARTHEST} ELSE -ABS(ll_x) END)",
    },
    {
        "m": "CASE WHEN ll_certain = 1 THEN 0.0 ELSE ll_e / (1 + ll_e) END",
        "near": "CASE WHEN 1 + ll_e = 1 THEN ll_e ELSE LN(1 + ll_e) * ll_e / ((1 + ll_e) - 1) END",
    },
    {"far": "CASE WHEN ll_certain = 1 THEN 0.0 ELSE ll_near + ABS(ll_x) END"},
)
_OF_PROBABILITIES: tuple[Step, ...] = (
    {
        "upper": "CASE WHEN 1 - ll_x < ll_x THEN 1 ELSE 0 END",
        "smaller": "CASE WHEN 1 - ll_x < ll_x THEN 1 - ll_x ELSE ll_x END",
    },
    {
        "certain": "CASE WHEN ll_smaller = 0 THEN 1 ELSE 0 END",
        "far": "CASE WHEN ll_smaller > 0 THEN -LN(CASE WHEN ll_smaller > 0 THEN ll_smaller ELSE 1 END) ELSE 0.0 END",
        "m": f"CASE WHEN ll_smaller > 0 AND ll_smaller < {_LEAST} THEN {_LEAST} ELSE ll_smaller END",
    },
    {"near": "CASE WHEN 1 - ll_m = 1 THEN ll_m ELSE LN(1 - ll_m) * ll_m / ((1 - ll_m) - 1) END"},
)
"""From predictions to m = min(p, 1 - p), near = -log(1 - m) and far = -log m, which is 0 where m is 0."""

_OF_BOTH: tuple[Step, ...] = (
    {
        "p": "CASE WHEN ll_upper = 1 THEN 1 - ll_m ELSE ll_m END",
        "rest": "CASE WHEN ll_upper = 1 THEN ll_m ELSE 1 - ll_m END",
        "of_one": "CASE WHEN ll_upper = 1 THEN ll_near ELSE ll_far END",
        "of_zero": "CASE WHEN ll_upper = 1 THEN ll_far ELSE ll_near END",
        "zero": "ll_certain * (1 - ll_upper)",
        "one": "ll_certain * ll_upper",
    },
    {
        "infinite": "CASE WHEN ll_zero = 1 AND ll_y > 0 OR ll_one = 1 AND ll_y < 1 THEN 1 ELSE 0 END",
        "l": "ll_y * ll_of_one + (1 - ll_y) * ll_of_zero",
        "z": "ll_of_zero - ll_of_one",
        "d": "ll_y * ll_rest - (1 - ll_y) * ll_p",
    },
)


def _added(step: Step) -> str:
    return f"SELECT *, {', '.join(f'{formula} AS ll_{name}' for name, formula in step.items())} FROM ll_before"


def _translated(text: str, dialect: str) -> str:
    if dialect == "duckdb":
        return text
    try:
        import sqlglot
    except ImportError as error:
        raise MissingDependencyError(
            f"the SQL of {dialect} is written by sqlglot; it is not installed; pip install 'logloss[sql]'."
        ) from error
    try:
        return str(sqlglot.transpile(text, read="duckdb", write=dialect, pretty=True)[0])
    except sqlglot.errors.SqlglotError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise InvalidInputError(
            f"the query must be SQL that can be written for {dialect}; this cannot ({reason}); name a table, or say it "
            "in simpler words."
        ) from error


def _rows(result: Any, plan: Plan) -> pl.DataFrame:
    """The rows of a result, named as the query names them: some databases write names in capitals."""
    import polars as pl

    source = open_source(result)
    keys = [_key(k) for k in range(len(plan.groups))]
    sums = [f"ll_{name}" for name in ("problem", "rows", *(f"{one}_rows" for one in _COUNTS), *_LEFT, *names_of(plan))]
    (_, schema), *_ = source.schemas()
    written = {name.lower(): name for name in schema}
    for name in (*keys, *sums):
        if name not in written:
            raise InvalidInputError(
                f"the rows must be those of this query; there is no column {name!r}; run its text as it is."
            )
    wanted = Wanted(tuple(written[name] for name in sums), tuple(written[name] for name in keys))
    frame = pl.concat([batch.frame for batch in source.batches(wanted)])
    return frame.rename({written[name]: name for name in (*keys, *sums)})


def _require_dropped(query: Query, reason: str, rows: int) -> None:
    dropped, option = (
        (query.plan.drop_missing, "nulls") if reason == "missing" else (query.plan.drop_invalid, "invalid")
    )
    if rows and not dropped:
        what = "a value in every column" if reason == "missing" else "numbers within their domain"
        raise InvalidInputError(
            f"rows must have {what}; {rows:,} of {query.table} do not; leave them out with {option}='drop' "
            f"(--{option} drop)."
        )


def _state(frame: pl.DataFrame, plan: Plan) -> State:
    """A state with the sums of these rows."""
    import polars as pl

    keys = _keys(frame, plan)
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    state = State(plan)
    state.numbered.of_keys(list(places))
    cells: list[list[Any]] = [[None] * len(places) for _ in plan.problems]
    for key, row in zip(keys, frame.iter_rows(named=True), strict=True):
        cells[int(row["ll_problem"])][places[key]] = _cell(row, plan)
    try:
        state.components["moments"] = MomentSums.load(plan, cells, len(places))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"the rows must be those of this query; they are not ({error}).") from error
    first = frame.filter(pl.col("ll_problem") == 0)
    for reason in _LEFT:
        state.dropped[reason] = int(first[f"ll_{reason}"].sum() or 0)
    state.rows = int(first["ll_rows"].sum())
    return state


def _keys(frame: pl.DataFrame, plan: Plan) -> list[tuple[Any, ...]]:
    """The group of every row."""
    columns = [_values(frame[_key(k)]) for k in range(len(plan.groups))]
    return list(zip(*columns, strict=True)) if columns else [()] * frame.height


def _values(column: pl.Series) -> list[Any]:
    """The values of a group column as states name them: dates and the like are texts."""
    import polars as pl

    if column.dtype.is_float():
        return column.cast(pl.Float64).fill_nan(None).to_list()
    plain = column.dtype == pl.Boolean or column.dtype.is_integer()
    return (column if plain else column.cast(pl.String)).to_list()


def _cell(row: dict[str, Any], plan: Plan) -> Any:
    from .evaluate.documents import MomentCell

    found = {name: float(row[f"ll_{name}"] or 0) for name in names_of(plan)}
    whole = found.get("w", float(row["ll_rows"]))
    found |= {name: min(found[name], whole) for name in ("wy", "wp")}  # rounding must not make a share larger than 1
    counts = [int(row["ll_rows"]), *(int(row[f"ll_{name}_rows"] or 0) for name in _COUNTS)]
    return MomentCell(counts, [], {name: _exactly(value) for name, value in found.items()})


def _exactly(value: float) -> str:
    numerator, denominator = value.as_integer_ratio()
    return sums.to_text(numerator, 1 - denominator.bit_length())
