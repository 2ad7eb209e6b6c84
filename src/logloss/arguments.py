"""The arguments of the command line: every command and option, with its help.

Heavy modules are imported only when they are needed, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

from ._parser import Once, Parser

DEPTH = 2
"""As in `evaluate.scan`, which takes long to import; a test holds that they are the same."""

_EXAMPLES = """\
examples:
  logloss score predictions.parquet --target clicked --probability p
  logloss score 'logs/**/*.csv.gz' --target y --logit z --group country --save-state monday.json
  logloss merge monday.json tuesday.json
  logloss score --help
"""

_SCORE_EXAMPLES = """\
examples:
  logloss score predictions.parquet --target clicked --probability p
  logloss score day1.csv day2.csv --target y --logit z --group country,device
  logloss score 'logs/**/*.parquet' --target y --probability p --where "country = 'SE'"
  logloss score predictions.parquet --target y --probability old=p1 --probability new=p2
  logloss score predictions.csv --labels labels.csv --key id --target y --probability p
  logloss score labels.parquet --target 'y_*' --logit 'z_*'        one problem for each label
  logloss score comments.csv --target toxic,insult --probability '*_pred'
  logloss score predictions.parquet --target y --probability p --json | jq .results
  logloss score predictions.parquet --target y --probability p --fail-if 'ne > 0.9'
"""

_REPORT_EXAMPLES = """\
examples:
  logloss report predictions.parquet --target clicked --probability p -o report.html
  logloss report predictions.parquet --target y --probability p --group sex,region --threshold 0.2 -o report.html
  logloss report predictions.parquet --target y --probability p --segments sex,region,age --depth 3 -o whom.html
  logloss report 'logs/**/*.parquet' --target y --probability p --group "day = date_trunc('day', ts)" -o drift.html
  logloss report predictions.parquet --target y --probability old=p1 --probability new=p2 -o models.html
  logloss report monday.json tuesday.json -o week.html      of states that --save-state wrote
"""

_MERGE_EXAMPLES = """\
examples:
  logloss score monday.parquet --target y --probability p --save-state monday.json
  logloss merge monday.json tuesday.json --save-state week.json
"""

_SQL_EXAMPLES = """\
examples:
  logloss sql predictions --target y --probability p --group country --dialect postgres > query.sql
  psql --csv -f query.sql > rows.csv
  logloss sql predictions --target y --probability p --group country --result rows.csv
"""

_COMPARE_EXAMPLES = """\
examples:
  logloss compare predictions.parquet --target y --probability old=p1 --probability new=p2
  logloss compare new.parquet --against old.parquet --key id --target y --probability p --cluster user
  logloss compare predictions.parquet --target y --probability old=p1 --probability new=p2 --fail-on-regression 0.001
"""

_SEGMENTS_EXAMPLES = """\
examples:
  logloss segments predictions.parquet --target y --probability p --segments sex,region,age
  logloss segments predictions.parquet --target y --probability p --segments sex,region,age --depth 3 --json
  logloss segments monday.json      of a state that score --segments --save-state wrote
"""

_DRIFT_EXAMPLES = """\
examples:
  logloss score may.parquet --target y --probability p --diagnostics --save-state may.json
  logloss drift may.json june.json
"""

_EXPLAIN_EXAMPLES = """\
examples:
  logloss explain --probability 0 0 1 --target 1 0 1
  logloss explain --logit 5 -2 0.5 --target 1 0 1 --got 0.2026
  logloss explain predictions.parquet --target y --probability p
  logloss explain predictions.parquet --target y --probability p --weight w --got 0.4716
