"""What a backend must do: a module of these functions serves every public function on its framework's arrays."""

from __future__ import annotations

from typing import Any, Protocol

from .._spec.losses import Primitive
from .._spec.options import Options


class Backend(Protocol):
    """Losses on the arrays of one framework."""

    def floating(self, value: Any, name: str) -> Any:
        """Logits (or what `name` says) as a floating array; integers become the framework's float64."""

    def target_array(self, value: Any) -> Any:
        """Targets as an array of bool, any integer or any float; `Positives` as they are."""

    def value(self, primitive: Primitive, logits: Any, targets: Any, options: Options) -> Any:
        """The loss, reduced."""

    def value_and_grad(
        self, primitive: Primitive, logits: Any, targets: Any, options: Options, out: Any = None
    ) -> tuple[Any, Any]:
        """The loss, reduced, and its gradient with respect to the logits (or probabilities)."""

    def grad_and_hess(self, primitive: Primitive, logits: Any, targets: Any, options: Options) -> tuple[Any, Any]:
        """The elementwise first and second derivatives."""

    def checked_denominator(self, t: Any, options: Options) -> Any:
        """What the reduction divides by, for a caller who has no logits yet: targets and weights are checked."""

    def on_host(self, value: Any) -> Any:
        """An array of the framework as a NumPy array; anything else as it is."""

    def from_host(self, value: Any, like: Any) -> Any:
        """A statistic that was computed in NumPy, as an array of the framework, where `like` is."""

    def shifted(self, x: Any, shift: Any) -> Any:
        """The array plus a number or a vector of numbers along its last axis, rounded once."""
