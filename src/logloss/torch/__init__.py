"""Drop-ins for PyTorch's binary cross-entropies: change the import, keep the training loop.

`BCEWithLogitsLoss`, `BCELoss` and `binary_cross_entropy_with_logits` take every argument of their namesakes in
`torch.nn` and `torch.nn.functional`, and this package's options: settings in the constructor, data in the call.
docs/coming-from-torch-nn.md lists every difference. `LinearBCEWithLogitsLoss` and `SigLIPLoss` never hold their
logits (docs/linear.md).
"""

from typing import TYPE_CHECKING, Any

from .._errors import MissingDependencyError

try:
    import torch  # noqa: F401 - asked for once, for all modules of this room
except ImportError:
    raise MissingDependencyError(
        "logloss.torch needs PyTorch, which is not installed. Run: pip install 'logloss[torch]'"
    ) from None

from .distributed import sharded_linear_binary_cross_entropy, sharded_siglip_loss
from .linear import LinearBCEWithLogitsLoss, SigLIPLoss
from .losses import AsymmetricLoss, BCELoss, BCEWithLogitsLoss, SigmoidFocalLoss, binary_cross_entropy_with_logits

if TYPE_CHECKING:
    from .metrics import LogLoss
    from .trainer import hf_loss

__all__ = [
    "AsymmetricLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "LinearBCEWithLogitsLoss",
    "LogLoss",
    "SigLIPLoss",
    "SigmoidFocalLoss",
    "binary_cross_entropy_with_logits",
    "hf_loss",
    "sharded_linear_binary_cross_entropy",
    "sharded_siglip_loss",
]


def __getattr__(name: str) -> Any:
    """Metrics are imported on first use: they bring torchmetrics where that is installed."""
    if name == "LogLoss":
        from .metrics import LogLoss

        return LogLoss
    if name == "hf_loss":
        from .trainer import hf_loss

        return hf_loss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
