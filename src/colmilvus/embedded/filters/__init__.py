"""Filter expressions as a Milvus server reads and evaluates them, over the tables of Milvus Lite.

Milvus Lite's own reader has no ``in`` on keys of JSON, no chained ranges, no ``%``, no templates and no escapes of
Unicode; and what it evaluates differs where values are null, missing or of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.filters.conditions import Condition, OfColumn, Rows
from colmilvus.embedded.filters.operands import Column
from colmilvus.embedded.filters.parser import Delegate, TextMatch, parse
from colmilvus.embedded.filters.templates import filled
from colmilvus.embedded.filters.tokens import InvalidExpression
from colmilvus.embedded.refusal import Refused

__all__ = ["Column", "Condition", "Filter", "InvalidExpression", "OfColumn", "Rows", "filled", "read_filter"]


@dataclass(frozen=True)
class Filter:
    """An expression that can be evaluated: what it says of a table's rows."""

    condition: Condition

    def matches(self, table: Any) -> NDArray[np.bool_]:
        """Which rows of an Arrow table match; one of which the expression is unknown does not."""
        answers = self.condition.evaluate(Rows(table))
        return np.asarray(answers.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def read_filter(expression: str, schema: Any, delegate: Delegate, text_match: TextMatch) -> Filter:
    """The filter that an expression states. Raises Refused, as a server words it, where it states none."""
    try:
        return Filter(parse(expression, schema, delegate, text_match))
    except InvalidExpression as error:
        raise Refused(f"failed to create query plan: cannot parse expression: {expression}: {error}") from error
