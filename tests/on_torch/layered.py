"""A small linear layer of tensors, its targets of every kind, and its loss by the definition, with the logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse
import torch

from logloss import Positives
from reference import reference

ROWS, FEATURES, LABELS = 8, 5, 48
Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def parts(dtype: torch.dtype = torch.float32) -> Parts:
    generator = torch.Generator().manual_seed(0)
    shapes = (ROWS, FEATURES), (LABELS, FEATURES), (LABELS,)
    return tuple(torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes)


def dense(seed: int = 1, rows: int = ROWS, labels: int = LABELS) -> torch.Tensor:
    return torch.rand(rows, labels, generator=torch.Generator().manual_seed(seed)) < 0.1


def positives(t: torch.Tensor) -> Positives:
    return Positives.from_scipy(scipy.sparse.csr_array(t.numpy()))


def padded(t: torch.Tensor) -> torch.Tensor:
    rows = [row.nonzero().reshape(-1) for row in t]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


TARGETS: dict[str, Callable[[torch.Tensor], object]] = {
    "positives": positives,
    "csr": lambda t: scipy.sparse.csr_array(t.numpy()),
    "padded": padded,
    "bool": lambda t: t,
    "bfloat16": lambda t: t.bfloat16(),
}


def unfused(own: Parts, t: torch.Tensor, upstream: torch.Tensor | float = 1.0, **options: object) -> list[torch.Tensor]:
    """Loss and gradients by the definition, with the logits."""
    x, w, b = (part.detach().double().numpy() for part in own)
    given = {key: one.numpy() if isinstance(one, torch.Tensor) else one for key, one in options.items()}
    want = reference("logits", x @ w.T + b, t.numpy(), **given)
    factors = np.asarray(upstream, float)
    if given.get("axis") is not None and factors.ndim:
        factors = np.expand_dims(factors, given["axis"])
    slopes = want.gradient * factors
    grads = slopes @ w, slopes.T @ x, slopes.sum(axis=0)
    return [torch.as_tensor(one, dtype=torch.float64) for one in (want.value, *grads)]


def close(got: object, want: list[torch.Tensor], largest: float) -> None:
    """Raise unless each differs by no more than this, relative to its largest number."""
    for one, right in zip(got, want, strict=True):
        assert one.shape == right.shape
        assert (one.double() - right).abs().max() <= largest * right.abs().max()
