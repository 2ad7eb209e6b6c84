"""The command line: `logloss score FILES --target y --probability p`, `logloss report`, `logloss merge STATES`.

Data goes to stdout and everything else to stderr. Exit codes: 0 done, 1 a gate failed, 2 usage or input,
101 a defect of this program, 130 interrupted.
Heavy modules are imported only when they are needed, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import codecs
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from ._errors import InvalidInputError, LoglossError
from ._parser import USAGE
from .arguments import DEPTH, parser

if TYPE_CHECKING:
    from .pushdown import Query
    from .scores import Scores

DONE, GATE_FAILED, INTERNAL, INTERRUPTED = 0, 1, 101, 130
_LESS = "allow more, or name fewer groups or files at once and add up their states (logloss merge)"


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "thresholds": [one for some in arguments.threshold for one in some],
        "prevalence": arguments.prevalence,
        "depth": arguments.depth,
    }


_ASKED_NOTHING: dict[str, Any] = {"thresholds": [], "prevalence": None, "depth": DEPTH}


def _meaning(arguments: argparse.Namespace) -> Any:
    from .scores import Meaning

    given = (arguments.positive, arguments.negative, arguments.ignore)
    return Meaning.of(*([one for text in texts or () for one in text.split(",")] for texts in given))


def _explain(arguments: argparse.Namespace) -> int:
    from .explaining import explain_arguments
    from .reporting import explanation
    from .scores import Reading

    names = {name: getattr(arguments, name) for name in ("target", "logit", "probability", "weight", "got", "nulls")}
    known: Any = {"meaning": _meaning(arguments), "reading": Reading.among({**vars(arguments)})}
    found = explain_arguments(arguments.files, **names, **known).to_dict()
    _print(explanation.render_json(found) if arguments.json else explanation.render(found, *_terminal()))
    return DONE


def _score(arguments: argparse.Namespace) -> Scores:
    from .scores import Progress, asked_of, score_and_tell

    def tell(progress: Progress) -> None:
        display.show(progress.rows, progress.total, progress.log_loss)

    with _display() as display:
        compare = None if arguments.command == "report" else False
        diagnostics = {"diagnostics": arguments.diagnostics, "compare": compare, "corp": arguments.corp}
        asked = asked_of(arguments.diagnostics, **_asked(arguments))
        return score_and_tell(
            arguments.files or None, tell if display else None, **_options(arguments), **diagnostics, asked=asked
        )


_AS_THEY_ARE = (
    *("target", "probability", "logit", "weight", "weight_kind", "group", "where", "nulls", "invalid", "eps"),
    *("labels", "key", "unmatched", "cluster", "negative_rate", "pos_weight", "engine", "resume", "on_error"),
    *("query", "database", "segments"),
)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Which rows, what their columns mean, and how text is to be read."""
    from .scores import Reading

    found = {name: getattr(arguments, name) for name in _AS_THEY_ARE}
    return {**found, "meaning": _meaning(arguments), "reading": Reading.among({**vars(arguments)})}


def _compare(arguments: argparse.Namespace) -> int:
    from .comparing import Comparisons, Interrupted, Progress, compare_and_tell

    def tell(progress: Progress) -> None:
        display.show(progress.rows, progress.total, progress.log_loss)

    def show(found: Comparisons) -> None:
        width, color = _terminal()
        _print(found.to_json() if arguments.json else found.render(width, color, arguments.top))

    try:
        with _display() as display:
            known = _options(arguments)
            files = arguments.files or None
            found = compare_and_tell(files, tell if display else None, against=arguments.against, **known)
    except Interrupted as stop:
        show(Comparisons(stop.scores))
        return _interrupted(stop.scores)
    with _saved(found.scores, arguments.save_state):
        show(found)
    margin = arguments.fail_on_regression
    failures = [] if margin is None else found.regressions(margin)
    for failure in failures:
        _complain(failure)
    return GATE_FAILED if failures else DONE


