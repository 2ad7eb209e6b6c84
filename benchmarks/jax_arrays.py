"""How fast the losses are on JAX arrays, beside optax: `python benchmarks/jax_arrays.py [--dtype D] [--rounds N]`.

All cases take turns in one process, bound to two cores; ratios are to optax under `jax.jit`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

from harness import Case, Table, machine, markdown, measure, text, use_cores

DTYPES = ("float32", "bfloat16", "float64")


def cases(elements: int, dtype: str) -> tuple[list[Case], list[Case]]:
    """Loss and gradient, and the loss alone, of logits of this type."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import logloss as ll

    jax.config.update("jax_enable_x64", dtype == "float64")
    rng = np.random.default_rng(20)
    x = jnp.asarray(3 * rng.standard_normal(elements), dtype)
    t = jnp.asarray(rng.random(elements) < 0.25, dtype)
    hard = t.astype("uint8")
    ours = ll.binary_cross_entropy_with_logits

    def peer(a: Any, b: Any) -> Any:
        return optax.losses.sigmoid_binary_cross_entropy(a, b).mean()

    def focal(a: Any, b: Any) -> Any:
        return optax.losses.sigmoid_focal_loss(a, b).mean()

    def case(name: str, function: Callable[[Any, Any], Any], targets: Any = t) -> Case:
        return Case(name, lambda: jax.block_until_ready(function(x, targets)), elements)

    def both(function: Any) -> Any:
        return jax.jit(jax.value_and_grad(function))

    pair = [
        case("optax, jit(value_and_grad)", both(peer)),
        case("logloss.value_and_grad", ll.value_and_grad),
        case("the same, uint8 targets", ll.value_and_grad, hard),
        case("logloss loss, jit(jax.value_and_grad)", both(ours)),
        case("the same, pos_weight", both(functools.partial(ours, pos_weight=3.0))),
        case("optax focal, jit(value_and_grad)", both(focal)),
        case("logloss focal, jit(jax.value_and_grad)", both(ll.sigmoid_focal_loss)),
    ]
    alone = [case("optax, jit(loss)", jax.jit(peer)), case("logloss loss", ours), case("the same, jit", jax.jit(ours))]
    return pair, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--elements", type=int, default=2**22, help="logits of every case")
    parser.add_argument("--rounds", type=int, default=9, help="times that every case is timed")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="the logits' type, and the targets'")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    arguments = parser.parse_args()
    use_cores(2)
    both, alone = cases(arguments.elements, arguments.dtype)
    print(*(f"{name} {value}" for name, value in machine().items()), sep=", ")
    for title, chosen in (("Loss + gradient", both), ("Loss", alone)):
        name = f"{title}, {arguments.elements:,} {arguments.dtype} JAX"
        table = Table(name, chosen[0].name, measure(chosen, arguments.rounds))
        print((markdown if arguments.markdown else text)(table), flush=True)


if __name__ == "__main__":
    main()
