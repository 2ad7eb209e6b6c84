"""Runs the checks of a file beside this one: `PYTHONPATH=tests KERAS_BACKEND=jax python worker.py losses`."""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    for check in importlib.import_module(sys.argv[1]).CHECKS:
        check()
        sys.stdout.write(f"{check.__name__} ")
