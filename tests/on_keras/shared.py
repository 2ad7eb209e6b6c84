"""What the checks of every Keras backend share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


def gradient(loss: Any, y: Any, x: Any, dtype: str = "float32") -> np.ndarray:
    """d loss / d predictions by the backend's own automatic differentiation."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        logits = tf.Variable(x, dtype=dtype)
        with tf.GradientTape() as tape:
            value = loss(y, logits)
        return np.asarray(tape.gradient(value, logits))
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda x: loss(y, x))(np.asarray(x, dtype)))
    import torch

    logits = torch.tensor(np.asarray(ops.convert_to_numpy(x), dtype), requires_grad=True)
    loss(y, logits).backward()
    return logits.grad.numpy()


def same(got: Any, want: Any, rtol: float = 2e-6, atol: float = 1e-37) -> None:
    np.testing.assert_allclose(np.asarray(ops.convert_to_numpy(got), float), want, rtol=rtol, atol=atol)
