"""A chart as an object: shown in notebooks, written to files, and open as its specification."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._errors import InvalidInputError
from .svg import render, standalone, themed

_ENDINGS = (".svg", ".png", ".json")
_SCALE = 2


@dataclass(frozen=True)
class Plot:
    """One chart. A notebook shows it; `save` writes SVG, PNG or the Vega-Lite specification as JSON."""

    name: str
    title: str
    """What it shows, as a sentence."""
    alt: str
    """The same in words, for who does not see it."""
    spec: dict[str, Any]
    """The Vega-Lite specification; its colours are variables of CSS (`var(--blue)`)."""

    def svg(self) -> str:
        """The picture with its own style, light or dark as the reader's screen is. Needs `logloss[report]`."""
        return standalone(render(self.spec, self.name, self.alt))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the chart to a file, in the format that its ending names: .svg, .png or .json.

        Raises InvalidInputError if no format has this ending, or if the file cannot be written.
        """
        place = Path(path)
        ending = place.suffix.lower()
        if ending not in _ENDINGS:
            raise InvalidInputError(
                f"the format of {place.name} must be told by its ending, one of {', '.join(_ENDINGS)}; "
                f"it ends in {place.suffix!r}."
            )
        content = self._png() if ending == ".png" else self._json() if ending == ".json" else self.svg().encode()
        try:
            place.write_bytes(content)
        except OSError as error:
            reason = error.strerror or error
            raise InvalidInputError(f"{place.name} cannot be written ({reason}); choose another place.") from error

    def _png(self) -> bytes:
        """In the light palette, since the renderer knows no variables; twice as fine as a screen.

        The renderer brings a font for "sans-serif"; its default is one that few machines have, and texts vanish.
        """
        import vl_convert

        head, _, drawn = themed(render(self.spec, self.name, self.alt), "light").partition(">")
        ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
        return bytes(vl_convert.svg_to_png(f'{head} font-family="sans-serif">{ground}{drawn}', scale=_SCALE))

    def _json(self) -> bytes:
        return (json.dumps(self.spec, indent=2, ensure_ascii=False) + "\n").encode()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Plot({self.name!r}: {self.title}. {self.alt})"