def _segments(arguments: argparse.Namespace) -> int:
    from .scores import Interrupted
    from .segmenting import segments

    arguments.diagnostics = not arguments.segments  # which have bins of their own

    def show(scores: Scores) -> None:
        found = segments(scores, arguments.depth)
        width, color = _terminal()
        _print(found.to_json() if arguments.json else found.render(width, color, arguments.top))

    try:
        scores = _merge(arguments) if _are_states(arguments) else _score(arguments)
    except Interrupted as stop:
        show(stop.scores)
        return _interrupted(stop.scores)
    with _saved(scores, arguments.save_state):
        show(scores)
    return DONE


@contextmanager
def _saved(scores: Scores, place: str | None) -> Iterator[None]:
    """The state goes to its place before the result is shown; a full disk must not cost the result of hours."""
    try:
        if place is not None:
            scores.save(place)
    except LoglossError:
        yield
        raise
    yield


def _interrupted(scores: Scores) -> int:
    from .reporting.notes import rows_of

    _complain(f"interrupted: the result is partial, of {rows_of(scores.summary.rows)}; no state was saved")
    return INTERRUPTED


def _drift(arguments: argparse.Namespace) -> int:
    from .comparing import drift
    from .scores import load

    found = drift(load(arguments.before), load(arguments.after))
    _print(found.to_json() if arguments.json else found.render(*_terminal()))
    return DONE


def _query(arguments: argparse.Namespace) -> Query:
    from .pushdown import sql

    names = ("target", "probability", "logit", "weight", "group", "where", "nulls", "invalid", "dialect")
    return sql(arguments.table, **{name: getattr(arguments, name) for name in names})


def _display() -> AbstractContextManager[Any]:
    """What shows progress; nothing where standard error is no terminal, or one that cannot rewrite a line."""
    from .reporting.progress import Display

    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return nullcontext()
    return Display(sys.stderr, color=not os.environ.get("NO_COLOR"))


def _merge(arguments: argparse.Namespace) -> Scores:
    from .scores import load, merge, require_different

    require_different(list(map(Path, arguments.files)))
    merged, asked = merge(*map(load, arguments.files)), _asked(arguments)
    return merged if asked == _ASKED_NOTHING else merged.at(**asked)


def _report(scores: Scores, arguments: argparse.Namespace) -> None:
    """Print the results, and write them to the file that was asked for."""
    from .reporting import formats

    if arguments.format:
        _print(formats.render(arguments.format, scores.summary, _view(arguments)))
    if arguments.output is not None:
        scores.write(arguments.output, top=arguments.top, sort=arguments.sort, command=arguments.line)


def _view(arguments: argparse.Namespace) -> Any:
    from .reporting.view import View

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
    asked = parser()
    arguments = asked.parse_args(argv)
    arguments.line = shlex.join(["logloss", *(sys.argv[1:] if argv is None else argv)])
    _require_other_places(arguments)
    special = {"explain": _explain, "compare": _compare, "segments": _segments, "drift": _drift}
    if getattr(arguments, "save_state", None) is not None:  # before hours of reading
        from .scores import check_place

        check_place(arguments.save_state)
    if arguments.command in special:
        return special[arguments.command](arguments)
    if arguments.command == "sql" and arguments.result is None:
        _require_nothing_of_rows(arguments)
        _print(f"{_query(arguments)};\n")
        return DONE
    if arguments.command:
        return _run_command(arguments)
    _print(f"logloss {__version__}\n" if arguments.version else asked.format_help())
    return DONE


def _require_nothing_of_rows(arguments: argparse.Namespace) -> None:
    """Refuse what is to be done with scores where there will be none: a gate that is passed over seems to hold."""
    for option, given in (("--fail-if", arguments.fail_if), ("--output", arguments.output)):
        if given:
            raise InvalidInputError(
                f"{option} is about scores, and there are only those of rows that a database returned; run this query "
                "there first, and name its rows (--result)."
            )


def _require_other_places(arguments: argparse.Namespace) -> None:
    """Refuse to write over what is read: only states may take the place of what they were added up from."""
    if _are_states(arguments):
        return
    given = vars(arguments)
    read = [*(given.get("files") or ()), given.get("labels"), given.get("against"), given.get("result")]
    real = {os.path.realpath(one) for one in read if one}
    for option in ("save_state", "output"):
        place = given.get(option)
        if place and os.path.realpath(place) in real:
            raise InvalidInputError(f"{place} cannot be written: it is read, and would be lost; choose another place.")


