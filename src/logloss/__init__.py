"""Binary cross-entropy (sigmoid cross-entropy, log loss), exact and fast, on arrays and on files of any size."""

from ._errors import InvalidInputError, LoglossError, MissingDependencyError, UnsupportedTypeError
from .losses import (
    asymmetric_loss,
    binary_cross_entropy,
    binary_cross_entropy_with_log_probs,
    binary_cross_entropy_with_logits,
    denominator,
    grad_and_hess,
    sigmoid_focal_loss,
    value_and_grad,
)
from .metrics import log_loss
from .positives import Positives
from .prior import balanced_pos_weight, correct_prior

__all__ = [
    "InvalidInputError",
    "LoglossError",
    "MissingDependencyError",
    "Positives",
    "UnsupportedTypeError",
    "asymmetric_loss",
    "balanced_pos_weight",
    "binary_cross_entropy",
    "binary_cross_entropy_with_log_probs",
    "binary_cross_entropy_with_logits",
    "correct_prior",
    "denominator",
    "grad_and_hess",
    "log_loss",
    "set_num_threads",
    "sigmoid_focal_loss",
    "value_and_grad",
]


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


__version__ = "0.1.0"
