"""A loss as one operation of JAX, so that its derivative, its mapping and its machine code can each be told.

It is computed by the kernel on one CPU, and by the formula everywhere else: on other devices, for arrays that the
compiler spreads over several, and in exported code, which must run where the kernel is not. Whoever differentiates it
in the logits gets loss and gradient from one pass; all further derivatives are the formula's.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive as Operation
from jax.interpreters import ad, batching, mlir

from ..._spec import reductions
from ..._spec.losses import Loss, Primitive
from ..._spec.options import Options
from ..._targets.positives import Positives
from .. import operations
from . import kernels
from .derivatives import XP
from .operands import Arrays, dense

S = TypeVar("S", bound=operations.Setting)


class Evaluation(NamedTuple):
    """What is computed, and everything about it that is no array."""

    what: Callable[[operations.Problem], Any]
    loss: Loss
    options: Options
    """Those that code is compiled for."""
    spelt: str
    """As keys 1, 1.0 and True are one, as options they are not."""
    tree: Any
    """How the arrays make (logits, targets, numbers of the loss, other options)."""
    mapped: tuple[tuple[int | None, ...], ...] = ()
    """Along which axes the arrays are mapped, for each `jax.vmap` from the innermost."""

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the arrays, mapped."""
        return functools.reduce(jax.vmap, self.mapped, function)


def arithmetic(x: Any) -> Any:
    """The type that losses of these logits are computed in."""
    return jnp.dtype("float64" if x.dtype == jnp.float64 else "float32")


def setting_of(kind: type[S], given: Evaluation, leaves: Sequence[Any]) -> tuple[S, Any]:
    """The setting of a call (or the problem), and whether a number is out of its interval."""
    x, t, numbers, operands = jax.tree.unflatten(given.tree, leaves)
    full, dtype, loss = dense(t) if isinstance(t, Positives) else t, arithmetic(x), given.loss
    own = tuple(numbers.get(one.name, one.default) for one in loss.numbers) if numbers else ()
    elements = operations.Operands(x, full, x.shape, x.shape, t.dtype)
    arrays, options = Arrays(dtype), given.options.replace(**operands)
    setting = kind(XP, Primitive(loss, own), elements, options, arrays, operations.Dtypes(dtype, dtype, dtype))
    return setting, functools.reduce(jnp.logical_or, arrays.outside, jnp.zeros((), bool))


def by_formula(given: Evaluation) -> Callable[..., list[Any]]:
    """The function of the arrays, as plain operations."""

    def of(*leaves: Any) -> list[Any]:
        problem, outside = setting_of(operations.Problem, given, leaves)
        return [*jax.tree.leaves(given.what(problem)), outside]

    return given.over(of)


def _by_kernel(given: Evaluation) -> Callable[..., list[Any]]:
    def of(*leaves: Any) -> list[Any]:
        setting, outside = setting_of(operations.Setting, given, leaves)
        return [*kernels.evaluate(given.what, setting), outside]

    return given.over(of)


# ---- the operation --------------------------------------------------------------------------------------------------

_loss = Operation("logloss")
_loss.multiple_results = True
_loss.def_impl(lambda *leaves, given: by_formula(given)(*leaves))
_loss.def_abstract_eval(lambda *avals, given: jax.make_jaxpr(by_formula(given))(*avals).out_avals)
BY_KERNEL = (operations.value, operations.value_and_grad, operations.value_and_slopes)


def evaluate(given: Evaluation, leaves: Sequence[Any]) -> list[Any]:
    """The results, one after another, and whether a number is out of its interval."""
    if given.what not in BY_KERNEL or any(map(_is_placed, leaves)):
        return by_formula(given)(*leaves)
    return _loss.bind(*_equally_varying(leaves), given=given)


def _is_placed(leaf: Any) -> bool:
    """Is it spread over devices by its type? The formula's operations know what becomes of that."""
    sharding = getattr(jax.typeof(leaf), "sharding", None)
    return sharding is not None and any(axis is not None for axis in sharding.spec)


