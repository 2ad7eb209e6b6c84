"""How kernels compile: the decorators and where the machine code is kept."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core import sigutils
from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaWarning

# Numba's disk cache notices a change in the file that defines an entry and in no other. The name of every entry
# therefore ends in a digest of all sources of this room: code from an older version can never be loaded.
_SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()[:12]

# Numba hands a caller's options down to callees that name none, so every function names all of them.
# "numpy" lets a division by zero be inf, as everywhere in floating point, and keeps loops free of branches.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": False}

inline: Callable[..., Any] = njit(forceinline=True, **_OPTIONS)
"""A piece of a kernel: inlined, no value-changing rewrites (`fma` is written where it is meant)."""


_LOG = logging.getLogger("logloss")
_said: set[int] = set()
"""At which levels of the log something has been said in this process."""


def _say(level: int, message: str, *details: str) -> None:
    """Say one thing of a level, once per process, if anybody hears it."""
    if level not in _said and _LOG.isEnabledFor(level):
        _said.add(level)
        _LOG.log(level, message, *details)


def _tell(reason: str) -> None:
    """Say that what is compiled is lost with the process: seconds, wherever one begins."""
    place = f", which is {config.CACHE_DIR!r}," if config.CACHE_DIR else ""
    _say(
        logging.WARNING,
        "logloss has to compile its kernels in every process, for seconds, because they cannot be kept: %s. "
        "Set NUMBA_CACHE_DIR%s to a folder that can be written and has room.",
        reason.rstrip("."),
        place,
    )


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, where a file that cannot be used is one that is not there.

    A process killed at the wrong moment or a full disk leaves files that end too early; Numba would raise whatever
    unpickling them raises, in every process from then on.
    """

    def load_overload(self, sig, target_context):
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - damaged pickles raise anything
            with contextlib.suppress(OSError):
                self.flush()
        if found is None:
            kept = "logloss compiles kernels for this machine, up to half a minute, once: they are kept in %s."
            _say(logging.INFO, kept, self.cache_path)
        return found

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - no cache is no reason for a call to fail
            _tell(str(error) or repr(error))


class _Nowhere(NullCache):  # type: ignore[misc]
    """What stands for a cache where no folder can be written."""

    def load_overload(self, *_):
        folders = [f"{Path(__file__).parent / '__pycache__'}", "the user's cache folder"]
        _tell(f"neither {' nor '.join([*filter(None, [config.CACHE_DIR]), *folders])} can be written")


def _cache_of(function: Callable[..., Any]) -> NullCache:
    """Where a function's machine code is kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            return _Cache(function)  # what `cache=True` does
        except RuntimeError:  # "no locator available"
            return _Nowhere()


def entry(function: Callable[..., Any]) -> Any:
    """Compile a kernel that Python calls: without the GIL, and kept on disk where the disk allows it."""
    function.__qualname__ += "_" + _SOURCES
    dispatcher = njit(nogil=True, **_OPTIONS)(function)
    dispatcher._cache = _cache_of(function)
    return dispatcher


def callback(template: Callable[..., Any], signature: Any, **meaning: Any) -> Any:
    """A function that C calls, kept on disk like an entry: without the GIL, and it must raise nothing.

    It has an `address`, and a name as no other version's has.
    """
    function = _filled(template, meaning)
    function.__qualname__ += "_" + _SOURCES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        compiled: Any = CFunc(function, sigutils.normalize_signature(signature), {}, dict(_OPTIONS))
    compiled._cache = _cache_of(function)
    compiled.compile()
    return compiled


def specialise(template: Callable[..., Any], **meaning: Any) -> Any:
    """An entry from a template that uses names it does not define: `meaning` says what they are.

    Not a closure (its cached code would depend on the identity of the pieces) and not a call of an inlined function
    (LLVM would optimise the whole body twice).
    """
    return entry(_filled(template, meaning))


def _filled(template: Callable[..., Any], meaning: dict[str, Any]) -> Callable[..., Any]:
    """The template as a function of its own, named after what it was given."""
    name = "_".join(
        [template.__name__.strip("_"), *(getattr(value, "__name__", str(value)) for value in meaning.values())]
    )
    function = types.FunctionType(template.__code__, {**template.__globals__, **meaning}, name)
    function.__qualname__, function.__doc__ = name, template.__doc__
    return function
