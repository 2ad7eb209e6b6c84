"""A metric for training loops: exact over batches and processes, with torchmetrics where that is installed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from .._errors import InvalidInputError
from .._spec.options import switch
from ..streaming import NAMES, ScoreSums

try:
    from torchmetrics import Metric
except ImportError:

    class Metric(torch.nn.Module):  # type: ignore[no-redef]
        """What of torchmetrics' metrics is needed: sums that are kept, reset, and added up over processes."""

        def __init__(self) -> None:
            super().__init__()
            self._empty: dict[str, Any] = {}

        def add_state(self, name: str, default: Any, dist_reduce_fx: str) -> None:
            """Keep a tensor that adds up."""
            if dist_reduce_fx == "sum":
                self._empty[name] = default
                self.register_buffer(name, default.clone(), persistent=False)

        def reset(self) -> None:
            """Forget all that was added."""
            for name, default in self._empty.items():
                setattr(self, name, default.to(getattr(self, name).device, copy=True))

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            """Add a batch; the metric of this batch alone."""
            before = {name: getattr(self, name) for name in self._empty}
            self.reset()
            self.update(*args, **kwargs)
            value = self.compute()
            for name, kept in before.items():
                setattr(self, name, kept + getattr(self, name))
            return value

        def sync(self) -> None:
            """Add up the sums of all processes of `torch.distributed`, in place."""
            for name in self._empty:
                torch.distributed.all_reduce(getattr(self, name))


def _detached(array: Any) -> Any:
    return array.detach() if isinstance(array, torch.Tensor) else array


_AVERAGES = ("micro", "macro", None)


class LogLoss(Metric):
    r"""Log loss, or another statistic of `logloss score`, of all batches and processes, exactly.

    ``Σ w·loss / Σ w``: sums are integers, so that neither the batches nor their order, nor the number of processes
    change a digit. With torchmetrics installed it is one of its metrics, which adds up processes on `compute`; without,
    `sync` does.

    Args:
        num_labels: labels of a row; 1 for predictions of shape (N,).
        statistic: "log_loss", "normalized_entropy", "calibration_ratio", "brier", "log_loss_low", … (docs/scoring.md).
        average: "micro" over all elements, "macro" over labels, or None for one value per label.
        from_logits: whether predictions are logits, or probabilities.
        ignore_index: elements with this target do not count.
        **settings: those of `torchmetrics.Metric`.

    Raises:
        InvalidInputError: unknown names; in `update` shapes that differ and numbers out of range; in `compute` nothing
            to count.

    Example:
        >>> import torch
        >>> from logloss.torch import LogLoss
        >>> metric = LogLoss(from_logits=False)
        >>> metric.update(torch.tensor([0.9, 0.2]), torch.tensor([1, 0]))
        >>> metric.update(torch.tensor([0.7]), torch.tensor([1]))
        >>> metric.compute()
        tensor(0.2284, dtype=torch.float64)
        >>> round(metric.statistics().normalized_entropy, 4)
        0.3588

    References:
        docs/training-loops.md.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(
        self,
        num_labels: int = 1,
        *,
        statistic: str = "log_loss",
        average: str | None = "micro",
        from_logits: bool = True,
        ignore_index: float | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if statistic not in NAMES:
            raise InvalidInputError(f"statistic must be one of {', '.join(NAMES)}; got {statistic!r}.")
        if average not in _AVERAGES:
            raise InvalidInputError(f'average must be "micro", "macro" or None; got {average!r}.')
        self.num_labels, self.statistic, self.average = num_labels, statistic, average
        self.from_logits, self.ignore_index = switch("from_logits", from_logits), ignore_index
        if type(num_labels) is not int or num_labels < 1:
            raise InvalidInputError(f"num_labels must be an integer of at least 1; got {num_labels!r}. Use 1 for (N,).")
        nothing = ScoreSums(num_labels)
        self.add_state("counts", torch.from_numpy(nothing.counts), dist_reduce_fx="sum")
        self.add_state("overflowed", torch.from_numpy(nothing.overflowed), dist_reduce_fx="sum")
        self.add_state("digits", torch.from_numpy(nothing.digits), dist_reduce_fx="sum")
        # A MetricCollection updates only one of the metrics whose states were equal after a batch. So those that may
        # add up another batch differently must differ in a state.
        rule = torch.tensor([from_logits, math.inf if ignore_index is None else ignore_index], dtype=torch.float32)
        self.add_state("rule", rule, dist_reduce_fx="max")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Add a batch of shape (N,) or (N, labels), and weights of its rows."""
        preds, target, sample_weight = map(_detached, (preds, target, sample_weight))
        batch = ScoreSums.of(
            target, preds, sample_weight=sample_weight, from_logits=self.from_logits, ignore_index=self.ignore_index
        )
        if len(batch.counts) != self.num_labels:
            raise InvalidInputError(
                f"predictions must be of num_labels={self.num_labels}; got shape {tuple(np.shape(preds))}. "
                f"Use LogLoss(num_labels={len(batch.counts)})."
            )
        self._keep(self.sums() + batch)

    def _keep(self, sums: ScoreSums) -> None:
        for name in ("counts", "overflowed", "digits"):
            setattr(self, name, torch.from_numpy(getattr(sums, name)).to(self.counts.device))

    def sums(self) -> ScoreSums:
        """What was added, of which all statistics are computed."""
        return ScoreSums.from_arrays(*(one.cpu().numpy() for one in (self.counts, self.overflowed, self.digits)))

    def statistics(self) -> Any:
        """All statistics of what this process added."""
        return self.sums().statistics(self.average or "macro")

    def compute(self) -> Any:
        """The statistic of all that was added."""
        if self.average is None:
            found = torch.from_numpy(self.sums().of_labels(self.statistic))
        else:
            found = torch.tensor(getattr(self.statistics(), self.statistic), dtype=torch.float64)
        double = self.counts.device.type != "mps"  # which has none
        return found.to(self.counts.device, None if double else torch.float32)