def _run_command(arguments: argparse.Namespace) -> int:
    from .reporting.formats import format_of
    from .scores import Gate, Interrupted, check_place, unmergeable

    gates = [Gate.of(text) for text in arguments.fail_if]  # before hours of reading
    _require_diagnostics(gates, arguments)
    if getattr(arguments, "corp", "grid") == "exact" and (arguments.save_state or _are_states(arguments)):
        raise unmergeable()
    _view(arguments)  # refuses an order that there is not
    if arguments.output is not None:
        check_place(arguments.output)
        _require_format(format_of(arguments.output), arguments)
    try:
        scores = _scores(arguments)
    except Interrupted as stop:
        _report(stop.scores, arguments)
        return _interrupted(stop.scores)
    with _saved(scores, arguments.save_state):
        _report(scores, arguments)
    failures = [failure for gate in gates for failure in gate.failures(scores.summary)]
    for failure in failures:
        _complain(failure)
    return GATE_FAILED if failures else DONE


def _scores(arguments: argparse.Namespace) -> Scores:
    if arguments.command == "sql":
        return _query(arguments).scores(arguments.result)
    return _merge(arguments) if _are_states(arguments) else _score(arguments)


def _are_states(arguments: argparse.Namespace) -> bool:
    """Whether the files are states: always in a merge, in a report and for segments where no columns are named."""
    if arguments.command in ("report", "segments"):
        return not (arguments.target or arguments.probability or arguments.logit)
    return bool(arguments.command == "merge")


def _require_format(chosen: Any, arguments: argparse.Namespace) -> None:
    """Refuse a report that would be no page, and a format whose libraries are missing, before hours of reading."""
    if arguments.command == "report" and chosen.name != "html":
        raise InvalidInputError(
            f"a report is one HTML file; got {arguments.output}; end its name in .html, "
            "or write other formats by logloss score --output."
        )
    chosen.require()


def _require_diagnostics(gates: Sequence[Any], arguments: argparse.Namespace) -> None:
    about = [gate.text for gate in gates if gate.needs_diagnostics]
    if about and not getattr(arguments, "diagnostics", arguments.command == "merge"):
        raise InvalidInputError(f"gate {about[0]!r} is about diagnostics, and none were asked for; add --diagnostics.")
    about = [gate.text for gate in gates if gate.needs_segments]
    if about and not (_are_states(arguments) or getattr(arguments, "segments", None)):
        raise InvalidInputError(f"gate {about[0]!r} is about segments, and none were named; add --segments.")


def _print(output: str) -> None:
    if sys.stdout is None:  # closed, as by >&-: nobody wants to see it
        return
    codecs.register_error("logloss.plain", _in_plain_signs)
    sys.stdout.reconfigure(errors="logloss.plain")  # type: ignore[union-attr]
    try:
        sys.stdout.write(output)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        raise InvalidInputError(f"the output cannot be written ({error.strerror}); send it elsewhere.") from error


_PLAIN = {"─": "-", "±": "+-", "²": "2", "÷": "/", "·": "*", "…": "..", "σ": "sigma", "∞": "inf", "≤": "<=", "≥": ">="}
"""What our own signs become where the encoding of standard output has none of them."""


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    """How codecs ask for what they can write instead; signs of names and values become their escapes."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    plain = (_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lost)
    return "".join(plain), error.end


def _forget_stdout() -> None:
    """Keep the interpreter from finding again, when it ends, that nothing can be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    # One line, whatever a file name or a reader's message holds.
    if sys.stderr is not None:
        with suppress(OSError):  # where nobody can be told, the exit code still tells
            sys.stderr.write(f"logloss: {' '.join(message.split())}\n")
            sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        return _run(argv)
    except LoglossError as error:
        _complain(str(error))
        return USAGE
    except MemoryError as error:
        what = str(error).rstrip(".") or "some was refused"
        _complain(f"there must be memory for this run; it ran out ({what}); {_LESS}.")
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