"""

_FILES = (
    "Parquet, CSV, TSV, JSON lines (.gz, .zst) or Arrow IPC; a directory, a quoted glob, @list.txt, "
    "or - for standard input; also s3://, gs://, az:// and https://; directories such as day=2026-11-01 become columns"
)


_A_FILE = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "tcsh": "f",
    "fish": "(__fish_complete_path (commandline -ct))",
}
_A_DIRECTORY = {
    "bash": "_shtab_compgen_dirs",
    "zsh": "_files -/",
    "tcsh": "d",
    "fish": "(__fish_complete_directories)",
}
_COMPLETED = {
    **dict.fromkeys(["FILE", "FILE.html", "STATE", "BEFORE", "AFTER"], _A_FILE),
    "DIRECTORY": _A_DIRECTORY,
}
"""How shells complete what stands for a file, by its metavar."""


def parser() -> argparse.ArgumentParser:
    """What understands a command line."""
    found = Parser(prog="logloss", description="Exact log loss of predictions, at any scale.", epilog=_EXAMPLES)
    found.add_argument("--version", action="store_true", help="print the version and exit")
    commands = found.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser, help="what to do")
    score = commands.add_parser(
        "score", help="log loss of predictions in files, and what explains it", epilog=_SCORE_EXAMPLES
    )
    report = commands.add_parser(
        "report", help="one HTML file: how good, calibrated, fair and useful predictions are", epilog=_REPORT_EXAMPLES
    )
    for command, needs in ((score, ""), (report, "-o FILE.html ")):
        _add_rows(command, needs)
        corp_help = (
            "plain decomposition: of bins (default), or of all rows, sorted on disk or by an engine; never merged"
        )
        command.add_argument("--corp", choices=("grid", "exact"), default="grid", help=corp_help)
    score.add_argument(
        "--diagnostics",
        action="store_true",
        help="also calibration, decomposition, ranking and use: slope, ICI, ECE, MCB, DSC, AUC, net benefit and others",
    )
    for command in (score, report):
        _add_segments(command)
    report.set_defaults(diagnostics=True, format=None, top=0, sort=None)
    report.add_argument("-o", "--output", action=Once, required=True, metavar="FILE.html", help="where it goes")
    merge = commands.add_parser("merge", help="add up saved states of parts of the data", epilog=_MERGE_EXAMPLES)
    merge.add_argument("files", nargs="+", metavar="STATE", help="file that --save-state wrote")
    merge.add_argument("--save-state", action=Once, metavar="FILE", help="also write the sum of the states")
    _add_depth(merge)
    _add_comparing(commands)
    _add_explain(commands)
    sql = _add_sql(commands)
    for command in (score, report, merge, sql):
        gate_help = 'exit with 1 if this holds over all groups, as "ne > 0.9"; again for another gate'
        command.add_argument("--fail-if", metavar="GATE", action="append", default=[], help=gate_help)
    for command in (score, report, merge):
        _add_asked(command)
    for command in (score, merge, sql):
        _add_output(command)
    for command in commands.choices.values():
        _say_what_are_files(command)
    return found


def _say_what_are_files(command: argparse.ArgumentParser) -> None:
    """For shtab, which writes completions for shells: which arguments are files or directories, by their metavars."""
    for action in command._actions:
        kind = _COMPLETED.get(str(action.metavar))
        if kind:
            action.complete = kind  # type: ignore[attr-defined]


def _add_comparing(commands: Any) -> None:
    """What is better, and what changed."""
    compare = commands.add_parser(
        "compare", help="is a model better than another on the same rows?", epilog=_COMPARE_EXAMPLES
    )
    _add_rows(compare)
    against_help = "where the baseline's predictions are, if not with the others', joined on --key"
    compare.add_argument("--against", action=Once, metavar="FILE", help=against_help)
    regression_help = "exit with 1 if a model's log loss is worse than the baseline's by more than this, beyond chance"
    compare.add_argument(
        "--fail-on-regression", metavar="MARGIN", nargs="?", type=float, const=0.0, default=None, help=regression_help
    )
    _add_top(compare, "groups shown, the largest")
    segments = commands.add_parser(
        "segments", help="for whom are predictions wrong? intersections of columns", epilog=_SEGMENTS_EXAMPLES
    )
    for command in (compare, segments):
        command.set_defaults(threshold=[], prevalence=None, segments=None, corp="grid")
    _add_rows(segments, "--segments COLUMN,COLUMN ")
    _add_segments(segments)
    _add_top(segments, "segments shown, the worst")
    drift = commands.add_parser("drift", help="what changed between two saved states", epilog=_DRIFT_EXAMPLES)
    for name in ("before", "after"):
        drift.add_argument(name, metavar=name.upper(), help=f"the {name} state, which --diagnostics --save-state wrote")
    for command in (compare, segments, drift):
        command.add_argument("--json", action="store_true", help="print JSON")


def _add_rows(command: Any, needs: str = "") -> None:
    """Which rows of files are scored, and what their columns mean."""
    # That of argparse has every option, in twenty lines, and they follow with their help.
    command.usage = f"%(prog)s FILE [FILE …] --target COLUMN --probability COLUMN {needs}[options]"
    # Not "*": before Python 3.13, that takes no files where options come first.
    command.add_argument("files", nargs="+", metavar="FILE", default=[], help=_FILES).required = False
    query_help = "score what a database answers, instead of files"
    command.add_argument("--query", action=Once, metavar="SQL", help=query_help)
    database_help = "whom --query is for: a file of DuckDB or SQLite, or a URL such as postgresql://user@host/name"
    command.add_argument("--database", action=Once, metavar="FILE|URL", help=database_help)
    _add_columns(command)
    kind_help = "what weights mean: importances (default), numbers of rows that are alike, or inverse variances"
    command.add_argument(
        "--weight-kind", choices=("importance", "frequency", "precision"), default="importance", help=kind_help
    )
    values: Any = {"action": "append", "metavar": "VALUE[,VALUE…]"}
    command.add_argument("--positive", help="what the target says where it is neither 0 nor 1, as yes or 2", **values)
    command.add_argument("--negative", help="likewise; without it, the one other value there is", **values)
    command.add_argument("--ignore", help="what is no label, as -1", **values)
    command.add_argument(
        "--labels", action=Once, metavar="FILE", help="where the labels are, if not with the predictions"
    )
    command.add_argument("--key", action=Once, metavar="COLUMN[,COLUMN…]", help="what tells whose label it is, in both")
    unmatched_help = "keys of one side alone: refuse (default), or leave out and count"
    command.add_argument("--unmatched", help=unmatched_help, **_DROP)
    eps_help = (
        "count at least this probability for what happened, as 1e-15, so that no loss is inf (default: clip nothing)"
    )
    cluster_help = "rows with the same value depend on each other, as those of a user: intervals allow for that"
    command.add_argument("--cluster", action=Once, metavar="COLUMN", help=cluster_help)
    command.add_argument("--eps", action=Once, metavar="P", type=float, help=eps_help)
    trained: Any = {"action": Once, "metavar": "R", "type": float}
    rate_help = "share of negatives that training kept: also score predictions corrected for it"
    command.add_argument("--negative-rate", help=rate_help, **trained)
    command.add_argument("--pos-weight", help="weight of positives in training: likewise", **trained)
    command.add_argument(
        "--save-state", action=Once, metavar="FILE", help="also write the state, which merge adds to others"
    )
    _add_engine(command)
    _add_reading(command)


_DROP: Any = {"choices": ("error", "drop"), "default": "error"}


def _add_columns(command: Any) -> None:
    """What the columns of files or tables mean."""
    target_help = "what happened: 0, 1, or a share between them; for several labels their columns, or a pattern: y_*"
    command.add_argument("--target", action=Once, metavar="COLUMN[,COLUMN…]", help=target_help)
    predictions = command.add_mutually_exclusive_group()
    name: Any = {"metavar": "[MODEL=]COLUMN[,COLUMN…]", "action": "append"}
    predictions.add_argument("--probability", help="predicted probability; again for another model", **name)
    predictions.add_argument("--logit", help="predicted logit, instead of a probability", **name)
    weight_help = "weight of each row, at least 0; for labels with weights of their own their columns, or a pattern"
    command.add_argument("--weight", action=Once, metavar="COLUMN[,COLUMN…]", help=weight_help)
    group_help = 'one result for each value of these columns, or of "name = SQL", besides the overall one'
    command.add_argument("--group", action="append", metavar="COLUMN[,COLUMN…]", help=group_help)
    command.add_argument(
        "--where", action=Once, metavar="CONDITION", help="score only rows for which this holds, in SQL"
    )
    nulls_help = "rows (or labels of rows) without a value: refuse (default), or leave out and count"
    command.add_argument("--nulls", help=nulls_help, **_DROP)
    command.add_argument("--invalid", help="rows with a number out of its domain: likewise", **_DROP)


def _add_sql(commands: Any) -> Any:
    from .pushdown import DIALECTS

    command = commands.add_parser(
        "sql",
        help="one SELECT that scores a table in its database, and the scores of its rows",
        epilog=_SQL_EXAMPLES,
    )
    command.add_argument("table", metavar="TABLE", help="its name, or a query in parentheses")
    _add_columns(command)
    command.add_argument("--dialect", choices=DIALECTS, default=DIALECTS[0], help="whose SQL (default: duckdb)")
    result_help = "the rows that the database returned, in any format that score reads: print their scores"
    command.add_argument("--result", action=Once, metavar="FILE", help=result_help)
    command.set_defaults(save_state=None)
    return command


def _add_segments(command: Any) -> None:
    """Whose intersections are scanned."""
    segments_help = 'for whom are predictions wrong? scan the values of these columns, or of "name = SQL", and their'
    segments_help += " intersections, in the same pass"
    command.add_argument("--segments", action="append", metavar="COLUMN[,COLUMN…]", help=segments_help)
    _add_depth(command)


def _add_depth(command: Any) -> None:
    depth_help = f"columns of a segment at most (default: {DEPTH})"
    command.add_argument("--depth", type=int, metavar="N", default=DEPTH, help=depth_help)


def _add_asked(command: Any) -> None:
    """What diagnostics are to tell."""
    threshold_help = "probabilities at which rows would be flagged, for --diagnostics"
    command.add_argument(
        "--threshold", metavar="T[,T…]", action="append", type=_numbers, default=[], help=threshold_help
    )
    prevalence_help = "share of positives that net benefit assumes, if not the base rate, as for cases and controls"
    command.add_argument("--prevalence", action=Once, metavar="P", type=float, help=prevalence_help)


def _numbers(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers, with commas between them; got {text!r}") from None


def _add_output(command: Any) -> None:
    from .reporting.formats import FORMATS

    formats = command.add_mutually_exclusive_group()
    printed = tuple(one.name for one in FORMATS.values() if one.printed)
    formats.add_argument("--format", choices=printed, default="table", help="how to print (default: table)")
    formats.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    endings = ", ".join(ending for one in FORMATS.values() for ending in one.endings)
    command.add_argument(
        "--output", action=Once, metavar="FILE", help=f"also write the results to a file, by its ending: {endings}"
    )
    formats.add_argument(
        "--quiet", action="store_const", const=None, dest="format", help="print nothing: files and exit code tell"
    )
    _add_top(command, "groups that the table shows, the largest ones")
    command.add_argument(
        "--sort", action=Once, metavar="STATISTIC", help="order of the table's groups, as log_loss: the largest first"
    )


def _add_top(command: Any, what: str) -> None:
    command.add_argument("--top", type=int, metavar="N", default=50, help=f"{what} (default: 50)")


def _add_engine(command: Any) -> None:
    """Options for runs in parts: on a cluster, or over more files than can be trusted."""
    from .engines.remote import ENGINES

    parts = command.add_argument_group("runs in parts, for clusters and for very many files")
    parts.add_argument(
        "--engine", choices=ENGINES, help="whose workers read the files; where they are is as its settings say"
    )
    resume_help = "directory for the states of parts; a run that did not end is taken up where it was"
    parts.add_argument("--resume", action=Once, metavar="DIRECTORY", help=resume_help)
    skip_help = "files that cannot be read: fail (default), or skip"
    parts.add_argument("--on-error", choices=("fail", "skip"), default="fail", help=skip_help)


def _add_reading(command: Any) -> None:
    """Options for text whose content does not tell how it is to be read."""
    reading = command.add_argument_group("how text is written, where its content does not tell")
    reading.add_argument("--separator", action=Once, metavar="C", help="character between the fields of CSV, or tab")
    reading.add_argument("--decimal", action=Once, metavar="C", help='"," for numbers with a decimal comma')
    null_help = "text for a missing value, besides the usual (empty, NA, NULL, None); again for another"
    reading.add_argument("--null", action="append", metavar="TEXT", help=null_help)
    reading.add_argument("--encoding", action=Once, metavar="NAME", help="utf-8 (default), latin-1 or utf-16")
    header_help = "the first line of CSV is a row: columns are named 1, 2 and so on"
    reading.add_argument("--no-header", dest="header", action="store_false", help=header_help)
    reading.add_argument("--quote", action=Once, metavar="C", help="character around fields of CSV, or none")
    reading.add_argument(
        "--format-in", action=Once, metavar="FORMAT", help="csv, tsv, json, parquet or arrow, for files of any name"
    )


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain", help="what every framework makes of the same predictions, and why", epilog=_EXPLAIN_EXAMPLES
    )
    # Before Python 3.14 argparse takes -1e-3 and -inf for options.
    explain._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|-inf$", re.IGNORECASE)
    explain.add_argument("files", nargs="*", metavar="FILE", help=f"before the options: {_FILES}")
    values: Any = {"nargs": "+", "metavar": "VALUE|COLUMN"}
    explain.add_argument("--target", required=True, help="targets, or their columns if there are files", **values)
    predictions = explain.add_mutually_exclusive_group(required=True)
    predictions.add_argument("--probability", help="predicted probabilities, or their columns", **values)
    predictions.add_argument("--logit", help="predicted logits, instead of probabilities", **values)
    explain.add_argument("--weight", help="weights of the rows, or their column", **values)
    explain.add_argument("--got", metavar="NUMBER", help="search for what produces this number, to the digits typed")
    explain.add_argument("--json", action="store_true", help="print JSON")
    meanings: Any = {"action": "append", "metavar": "VALUE[,VALUE…]"}
    explain.add_argument("--positive", help="what the target says in files where it is not 1, as yes or 2", **meanings)
    explain.add_argument("--negative", help="likewise; without it, the one other value there is", **meanings)
    explain.add_argument("--nulls", help="rows of files without a value: refuse (default), or leave out", **_DROP)
    explain.set_defaults(ignore=None)
    _add_reading(explain)
