"""Runs the checks of files beside this one: `PYTHONPATH=tests KERAS_BACKEND=jax python worker.py losses metrics`."""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    for name in sys.argv[1:]:
        for check in importlib.import_module(name).CHECKS:
            check()
            sys.stdout.write(f"{check.__name__} ")
