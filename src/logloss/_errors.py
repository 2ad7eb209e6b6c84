"""What can go wrong, as exceptions.

    LoglossError
    ├── InvalidInputError (ValueError)     a value, shape, option, file or column that breaks a stated rule
    │   └── UnreadableError                a file that is not what its name or its first bytes say
    ├── UnsupportedTypeError (TypeError)   an array of a kind or dtype that no backend takes
    ├── MissingDependencyError (ImportError)   an optional package that is not installed, with the pip command
    └── DistributedError (RuntimeError)   a process of a group that has left or does not answer

Every message states the rule, the value received and the remedy.
"""

from __future__ import annotations


class LoglossError(Exception):
    """Anything that this package raises on purpose."""


class InvalidInputError(LoglossError, ValueError):
    """A value, shape, option, file or column that breaks a stated rule."""


class UnreadableError(InvalidInputError):
    """A file that cannot be read to its end: damaged, cut short, or of another format."""


class UnsupportedTypeError(LoglossError, TypeError):
    """An array of a kind or dtype that no backend takes."""


class MissingDependencyError(LoglossError, ImportError):
    """An optional package that is not installed."""


class DistributedError(LoglossError, RuntimeError):
    """A process of a group that has left or does not answer."""


for _kind in (InvalidInputError, UnsupportedTypeError):
    # By this TensorFlow's AutoGraph knows that it may raise such a class again; for others it has one of its own.
    _kind.__init__ = Exception.__init__  # type: ignore[method-assign]
