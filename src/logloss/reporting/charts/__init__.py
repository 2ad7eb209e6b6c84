"""Charts: functions of plain arrays that return a Vega-Lite specification, for page, notebook and file alike."""

from .calibration import difference, reliability
from .comparison import forest, murphy_difference, series
from .decisions import decision_curve, gains
from .decomposition import decomposition
from .discrimination import precision_recall, roc

__all__ = [
    "decision_curve",
    "decomposition",
    "difference",
    "forest",
    "gains",
    "murphy_difference",
    "precision_recall",
    "reliability",
    "roc",
    "series",
]
