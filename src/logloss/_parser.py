"""How the command line is parsed: examples before options, and of a mistake one sentence with what was meant."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any, NoReturn

USAGE = 2
"""The exit code of a mistake in arguments."""


class Once(argparse.Action):
    """An option that is given once: of two values, neither is what was meant."""

    def __call__(self, *arguments: Any) -> None:
        _, namespace, value, _ = arguments
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "may be given once only")
        setattr(namespace, self.dest, value)


class Parser(argparse.ArgumentParser):
    """Examples before options, and one sentence for a mistake."""

    def __init__(self, **options: Any) -> None:
        # No abbreviations: a new option must not change what an old script means.
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments; of words that mean nothing here, what to write instead."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            _command(self, found.command).error(_misplaced(rest[0], _command(self, found.command)))
        return found

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    def format_help(self) -> str:
        text = super().format_help()
        if self.epilog:
            examples = self.epilog
            text = examples + "\n" + text.replace(examples, "").rstrip() + "\n"
        return text


def _command(whole: argparse.ArgumentParser, name: str | None) -> argparse.ArgumentParser:
    """The parser of a command, or that of all."""
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction) and name is not None:
            chosen: argparse.ArgumentParser = action.choices[name]
            return chosen
    return whole


def _misplaced(word: str, command: argparse.ArgumentParser) -> str:
    if not word.startswith("-"):
        return f"{word!r} belongs to no option; an option takes one value, and is given again for another"
    option, known = word.partition("=")[0], list(command._option_string_actions)
    similar = difflib.get_close_matches(option, known, n=1)
    if not similar and not option.startswith("--"):
        file = [f"./{word}"] if Path(word).exists() else []
        similar = [one for one in known if one.startswith(f"-{option[:2]}")][:2] or file
    return f"there is no option {option}" + (f"; did you mean {' or '.join(similar)}" if similar else "")
