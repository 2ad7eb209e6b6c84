"""What tests of every backend try: types, points at which losses are hard, numbers of losses, and options."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

FLOATS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}

EDGES = [0.0, -0.0, 1e-6, -0.3, 2.0, -3.0, 17.0, -20.0, 50.0, -80.0, 100.0, -100.0, 1e4, math.inf, -math.inf]
"""Logits at which a formula may lose digits, overflow or give NaN."""

OWN: dict[str, list[dict[str, Any]]] = {
    "logits": [{}],
    "probabilities": [{}, {"eps": 0.01}],
    "log_probs": [{}],
    "focal": [{}, {"gamma": 0.5, "alpha": 0.25}, {"gamma": 0.0, "alpha": 0.3}],
    "asymmetric": [{}, {"gamma_neg": 2.0, "gamma_pos": 0.0, "clip": None}],
}
"""Each loss with its numbers, the defaults first."""
OWN_NAMES = ("eps", "gamma", "alpha", "gamma_neg", "gamma_pos", "clip")

REDUCTION_NAMES = ("none", "sum", "mean", "weighted_mean", "batchmean")

# ---- options --------------------------------------------------------------------------------------------------------

ALONE = {
    "pos_weight": ((3, 4), {"pos_weight": [1.0, 2.0, 0.5, 0.0]}),
    "pos_weight scalar": ((3, 4), {"pos_weight": 2.5}),
    "pos_weight of 1-d logits": ((5,), {"pos_weight": [2.5]}),
    "pos_weight NCHW": ((2, 3, 2, 2), {"pos_weight": [1.0, 2.0, 0.5], "label_axis": 1}),
    "label_weight NCHW": ((2, 3, 2, 2), {"label_weight": [1.0, 2.0, 0.5], "label_axis": -3}),
    "label_weight axis 0": ((3, 2), {"label_weight": [1.0, 2.0, 0.5], "label_axis": 0}),
    "sample_weight": ((3, 4), {"sample_weight": [1.0, 0.0, 2.5]}),
    "sample_weight integers": ((3, 2, 2), {"sample_weight": np.array([1, 0, 3], np.uint8)}),
    "weight": ((2, 3), {"weight": [[1.0, 0.0, 2.0], [3.0, 1.0, 0.25]]}),
    "weight per column": ((2, 3), {"weight": [[1.0, 0.0, 2.0]]}),
    "weight scalar": ((2, 3), {"weight": 0.5}),
    "weight of inner axes": ((2, 3, 4), {"weight": np.arange(6.0).reshape(2, 3, 1)}),
    "weight of outer axes": ((2, 3, 4), {"weight": np.arange(8.0).reshape(2, 1, 4)}),
    "label_smoothing": ((6,), {"label_smoothing": 0.1}),
    "full smoothing": ((6,), {"label_smoothing": 1.0}),
    "mask": ((2, 3), {"mask": [[True, False, True], [False, False, True]]}),
    "mask per row": ((2, 3), {"mask": [[True], [False]]}),
    "normalizer": ((2, 3), {"normalizer": 0.5}),
    "normalizer per row": ((2, 3), {"normalizer": [0.5, 2.0], "axis": 1}),
}
"""One option at a time, so that a failure names it: the logits' shape, and options."""

IGNORED = [
    (-1, "int8"), (-100, "int8"), (-1, "int16"), (-100, "int32"), (-1, "int64"), (2**40, "int64"), (-(2**40), "int64"),
    (255, "uint8"), (255, "uint16"), (2**24 + 1, "uint32"), (2**63, "uint64"),
    (2**64 - 1, "uint64"), (2**53 + 1, "int64"), (-1, "float16"), (0.1, "float32"), (float("nan"), "float32"),
    (0.1, "float64"),
    (0.5, "float64"), (float("nan"), "float64"), (2.0**60, "float64"), (float("inf"), "float64"),
    (1, "int64"), (0, "uint8"),
]  # fmt: skip
"""Values of `ignore_index`, and targets' types that hold them."""

