"""Sigmoid loss of image-text pairs of NumPy arrays (`siglip`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._errors import InvalidInputError
from .._types import Array
from . import layer_arguments, linear, siglip
from .layer_arguments import Pairs
from .linear import Problem, Sweep, Wanted
from .numpy_layer import ArrayLayer
from .operands import floating, target_array


def value(images: Any, texts: Any, scale: Any, bias: Any, pairs: Pairs, chunk_size: int | None) -> Any:
    """The loss."""
    return np.float64(_evaluated(images, texts, scale, bias, pairs, chunk_size, linear.NOTHING)[0])


def value_and_grad(
    images: Any, texts: Any, scale: Any, bias: Any, pairs: Pairs, chunk_size: int | None
) -> tuple[Any, tuple[Any, Any, Any, Any]]:
    """The loss, and its gradients by images, texts, scale and bias."""
    loss, layer = _evaluated(images, texts, scale, bias, pairs, chunk_size, Wanted(True, True, True))
    by_inputs, by_weight, by_bias = (layer.grads[name] for name in ("inputs", "weight", "bias"))
    by_scale = _sum_of_products(layer.inputs, by_inputs)
    dtype = floating(images, "image_features").dtype
    gain = layer.dtype.type(layer.gain)
    by_images, by_texts = ((grad * gain).astype(dtype, copy=False) for grad in (by_inputs, by_weight))
    return np.float64(loss), (
        by_images,
        by_texts,
        np.float64(by_scale),
        None if bias is None else by_bias.sum(dtype=np.float64),
    )


def _sum_of_products(a: Array, b: Array) -> float:
    """Σ a·b in float64, by some rows at a time."""
    starts = range(0, len(a), siglip.ROWS)
    parts = ((a[k : k + siglip.ROWS].astype(np.float64) * b[k : k + siglip.ROWS]).sum() for k in starts)
    return math.fsum(parts)


def _evaluated(
    images: Any, texts: Any, scale: Any, bias: Any, pairs: Pairs, chunk_size: int | None, wanted: Wanted
) -> tuple[float, ArrayLayer]:
    u, v = floating(images, "image_features"), floating(texts, "text_features")
    if u.dtype != v.dtype:
        raise InvalidInputError(
            f"image_features and text_features must have one dtype; got {u.dtype} and {v.dtype}. "
            "Use text_features.astype(image_features.dtype)."
        )
    shape = siglip.check(u, v)
    if pairs.targets is not None and not hasattr(pairs.targets, "tocsr"):
        pairs = pairs._replace(targets=target_array(pairs.targets))
    gain = siglip.number("logit_scale", scale)
    shift = None if bias is None else np.full(shape[1], siglip.number("logit_bias", bias))
    layer = ArrayLayer(u, v, shift, gain)
    problem = Problem(*siglip.described(pairs, shape), shape, layer.dtype)
    at = layer_arguments.edges(shape[1], shape[0], layer.dtype.itemsize, chunk_size)
    layer.prepare(at, wanted, keeps_weight=True)
    return float(Sweep(problem, layer, at).value(wanted)), layer
