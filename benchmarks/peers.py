"""What other libraries do for the same job, each as its documentation recommends; the timing is in harness.py.

Every function takes NumPy arrays and returns cases; it raises ImportError where its library is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness import Case

Cases = list[Case]


def torch_training(x: Any, t: Any) -> Cases:
    """Forward and backward, eager and compiled."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    torch.set_num_threads(2)
    logits, targets = torch.from_numpy(x).requires_grad_(), torch.from_numpy(t)
    compiled = torch.compile(binary_cross_entropy_with_logits)

    def step(loss: Callable[..., Any]) -> Callable[[], None]:
        def run() -> None:
            logits.grad = None
            loss(logits, targets).backward()

        return run

    eager = Case("torch, forward + backward", step(binary_cross_entropy_with_logits), x.size)
    return [eager, Case("torch.compile, forward + backward", step(compiled), x.size)]


def torch_loss(x: Any, t: Any) -> Cases:
    """The mean loss without a graph."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    torch.set_num_threads(2)
    logits, targets = torch.from_numpy(x), torch.from_numpy(t)
    return [Case("torch, loss", lambda: binary_cross_entropy_with_logits(logits, targets).item(), x.size)]


def _optax(x: Any, t: Any, *, gradient: bool) -> Cases:
    import jax
    import optax

    def mean(a: Any, b: Any) -> Any:
        return optax.losses.sigmoid_binary_cross_entropy(a, b).mean()

    function = jax.jit(jax.value_and_grad(mean) if gradient else mean)
    logits, targets = jax.device_put(x), jax.device_put(t)
    name = "optax, jitted value_and_grad" if gradient else "optax, jitted loss"
    return [Case(name, lambda: jax.block_until_ready(function(logits, targets)), x.size)]


def optax_training(x: Any, t: Any) -> Cases:
    """`jax.jit(jax.value_and_grad(mean loss))`."""
    return _optax(x, t, gradient=True)


def optax_loss(x: Any, t: Any) -> Cases:
    """`jax.jit(mean loss)`."""
    return _optax(x, t, gradient=False)


def _tensorflow(x: Any, t: Any, *, gradient: bool) -> Cases:
    import tensorflow as tf

    logits, targets = tf.constant(x), tf.constant(t)

    def loss(a: Any, b: Any) -> Any:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=b, logits=a))

    def loss_and_gradient(a: Any, b: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = loss(a, b)
        return value, tape.gradient(value, a)

    def case(name: str, *, xla: bool) -> Case:
        function = tf.function(loss_and_gradient if gradient else loss, jit_compile=xla)
        finished: Callable[[Any], Any] = (lambda out: out[0].numpy()) if gradient else (lambda out: out.numpy())
        return Case(name, lambda: finished(function(logits, targets)), x.size)

    what = "loss + gradient" if gradient else "loss"
    return [case(f"TensorFlow XLA, {what}", xla=True), case(f"tf.function, {what}", xla=False)]


def tensorflow_training(x: Any, t: Any) -> Cases:
    """`tf.function` with a gradient tape, with and without XLA."""
    return _tensorflow(x, t, gradient=True)


def tensorflow_loss(x: Any, t: Any) -> Cases:
    """`tf.function`, with and without XLA."""
    return _tensorflow(x, t, gradient=False)


def _half_binomial() -> Any:
    from sklearn._loss import HalfBinomialLoss

    return HalfBinomialLoss()


def sklearn_training(x: Any, t: Any) -> Cases:
    """The loss of scikit-learn's boosting and linear models, into arrays made before, on two threads."""
    loss, out, gradient = _half_binomial(), np.empty_like(x), np.empty_like(x)

    def run() -> None:
        loss.loss_gradient(t, x, loss_out=out, gradient_out=gradient, n_threads=2)

    return [Case("scikit-learn, HalfBinomialLoss.loss_gradient", run, x.size)]


def sklearn_loss(x: Any, t: Any) -> Cases:
    """The elementwise loss of the same class."""
    loss, out = _half_binomial(), np.empty_like(x)
    return [Case("scikit-learn, HalfBinomialLoss.loss", lambda: loss.loss(t, x, loss_out=out, n_threads=2), x.size)]


def sklearn_metric(p: Any, y: Any) -> Cases:
    """`sklearn.metrics.log_loss`."""
    from sklearn.metrics import log_loss

    return [Case(f"sklearn.metrics.log_loss, {y.dtype} labels", lambda: log_loss(y, p), p.size)]


TRAINING = {
    "torch": torch_training,
    "optax": optax_training,
    "TensorFlow": tensorflow_training,
    "scikit-learn": sklearn_training,
}
LOSS = {"torch": torch_loss, "optax": optax_loss, "TensorFlow": tensorflow_loss, "scikit-learn": sklearn_loss}
METRIC = {"scikit-learn": sklearn_metric}


def installed(builders: Mapping[str, Callable[[Any, Any], Cases]], first: Any, second: Any) -> tuple[Cases, list[str]]:
    """The cases of every library that is installed, and the names of those that are not."""
    cases: Cases = []
    absent: list[str] = []
    for name, build in builders.items():
        try:
            cases += build(first, second)
        except ImportError:
            absent.append(name)
    return cases, absent
