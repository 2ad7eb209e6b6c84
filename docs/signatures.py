"""What Griffe cannot read from the source: options that `signed` adds to a signature, and examples under *Example*."""

from __future__ import annotations

import re
from typing import Any

import griffe

from logloss._spec.options import FIELDS

UNTOLD = ("Any", "Unpack[LossOptions]")
"""Annotations that say less than the words beside them."""


class Signatures(griffe.Extension):
    """A function that is marked `signed` is shown with all options, and examples as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Examples are code under Google's heading, which is in the plural."""
        if obj.docstring:
            obj.docstring.value = re.sub("^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Parameters as Python has them, and no annotations that say nothing."""
        if any(one.callable_path.endswith("signed") for one in func.decorators):
            named = griffe.ParameterKind.keyword_only
            own = [one for one in func.parameters if one.kind is not griffe.ParameterKind.var_keyword]
            options = [griffe.Parameter(name, kind=named, default=repr(one.default)) for name, one in FIELDS.items()]
            func.parameters = griffe.Parameters(*own, *options)
        for one in func.parameters:
            if str(one.annotation) in UNTOLD:
                one.annotation = None
        if str(func.returns) in UNTOLD:
            func.returns = None