COMPANY = {
    "pos_weight": [0.5, 2.0, 1.0],
    "label_weight": [1.0, 0.0, 3.0],
    "label_axis": 1,
    "sample_weight": [1.0, 0.5],
    "weight": np.linspace(0.5, 2.0, 24).reshape(2, 3, 4),
    "label_smoothing": 0.1,
    "mask": np.arange(24).reshape(2, 3, 4) % 5 > 0,
    "reduction": "weighted_mean",
}
"""Options for shape (2, 3, 4), all at once."""

REDUCTIONS = [
    {"reduction": "none"},
    {"reduction": "sum"},
    {"reduction": "batchmean"},
    {"reduction": "mean", "axis": -1},
    {**COMPANY, "axis": (0, -1)},
    {"normalizer": 7.5},
    {"normalizer": [1.0, 2.0, 4.0], "axis": (0, 2)},
]


def of_batch(rows: int, labels: int) -> dict[str, dict[str, Any]]:
    """Options for logits of shape (rows, labels), as NumPy arrays: every path through reductions and weights."""
    weight = np.linspace(0, 2, rows * labels).reshape(rows, labels)
    mask = np.random.default_rng(0).random((rows, labels)) < 0.5
    of_labels = np.arange(labels)[None] % 5 != 1
    return {
        "plain": {},
        "sum": {"reduction": "sum"},
        "none": {"reduction": "none"},
        "batchmean": {"reduction": "batchmean", "normalizer": None},
        "normalizer": {"normalizer": np.asarray(7.0)},
        "rows": {"axis": 1},
        "both axes": {"axis": (0, 1), "mask": mask},
        "pos_weight": {"pos_weight": np.linspace(0, 3, labels)},
        "label axis 0": {"pos_weight": np.linspace(0, 3, rows), "label_axis": 0},
        "prices": {
            "pos_weight": np.linspace(0, 3, labels),
            "label_weight": np.linspace(1, 2, labels),
            "sample_weight": np.linspace(0, 1, rows),
        },
        "smoothing": {"label_smoothing": 0.2, "label_weight": np.linspace(0, 2, labels)},
        "smoothed prices": {"label_smoothing": 0.2, "pos_weight": np.linspace(0, 3, labels)},
        "sample_weight": {"sample_weight": np.linspace(0, 3, rows), "reduction": "weighted_mean"},
        "weight": {"weight": weight, "reduction": "weighted_mean"},
        "weights that count": {
            "weight": weight,
            "label_weight": np.linspace(0, 3, labels),
            "mask": np.broadcast_to(of_labels, (rows, labels)),
            "reduction": "weighted_mean",
        },
        "no weights": {"reduction": "weighted_mean"},
        "mask": {"mask": mask},
        "mask of labels": {"mask": of_labels},
        "nothing counts": {"mask": np.zeros((rows, labels), bool)},
        "labels": {"axis": 0, "reduction": "weighted_mean", "sample_weight": np.arange(1.0, rows + 1)},
        "labels by element": {"axis": 0, "reduction": "weighted_mean", "weight": weight},
        "labels that count": {"axis": 0, "mask": np.broadcast_to(of_labels, (rows, labels))},
    }


IGNORING: dict[str, dict[str, Any]] = {
    "ignored": {"ignore_index": 1.0, "label_smoothing": 0.1},
    "ignored of both axes": {"axis": (0, 1), "ignore_index": 0.0},
}
"""What targets that are arrays have besides."""


def tensors(options: dict[str, Any], device: str = "cpu") -> dict[str, Any]:
    """The same options with PyTorch's tensors for arrays: in float32, as its users have them."""
    import torch

    def tensor(array: Any) -> Any:
        return torch.tensor(array, device=device).to(torch.bool if array.dtype == bool else torch.float32)

    return {name: tensor(given) if isinstance(given, np.ndarray) else given for name, given in options.items()}
