"""Binary cross-entropy (sigmoid cross-entropy, log loss), exact and fast, on arrays and on files of any size."""

from typing import TYPE_CHECKING, Any

from ._errors import DistributedError, InvalidInputError, LoglossError, MissingDependencyError, UnsupportedTypeError
from ._targets.positives import Positives
from .derivatives import denominator, grad_and_hess, value_and_grad
from .linear import LinearGradients, linear_binary_cross_entropy, linear_value_and_grad
from .losses import (
    asymmetric_loss,
    binary_cross_entropy,
    binary_cross_entropy_with_log_probs,
    binary_cross_entropy_with_logits,
    sigmoid_focal_loss,
)
from .metrics import log_loss
from .prior import balanced_pos_weight, correct_prior
from .sampling import SampledLabels, sample_labels
from .siglip import SigLIPGradients, siglip_loss, siglip_value_and_grad

if TYPE_CHECKING:
    from .comparing import Changes, Comparisons, compare, drift
    from .explaining import Explanation, explain
    from .pushdown import sql
    from .scores import Scores, load, merge, report, score
    from .segmenting import Segments, segments

__all__ = [
    "Changes",
    "Comparisons",
    "DistributedError",
    "Explanation",
    "InvalidInputError",
    "LinearGradients",
    "LoglossError",
    "MissingDependencyError",
    "Positives",
    "SampledLabels",
    "Scores",
    "Segments",
    "SigLIPGradients",
    "UnsupportedTypeError",
    "asymmetric_loss",
    "balanced_pos_weight",
    "binary_cross_entropy",
    "binary_cross_entropy_with_log_probs",
    "binary_cross_entropy_with_logits",
    "compare",
    "correct_prior",
    "denominator",
    "drift",
    "explain",
    "grad_and_hess",
    "linear_binary_cross_entropy",
    "linear_value_and_grad",
    "load",
    "log_loss",
    "merge",
    "report",
    "sample_labels",
    "score",
    "segments",
    "set_num_threads",
    "siglip_loss",
    "siglip_value_and_grad",
    "sigmoid_focal_loss",
    "sql",
    "value_and_grad",
]


def __getattr__(name: str) -> Any:
    """Scoring and explaining are imported on first use: they bring Numba and the file reader."""
    if name in ("Scores", "load", "merge", "report", "score"):
        from . import scores

        return getattr(scores, name)
    if name == "sql":
        from . import pushdown

        return pushdown.sql
    if name in ("Changes", "Comparisons", "compare", "drift"):
        from . import comparing

        return getattr(comparing, name)
    if name in ("Segments", "segments"):
        from . import segmenting

        return getattr(segmenting, name)
    if name in ("Explanation", "explain"):
        from . import explaining

        return getattr(explaining, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def set_num_threads(n: int) -> None:
    """Use n threads for kernels, from now on and in the whole process; results do not depend on it.

    Without a call the environment's LOGLOSS_NUM_THREADS counts, else the cores that this process may use.

    Args:
        n: a positive whole number.

    Raises:
        InvalidInputError: anything else.

    Example:
        >>> import logloss as ll
        >>> ll.set_num_threads(2)
    """
    from ._kernels import threads

    threads.set_count(n)


__version__ = "0.2.0"
