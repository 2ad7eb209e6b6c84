"""The command line: `logloss score FILES --target y --probability p`, `logloss merge STATES`.

Data goes to stdout and everything else to stderr. Exit codes: 0 done, 1 a gate failed, 2 usage or input,
101 a defect of this program, 130 interrupted.
Heavy modules are imported only when they are needed, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from ._errors import InvalidInputError, LoglossError

if TYPE_CHECKING:
    from .scores import Scores

DONE, GATE_FAILED, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 101, 130

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

_MERGE_EXAMPLES = """\
examples:
  logloss score monday.parquet --target y --probability p --save-state monday.json
  logloss merge monday.json tuesday.json --save-state week.json
"""

_EXPLAIN_EXAMPLES = """\
examples:
  logloss explain --probability 0 0 1 --target 1 0 1
  logloss explain --logit 5 -2 0.5 --target 1 0 1 --got 0.2026
  logloss explain predictions.parquet --target y --probability p
"""

_FILES = (
    "Parquet, CSV, TSV, JSON lines (.gz, .zst) or Arrow IPC; a directory, a quoted glob, @list.txt, "
    "or - for standard input; directories such as day=2026-11-01 become columns"
)


class _Once(argparse.Action):
    """An option that is given once: of two values, neither is what was meant."""

    def __call__(self, *arguments: Any) -> None:
        _, namespace, value, _ = arguments
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "may be given once only")
        setattr(namespace, self.dest, value)


class _Parser(argparse.ArgumentParser):
    """Examples before options, and one sentence for a mistake."""

    def __init__(self, **options: Any) -> None:
        # No abbreviations: a new option must not change what an old script means.
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    def format_help(self) -> str:
        text = super().format_help()
        if self.epilog:
            examples = self.epilog
            text = examples + "\n" + text.replace(examples, "").rstrip() + "\n"
        return text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="logloss", description="Exact log loss of predictions, at any scale.", epilog=_EXAMPLES)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser, help="what to do")
    score = commands.add_parser(
        "score", help="log loss of predictions in files, and what explains it", epilog=_SCORE_EXAMPLES
    )
    score.add_argument("files", nargs="+", metavar="FILE", help=_FILES)
    target_help = "what happened: 0, 1, or a share between them; for several labels their columns, or a pattern: y_*"
    score.add_argument("--target", action=_Once, metavar="COLUMN[,COLUMN…]", help=target_help)
    predictions = score.add_mutually_exclusive_group()
    name: Any = {"metavar": "[MODEL=]COLUMN[,COLUMN…]", "action": "append"}
    predictions.add_argument("--probability", help="predicted probability; again for another model", **name)
    predictions.add_argument("--logit", help="predicted logit, instead of a probability", **name)
    weight_help = "weight of each row, at least 0; for labels with weights of their own their columns, or a pattern"
    score.add_argument("--weight", action=_Once, metavar="COLUMN[,COLUMN…]", help=weight_help)
    group_help = 'one result for each value of these columns, or of "name = SQL", besides the overall one'
    score.add_argument("--group", action="append", metavar="COLUMN[,COLUMN…]", help=group_help)
    score.add_argument(
        "--where", action=_Once, metavar="CONDITION", help="score only rows for which this holds, in SQL"
    )
    values: Any = {"action": "append", "metavar": "VALUE[,VALUE…]"}
    score.add_argument("--positive", help="what the target says where it is neither 0 nor 1, as yes or 2", **values)
    score.add_argument("--negative", help="likewise; without it, the one other value there is", **values)
    score.add_argument("--ignore", help="what is no label, as -1", **values)
    drop: Any = {"choices": ("error", "drop"), "default": "error"}
    score.add_argument(
        "--labels", action=_Once, metavar="FILE", help="where the labels are, if not with the predictions"
    )
    score.add_argument("--key", action=_Once, metavar="COLUMN[,COLUMN…]", help="what tells whose label it is, in both")
    score.add_argument("--unmatched", help="keys of one side alone: refuse (default), or leave out and count", **drop)
    nulls_help = "rows (or labels of rows) without a value: refuse (default), or leave out and count"
    score.add_argument("--nulls", help=nulls_help, **drop)
    score.add_argument("--invalid", help="rows with a number out of its domain: likewise", **drop)
    eps_help = (
        "count at least this probability for what happened, as 1e-15, so that no loss is inf (default: clip nothing)"
    )
    score.add_argument("--eps", action=_Once, metavar="P", type=float, help=eps_help)
    score.add_argument(
        "--save-state", action=_Once, metavar="FILE", help="also write the state, which merge adds to others"
    )
    _add_engine(score)
    _add_reading(score)
    merge = commands.add_parser("merge", help="add up saved states of parts of the data", epilog=_MERGE_EXAMPLES)
    merge.add_argument("states", nargs="+", metavar="STATE", help="file that --save-state wrote")
    merge.add_argument("--save-state", action=_Once, metavar="FILE", help="also write the sum of the states")
    _add_explain(commands)
    for command in (score, merge):
        gate_help = 'exit with 1 if this holds over all groups, as "ne > 0.9"; again for another gate'
        command.add_argument("--fail-if", metavar="GATE", action="append", default=[], help=gate_help)
        _add_output(command)
    return parser


def _add_output(command: Any) -> None:
    from .report.formats import FORMATS

    formats = command.add_mutually_exclusive_group()
    printed = tuple(one.name for one in FORMATS.values() if one.printed)
    formats.add_argument("--format", choices=printed, default="table", help="how to print (default: table)")
    formats.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    endings = ", ".join(ending for one in FORMATS.values() for ending in one.endings)
    command.add_argument(
        "--output", action=_Once, metavar="FILE", help=f"also write the results to a file, by its ending: {endings}"
    )
    formats.add_argument(
        "--quiet", action="store_const", const=None, dest="format", help="print nothing: files and exit code tell"
    )
    command.add_argument(
        "--top", type=int, metavar="N", default=50, help="groups that the table shows, the largest ones (default: 50)"
    )
    command.add_argument(
        "--sort", action=_Once, metavar="STATISTIC", help="order of the table's groups, as log_loss: the largest first"
    )


def _add_engine(command: Any) -> None:
    """Options for runs in parts: on a cluster, or over more files than can be trusted."""
    from .scores import ENGINES

    parts = command.add_argument_group("runs in parts, for clusters and for very many files")
    parts.add_argument(
        "--engine", choices=ENGINES, help="whose workers read the files; where they are is as its settings say"
    )
    resume_help = "directory for the states of parts; a run that did not end is taken up where it was"
    parts.add_argument("--resume", action=_Once, metavar="DIRECTORY", help=resume_help)
    parts.add_argument(
        "--on-error",
        choices=("fail", "skip"),
        default="fail",
        help="files that cannot be read: fail (default), or skip",
    )


def _add_reading(command: Any) -> None:
    """Options for text whose content does not tell how it is to be read."""
    reading = command.add_argument_group("how text is written, where its content does not tell")
    reading.add_argument("--separator", action=_Once, metavar="C", help="character between the fields of CSV, or tab")
    reading.add_argument("--decimal", action=_Once, metavar="C", help='"," for numbers with a decimal comma')
    null_help = "text for a missing value, besides the usual (empty, NA, NULL, None); again for another"
    reading.add_argument("--null", action="append", metavar="TEXT", help=null_help)
    reading.add_argument("--encoding", action=_Once, metavar="NAME", help="utf-8 (default), latin-1 or utf-16")
    reading.add_argument(
        "--no-header", action="store_true", help="the first line of CSV is a row: columns are named 1, 2 and so on"
    )
    reading.add_argument("--quote", action=_Once, metavar="C", help="character around fields of CSV, or none")
    reading.add_argument(
        "--format-in", action=_Once, metavar="FORMAT", help="csv, tsv, json, parquet or arrow, for files of any name"
    )


def _meaning(arguments: argparse.Namespace) -> Any:
    from .scores import Meaning

    given = (arguments.positive, arguments.negative, arguments.ignore)
    return Meaning.of(*([one for text in texts or () for one in text.split(",")] for texts in given))


def _reading(arguments: argparse.Namespace) -> Any:
    from .scores import Reading

    return Reading.of(
        separator=arguments.separator,
        decimal=arguments.decimal,
        null=arguments.null,
        encoding=arguments.encoding,
        header=not arguments.no_header,
        quote=arguments.quote,
        format_in=arguments.format_in,
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
    explain.add_argument("--got", metavar="NUMBER", help="search for what produces this number, to the digits typed")
    explain.add_argument("--json", action="store_true", help="print JSON")


def _explain(arguments: argparse.Namespace) -> int:
    from .explaining import explain_arguments
    from .report import explanation

    names: Any = {"target": arguments.target, "logit": arguments.logit, "probability": arguments.probability}
    found = explain_arguments(arguments.files, **names, got=arguments.got).to_dict()
    _print(explanation.render_json(found) if arguments.json else explanation.render(found, *_terminal()))
    return DONE


def _score(arguments: argparse.Namespace) -> Scores:
    from .scores import Progress, score_and_tell

    def tell(progress: Progress) -> None:
        display.show(progress.rows, progress.total, progress.log_loss)

    with _display() as display:
        return score_and_tell(
            arguments.files,
            tell if display else None,
            target=arguments.target,
            probability=arguments.probability,
            logit=arguments.logit,
            weight=arguments.weight,
            group=arguments.group,
            where=arguments.where,
            nulls=arguments.nulls,
            invalid=arguments.invalid,
            eps=arguments.eps,
            meaning=_meaning(arguments),
            labels=arguments.labels,
            key=arguments.key,
            unmatched=arguments.unmatched,
            reading=_reading(arguments),
            engine=arguments.engine,
            resume=arguments.resume,
            on_error=arguments.on_error,
        )


def _display() -> AbstractContextManager[Any]:
    """What shows progress; nothing where standard error is no terminal, or one that cannot rewrite a line."""
    from .report.progress import Display

    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return nullcontext()
    return Display(sys.stderr, color=not os.environ.get("NO_COLOR"))


def _merge(arguments: argparse.Namespace) -> Scores:
    from .scores import load, merge

    return merge(*map(load, arguments.states))


def _report(scores: Scores, arguments: argparse.Namespace) -> None:
    """Print the results, and write them to the file that was asked for."""
    from .report import formats

    if arguments.format:
        _print(formats.render(arguments.format, scores.summary, _view(arguments)))
    if arguments.output is not None:
        scores.write(arguments.output, top=arguments.top, sort=arguments.sort)


def _view(arguments: argparse.Namespace) -> Any:
    from .report.view import View

    width, color = _terminal()
    encoding = getattr(sys.stdout, "encoding", None) or ""
    bars = sys.stdout is not None and sys.stdout.isatty() and encoding.lower().startswith("utf")
    return View(width, color, bars, arguments.top, arguments.sort)


def _terminal() -> tuple[int, bool]:
    """How wide the output may be, and whether it may have colours; a file or pipe gets 80 plain columns."""
    if sys.stdout is None or not sys.stdout.isatty():
        return 80, False
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80, not plain


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "explain":
        return _explain(arguments)
    if arguments.command:
        return _run_command(arguments)
    _print(f"logloss {__version__}\n" if arguments.version else parser.format_help())
    return DONE


def _run_command(arguments: argparse.Namespace) -> int:
    from .report.formats import format_of
    from .scores import Gate, Interrupted, check_place

    gates = [Gate.of(text) for text in arguments.fail_if]  # before hours of reading
    _view(arguments)  # refuses an order that there is not
    if arguments.output is not None:
        format_of(arguments.output)
    for place in (arguments.save_state, arguments.output):
        if place is not None:
            check_place(place)
    try:
        scores = _score(arguments) if arguments.command == "score" else _merge(arguments)
    except Interrupted as stop:
        _report(stop.scores, arguments)
        _complain(f"interrupted: the result is partial, of {stop.scores.summary.rows:,} rows; no state was saved")
        return INTERRUPTED
    try:
        if arguments.save_state is not None:
            scores.save(arguments.save_state)
    finally:  # a full disk must not cost the result of hours
        _report(scores, arguments)
    failures = [failure for gate in gates for failure in gate.failures(scores.summary)]
    for failure in failures:
        _complain(failure)
    return GATE_FAILED if failures else DONE


def _print(output: str) -> None:
    if sys.stdout is None:  # closed, as by >&-: nobody wants to see it
        return
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        sys.stdout.write(output)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        raise InvalidInputError(f"the output cannot be written ({error.strerror}); send it elsewhere.") from error


def _forget_stdout() -> None:
    """Keep the interpreter from finding again, when it ends, that nothing can be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    # One line, whatever a file name or a reader's message holds.
    if sys.stderr is not None:
        sys.stderr.write(f"logloss: {' '.join(message.split())}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        return _run(argv)
    except LoglossError as error:
        _complain(str(error))
        return USAGE
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a traceback
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "unknown place"
        _complain(f"internal error, please report it: {type(error).__name__} at {line}: {error}")
        return INTERNAL