def _equally_varying(leaves: Sequence[Any]) -> list[Any]:
    """Within `jax.shard_map`, all arrays as varying along the axes that any of them varies along."""
    axes = [frozenset(getattr(jax.typeof(leaf), "vma", ())) for leaf in leaves]
    every = frozenset[Any]().union(*axes)
    return [
        jax.lax.pcast(leaf, tuple(every - own), to="varying") if own != every else leaf
        for leaf, own in zip(leaves, axes, strict=True)
    ]


# ---- derivatives ----------------------------------------------------------------------------------------------------


def _derivative(primals: Sequence[Any], tangents: Sequence[Any], *, given: Evaluation) -> tuple[Any, Any]:
    """In the logits alone: the slopes that the same pass gives. In all else: what the formula says."""
    moving = [place for place, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]
    if moving == [0] and given.what is operations.value:
        value, slopes, outside = _loss.bind(*primals, given=given._replace(what=operations.value_and_slopes))
        change = given._replace(mapped=tuple((0, axes[0]) for axes in given.mapped)).over(_change_of(given))
        return [value, outside], [change(slopes, tangents[0]), _no_change(outside)]

    def of(*moved: Any) -> Any:
        leaves = list(primals)
        for place, leaf in zip(moving, moved, strict=True):
            leaves[place] = leaf
        return by_formula(given)(*leaves)

    results, changes = jax.jvp(of, [primals[place] for place in moving], [tangents[place] for place in moving])
    return results, [*changes[:-1], _no_change(results[-1])]


def _change_of(given: Evaluation) -> Callable[[Any, Any], Any]:
    """The change of a loss from its slopes, which are divided already, and the change of the logits."""

    def change(slopes: Any, dx: Any) -> Any:
        product = slopes * dx.astype(slopes.dtype)
        if given.options.reduction == "none":
            return product.astype(dx.dtype)
        return jnp.sum(product, axis=reductions.axes_of(given.options, product.ndim))

    return change


def _no_change(result: Any) -> Any:
    return ad.Zero(jax.typeof(result).to_tangent_aval())


def _mapped(leaves: Sequence[Any], axes: Sequence[int | None], *, given: Evaluation) -> tuple[Any, Any]:
    results = _loss.bind(*leaves, given=given._replace(mapped=(*given.mapped, tuple(axes))))
    return results, [0] * len(results)


ad.primitive_jvps[_loss] = _derivative
batching.primitive_batchers[_loss] = _mapped


# ---- machine code ---------------------------------------------------------------------------------------------------


def _lowered(context: Any, *leaves: Any, given: Evaluation) -> Any:
    return mlir.lower_fun(by_formula(given), multiple_results=True)(context, *leaves)


def _lowered_on_cpu(context: Any, *leaves: Any, given: Evaluation) -> Any:
    x = jax.tree.unflatten(given.tree, context.avals_in)[0]
    if _on_one_device(context.module_context) and kernels.serves(given.loss, given.options, x):
        # sums are in float64, whatever the caller's arrays may be
        with contextlib.suppress(kernels.RefusedError), jax.enable_x64(True):
            return mlir.lower_fun(_by_kernel(given), multiple_results=True)(context, *leaves)
    return _lowered(context, *leaves, given=given)


def _on_one_device(module: Any) -> bool:
    """Does the code run on one device, or see the part of one, and is it not to be exported?"""
    if getattr(module.lowering_parameters, "for_export", True):
        return False
    axes = module.axis_context
    if hasattr(axes, "manual_axes"):
        return frozenset(axes.manual_axes) == frozenset(axes.mesh.axis_names)
    return getattr(axes, "num_devices", 0) == 1


mlir.register_lowering(_loss, _lowered)
mlir.register_lowering(_loss, _lowered_on_cpu, platform="cpu")
