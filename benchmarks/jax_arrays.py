"""How fast the losses are on JAX arrays, beside optax: `python benchmarks/jax_arrays.py [--elements N] [--rounds N]`.

All cases take turns in one process, bound to two cores; ratios are to optax under `jax.jit`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from harness import Case, Table, machine, markdown, measure, text, use_cores


def cases(elements: int) -> tuple[list[Case], list[Case]]:
    """Loss and gradient, and the loss alone, of float32 logits."""
    import jax
    import numpy as np
    import optax

    import logloss as ll

    rng = np.random.default_rng(20)
    x = jax.device_put(3 * rng.standard_normal(elements, dtype=np.float32))
    t = jax.device_put((rng.random(elements, dtype=np.float32) < 0.25).astype(np.float32))
    hard = jax.device_put(np.asarray(t).astype(np.uint8))
    ours = ll.binary_cross_entropy_with_logits

    def peer(a: Any, b: Any) -> Any:
        return optax.losses.sigmoid_binary_cross_entropy(a, b).mean()

    def case(name: str, function: Callable[[Any, Any], Any], targets: Any = t) -> Case:
        return Case(name, lambda: jax.block_until_ready(function(x, targets)), elements)

    both = [
        case("optax, jit(value_and_grad)", jax.jit(jax.value_and_grad(peer))),
        case("logloss.value_and_grad", ll.value_and_grad),
        case("the same, uint8 targets", ll.value_and_grad, hard),
        case("logloss loss, jit(jax.value_and_grad)", jax.jit(jax.value_and_grad(ours))),
    ]
    alone = [case("optax, jit(loss)", jax.jit(peer)), case("logloss loss", ours), case("the same, jit", jax.jit(ours))]
    return both, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--elements", type=int, default=2**24, help="logits of every case")
    parser.add_argument("--rounds", type=int, default=9, help="times that every case is timed")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    arguments = parser.parse_args()
    use_cores(2)
    both, alone = cases(arguments.elements)
    print(*(f"{name} {value}" for name, value in machine().items()), sep=", ")
    for title, chosen in (("Loss + gradient", both), ("Loss", alone)):
        table = Table(f"{title}, {arguments.elements:,} float32 JAX", chosen[0].name, measure(chosen, arguments.rounds))
        print((markdown if arguments.markdown else text)(table), flush=True)


if __name__ == "__main__":
    main()
