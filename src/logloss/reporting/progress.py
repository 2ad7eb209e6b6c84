"""How far a run is, on a terminal, and gone when it ends."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Self

from .notes import number

if TYPE_CHECKING:
    from rich.progress import Progress, Task

DELAY = 1.0
"""Seconds before anything is shown: a quick run needs no bar."""

_WIDTH_FOR_BAR = 80


_LOG = logging.getLogger("logloss")


class _Above(logging.Handler):
    """What the package has to say meanwhile, such as why nothing happens yet, above the line of progress."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.INFO)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        self._display.say(record.getMessage())


class Display:
    """A line on a terminal with rows, speed, remaining time and log loss so far; a context manager."""

    def __init__(self, stream: IO[str], color: bool) -> None:
        self._stream = stream
        self._color = color
        self._timer = threading.Timer(DELAY, self._start)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._bar: Progress | None = None
        self._seen: tuple[int, int | None, float] = (0, None, math.nan)
        self._ended = False
        self._above = _Above(self)
        self._level = _LOG.level

    def __enter__(self) -> Self:
        _LOG.addHandler(self._above)
        _LOG.setLevel(logging.INFO)
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        _LOG.setLevel(self._level)
        _LOG.removeHandler(self._above)
        with self._lock:
            self._ended = True
            if self._bar:
                self._bar.stop()

    def show(self, rows: int, total: int | None, log_loss: float) -> None:
        """Show these numbers, from any thread, once the delay is over."""
        with self._lock:
            self._seen = rows, total, log_loss
            self._update()

    def say(self, text: str) -> None:
        """Write a line that stays, from any thread."""
        with self._lock, suppress(OSError):
            if self._bar:
                self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                self._stream.write(f"{text}\n")
                self._stream.flush()

    def _start(self) -> None:
        with self._lock:
            if not self._ended:
                self._bar = _bar(self._stream, self._color)
                self._bar.add_task("", total=None)
                self._update()
                self._bar.start()

    def _update(self) -> None:
        if not self._bar:
            return
        rows, total, log_loss = self._seen
        self._bar.update(self._bar.task_ids[0], completed=rows, total=total, log_loss=log_loss)


def _bar(stream: IO[str], color: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn
    from rich.text import Text

    class Numbers(ProgressColumn):
        """Rows read, how fast, for how long still, and the log loss so far: as much as fits."""

        def render(self, task: Task) -> Text:
            return Text(_numbers(task, console.width), no_wrap=True, overflow="crop")

    console = Console(file=stream, force_terminal=True, no_color=not color)
    columns = [Numbers()] if console.width < _WIDTH_FOR_BAR else [BarColumn(bar_width=12), Numbers()]
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)


def _numbers(task: Task, width: int) -> str:
    """As many of the numbers as fit, each of them whole."""
    speed, left = task.speed, task.time_remaining
    rate = "" if not speed else f"{speed:,.0f} rows/s" if speed < 1e6 else f"{speed / 1e6:.1f}M rows/s"
    time = _duration(task.elapsed or 0.0) if left is None else f"{_duration(left)} left"
    loss = f"log loss {number(task.fields['log_loss'])}" if task.completed else ""
    parts = [f"{int(task.completed):,} rows", rate, time, loss]
    for going in (1, 2, 3):
        if len(", ".join(filter(None, parts))) < width:
            break
        parts[going] = ""
    return ", ".join(filter(None, parts))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
