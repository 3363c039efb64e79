"""Cohere's embedding models: what their vectors and their requests look like."""

from __future__ import annotations

import re
from dataclasses import dataclass

from colmilvus.errors import InvalidInput

__all__ = ["Model"]

DIMENSIONS = {
    "embed-v4.0": 1536,
    "embed-english-v3.0": 1024,
    "embed-multilingual-v3.0": 1024,
    "embed-english-light-v3.0": 384,
    "embed-multilingual-light-v3.0": 384,
}
OUTPUT_DIMENSIONS = (256, 512, 1024, 1536)
GENERATION = re.compile(r"\bv(\d+)")


@dataclass(frozen=True)
class Model:
    """A model by its name. Raises InvalidInput for an ``output_dimension`` that it cannot give."""

    name: str
    output_dimension: int | None = None

    def __post_init__(self) -> None:
        if self.output_dimension is None:
            return
        if self.generation < 4:
            raise InvalidInput(
                f"output_dimension={self.output_dimension} is for embed-v4.0 and newer models; "
                f"{self.name!r} gives {DIMENSIONS.get(self.name, 'its own number of')} dimensions: leave it out"
            )
        if self.output_dimension not in OUTPUT_DIMENSIONS:
            raise InvalidInput(
                f"output_dimension is one of {', '.join(map(str, OUTPUT_DIMENSIONS))}; got {self.output_dimension!r}"
            )

    @property
    def dim(self) -> int | None:
        """The length of its vectors; None for a model that is not known."""
        return self.output_dimension or DIMENSIONS.get(self.name)

    @property
    def generation(self) -> int:
        """3 for embed-english-v3.0; 4 where the name says nothing, as those of private deployments."""
        found = GENERATION.search(self.name)
        return int(found.group(1)) if found else 4

    @property
    def pictures_a_call(self) -> int:
        """From v4 on only the size of a request is limited, 20 MB: four pictures of up to 5 MB.

        More would fit if they are small, but few a call can be on their way at once, and a call that has to be repeated
        repeats little.
        """
        return 4 if self.generation >= 4 else 1
