"""What worker processes of the tests do: a module of its own, for a spawned process must be able to import it."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl

import logloss as ll
from cases import FLOATS
from logloss.evaluate import storage
from reference import LOSSES, data

SOURCE = Path(ll.__file__).parents[1]


# The superuser may write anywhere, unless that capability is given up: CAP_DAC_OVERRIDE, of the kernel's bounding set.
AS_ANY_USER = """
import ctypes, os, sys
if os.getuid() == 0:
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-W", "error", "-c", os.environ["CODE"]])
"""


def interpreter(code: str, *, source: Any = SOURCE, home: Any = None, **environment: str) -> tuple[str, str]:
    """Run code in a new interpreter; what it printed, and what it wrote to standard error."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    variables = {
        **inherited,
        "PYTHONPATH": str(source),
        "HOME": str(home or Path.home()),
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip(), result.stderr.strip()


def python(code: str, **settings: Any) -> str:
    """Run code in a new interpreter; what it printed."""
    return interpreter(code, **settings)[0]


def digest(*arrays: Any) -> str:
    """The bits of some results."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


@functools.cache
def shared(loss: str, size: int, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Data that several calls use."""
    return data(loss, (size,), seed, kind)


def evaluate_part(seed: int) -> str:
    """Loss and gradient of generated data, by this process's own threads."""
    x, t = data("logits", (600_000,), seed, "int")
    return digest(*ll.value_and_grad(x.astype(np.float32), t))


def assembly() -> str:
    """What Numba makes of two loops, over floats and over integers."""

    @numba.njit(fastmath=True)
    def double(x: Any, i: Any) -> None:
        for k in range(x.size):
            x[k] += x[k]
        for k in range(i.size):
            i[k] += i[k]

    double.compile((numba.types.float32[::1], numba.types.int32[::1]))
    (code,) = double.inspect_asm().values()
    return code


def answers(n: int) -> dict[str, str]:
    """The bits of calls on n elements, a multiple of 500: losses, dtypes, layouts, options, reductions and scores."""
    return {**_of_every_loss(n), **_of_logits(n)}


def one_answer(n: int) -> str:
    """The bits of one call of `answers`."""
    return digest(*ll.value_and_grad(*shared("logits", n, 1, "soft")))


def diagnosed(n: int) -> dict[str, str]:
    """The bits of scores with groups, clusters, hard and certain predictions, and all diagnostics."""
    x, t = shared("logits", n, 1, "int")
    k = np.arange(n)
    p = np.where(k % 97 == 0, k % 2, 1 / (1 + np.exp(-x)))
    table = {"y": t, "p": p, "x": np.where(k % 89 == 0, 800.0, x), "g": k % 7, "c": k % 50, "w": 1 + k % 3}
    return {
        f"diagnosed, {prediction}": digest(
            np.frombuffer(
                ll.score(table, target="y", group="g", cluster="c", weight="w", diagnostics=True, **prediction)
                .to_json()
                .encode(),
                np.uint8,
            )
        )
        for prediction in ({"probability": "p"}, {"logit": "x"})
    }


def _of_every_loss(n: int) -> dict[str, str]:
    found = {}
    for loss, function in LOSSES.items():
        x, t = shared(loss, n, 2, "soft")
        for dtype in FLOATS.values():
            call = x.astype(dtype), t.astype(np.float32)
            name = f"{loss}, {np.dtype(dtype).name}"
            found[name] = digest(*ll.value_and_grad(*call, loss=function))
            found[f"{name}, alone"] = digest(function(*call))
            found[f"{name}, elements"] = digest(
                function(*call, reduction="none"), *ll.grad_and_hess(*call, loss=function)
            )
            odd = call[0][3:], call[1][3:]
            found[f"{name}, options"] = digest(
                *ll.value_and_grad(*odd, loss=function, sample_weight=np.linspace(0, 1, n - 3), label_smoothing=0.1)
            )
    return found


def _of_logits(n: int) -> dict[str, str]:
    x, t = shared("logits", n, 1, "int")
    p, weight = 1 / (1 + np.exp(-x)), np.linspace(0, 1, n)
    table, truth = x.reshape(-1, 500), t.reshape(-1, 500)
    found = {f"targets, {kind}": ll.value_and_grad(x, t.astype(kind)) for kind in ("?", "u1", "i4", "i8", "f4", "f8")}
    found |= {
        "reversed": ll.value_and_grad(x.astype(np.float16)[::-1], t > 0, mask=t > -1),
        "labels": ll.value_and_grad(x.reshape(-1, 5), t.reshape(-1, 5), pos_weight=np.arange(5.0)),
        "Fortran": ll.value_and_grad(np.asfortranarray(table), truth, axis=0),
        "rows": ll.value_and_grad(table, truth, axis=1),
        "short rows": ll.value_and_grad(x.reshape(-1, 20), t.reshape(-1, 20), axis=1),
        "counts": [ll.denominator(t, ignore_index=1)],
        "weights": [ll.denominator(t, reduction="weighted_mean", weight=weight)],
        "weights of rows": [
            ll.denominator(truth, reduction="weighted_mean", weight=weight.reshape(-1, 500), axis=1),
        ],
        "metric": [ll.log_loss(t, p)],
    }  # fmt: skip
    frame = pl.DataFrame({"y": t, "p": p, "x": x, "w": weight})
    for prediction in ({"probability": "p"}, {"logit": "x"}):
        scores = ll.score(frame, target="y", weight="w", **prediction)
        found[f"scores, {prediction}"] = [np.frombuffer(scores.to_json().encode(), np.uint8)]
    binned = ll.score(frame.with_columns(pl.col("y") > 0.5), target="y", probability="p", diagnostics=True)
    found["bins"] = [np.frombuffer(storage.dumps(binned.state, ()).encode(), np.uint8)]
    return {name: digest(*arrays) for name, arrays in found.items()}
