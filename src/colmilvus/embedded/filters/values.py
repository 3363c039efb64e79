"""What a filter means for one value of a JSON document or an array: True, False, or None where it does not apply.

A key that is missing and a value of another kind make a test unknown, so that neither it nor its negation is true.
Source: Milvus 2.6.21, ``internal/core/src/exec/expression`` (UnaryExpr, TermExpr, BinaryRangeExpr, JsonContainsExpr,
BinaryArithOpEvalRangeExpr, ExistsExpr) and ``internal/core/src/common/Json.h``, each where no index is used.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from colmilvus.embedded.filters.tokens import InvalidExpression

__all__ = [
    "COMPARED",
    "MISSING",
    "Test",
    "any_of",
    "calculate",
    "calculated",
    "compared",
    "contains",
    "fetch",
    "is_there",
    "length",
    "like",
    "like_literal",
    "like_pattern",
]

Test: TypeAlias = Callable[[Any], "bool | None"]
Answer: TypeAlias = "bool | None"

MISSING = object()
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SIGN = re.compile(r"\\(.)|(%)|(_)|([^\\])|\\", re.DOTALL)


def fetch(document: Any, path: Sequence[str]) -> Any:
    """What lies at the path, as a JSON pointer finds it; MISSING if nothing does."""
    for part in path:
        if isinstance(document, dict):
            document = document.get(part, MISSING)
        elif isinstance(document, list) and part.isdigit() and part == str(int(part)) and int(part) < len(document):
            document = document[int(part)]
        else:
            return MISSING
    return document


def is_there(value: Any) -> bool:
    """What ``exists`` means: not missing, not null, and not made of nulls, empty lists and empty objects only."""
    if value is MISSING or value is None:
        return False
    if isinstance(value, dict):
        return any(map(is_there, value.values()))
    return any(map(is_there, value)) if isinstance(value, list) else True


def _reader(like: Any) -> Callable[[Any], Any]:
    """What reads a value as the kind of a literal: the value, or MISSING where it is of another kind."""
    if isinstance(like, bool):
        return lambda value: value if isinstance(value, bool) else MISSING
    if isinstance(like, str):
        return lambda value: value if isinstance(value, str) else MISSING
    if isinstance(like, float):
        return lambda value: float(value) if type(value) in (int, float) else MISSING
    return lambda value: value if type(value) in (int, float) else MISSING


def compared(sign: str, limit: Any) -> Test:
    """Whether a value is equal to, less than, ... the literal."""
    compare = COMPARED[sign]
    if isinstance(limit, list):
        return _compared_list(sign, limit)
    read = _reader(limit)

    def test(value: Any) -> Answer:
        found = read(value)
        return None if found is MISSING else compare(found, limit)

    return test


def _compared_list(sign: str, wanted: list[Any]) -> Test:
    if any(isinstance(element, list) for element in wanted):
        raise InvalidExpression("a list within a list is not compared")

    def test(value: Any) -> Answer:
        if not isinstance(value, list):
            return None
        return sign in ("==", "!=") and _same(value, wanted) == (sign == "==")

    return test


def _same(found: Any, wanted: Any) -> bool:
    """Whether a list has the elements of a literal one; a whole number with a point is no integer here."""
    if not isinstance(found, list) or len(found) != len(wanted):
        return False
    return all(
        _reader(b)(a) == b and not (type(b) is int and isinstance(a, float)) for a, b in zip(found, wanted, strict=True)
    )


def any_of(values: Iterable[Any]) -> Test:
    """Whether a value is one of the literals; of a list of several kinds those of its own kind count."""
    values = list(values)
    if not values:
        return lambda _: False
    tests: list[Test] = [compared("==", value) for value in values if isinstance(value, list)]
    kinds = [{value for value in values if type(value) is kind} for kind in (bool, int, float, str)]
    tests += [_in_set(same, _reader(next(iter(same)))) for same in kinds if same]
    return tests[0] if len(tests) == 1 else lambda value: _or([test(value) for test in tests])


def _in_set(values: set[Any], read: Callable[[Any], Any]) -> Test:
    def test(value: Any) -> Answer:
        found = read(value)
        return None if found is MISSING else found in values

    return test


def _or(answers: list[Answer]) -> Answer:
    return True if True in answers else None if None in answers else False


def contains(values: list[Any], *, every: bool) -> Test:
    """Whether a list contains one of the literals, or ``every`` one; unknown of what is no list."""
    wanted: list[Test] = []
    for value in values:
        if isinstance(value, list):
            compared("==", value)
        wanted.append(_element(value))
    joined: Callable[[Iterable[bool]], bool] = all if every else any
    if not values:
        return lambda _: every

    def test(found: Any) -> Answer:
        if not isinstance(found, list):
            return None
        return joined(any(is_it(element) for element in found) for is_it in wanted)

    return test


def _element(value: Any) -> Test:
    if isinstance(value, list):
        return lambda element: _same(element, value)
    read = _reader(value)
    return lambda element: bool(read(element) == value)


def like_pattern(pattern: str) -> re.Pattern[str]:
    r"""What a pattern matches: ``%`` any characters, ``_`` one, and after a backslash whatever stands there."""
    parts = []
    for sign in SIGN.finditer(pattern):
        escaped, many, one, plain = sign.groups()
        if escaped is None and sign.group() == "\\":
            raise InvalidExpression(f"the pattern {pattern!r} of like ends with an escape of nothing")
        parts.append(".*" if many else "." if one else re.escape(escaped or plain))
    return re.compile("".join(parts), re.DOTALL)


def like_literal(pattern: str) -> tuple[bool, str, bool] | None:
    r"""Whether anything may stand before, what must stand there, and whether anything may follow; None if it is more.

    >>> like_literal("%50\\%%")
    (True, '50%', True)
    """
    signs = list(SIGN.finditer(pattern))
    before, after = bool(signs) and bool(signs[0][2]), len(signs) > 1 and bool(signs[-1][2])
    inner = signs[int(before) : len(signs) - int(after)]
    if any(sign[2] or sign[3] or sign.group() == "\\" for sign in inner):
        return None
    return before, "".join(sign[1] or sign[4] for sign in inner), after


def like(pattern: str) -> Test:
    """Whether a string matches a pattern; unknown of what is no string."""
    regex = like_pattern(pattern)
    return lambda value: regex.fullmatch(value) is not None if isinstance(value, str) else None


def length(sign: str, limit: int) -> Test:
    """Whether a list is as long as, shorter than, ... the literal says; unknown of what is no list."""
    compare = COMPARED[sign]
    return lambda value: compare(len(value), limit) if isinstance(value, list) else None


def calculated(arithmetic: str, by: Any, sign: str, limit: Any) -> Test:
    """Whether a number, after arithmetic with a literal, is equal to, less than, ... another literal."""
    compare, read = COMPARED[sign], _reader(by)

    def test(value: Any) -> Answer:
        found = read(value)
        return None if found is MISSING else compare(calculate(arithmetic, found, by), limit)

    return test


def calculate(sign: str, number: Any, by: Any) -> Any:
    """Arithmetic of two numbers, as C++ does it: whole numbers are divided towards zero."""
    if sign == "/":
        return _divide(number, by) if isinstance(number, int) and isinstance(by, int) else number / by
    if sign == "%":
        whole, divisor = int(number), int(by)
        return whole - _divide(whole, divisor) * divisor
    return {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](number, by)


def _divide(number: int, by: int) -> int:
    return number // by if (number < 0) == (by < 0) else -(-number // by)
