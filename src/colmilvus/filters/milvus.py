"""A tree of tests as a Milvus expression."""

# How this is written for Milvus. A server's `not` of an unknown (a missing key, a value of another kind) is unknown
# again, and an unknown left over counts as false: so negations are pushed down to the tests, and each names the kinds
# of values of which it is true. Read in the source of Milvus 2.6.21, which the embedded engine follows: a bool is no
# number, [1.0] does not contain 1, a JSON key is not unescaped, what is made of nulls and empty lists and objects does
# not exist, and nothing tells that a value is an object. Each kind is asked for before it is negated, as older servers
# take the negation of an unknown for true.

from __future__ import annotations

from collections.abc import Iterable, Iterator

from colmilvus.filters.columns import COMPLEMENT, write_column
from colmilvus.filters.dialects import Dialect
from colmilvus.filters.joining import all_true, any_true
from colmilvus.filters.language import RANGES, Column, Group, Node, Not, Test, comparable
from colmilvus.filters.literals import Float, Scalar, literal, quoted

# Each function gives the expression that is true where the test is (wanted) or is not; a bool is always so.


def write(node: Node, wanted: bool, dialect: Dialect) -> str | bool:
    if isinstance(node, Not):
        return write(node.part, not wanted, dialect)
    if isinstance(node, Group):
        parts = (write(part, wanted, dialect) for part in node.parts)
        return all_true(parts) if node.every == wanted else any_true(parts)
    if node.column.kind is None:
        return _KeyTests(node.column, dialect).write(node, wanted)
    return write_column(node, wanted, dialect)


class _KeyTests:
    """Tests of what lies under a key of the metadata."""

    def __init__(self, column: Column, dialect: Dialect) -> None:
        dialect.check_key(column)
        self._key = column.name
        self._dialect = dialect
        self._missing, self._exists = dialect.missing(column), dialect.exists(column)
        self._number, self._text, self._list = dialect.number(column), dialect.text(column), dialect.list(column)

    def write(self, node: Test, wanted: bool) -> str | bool:
        key = self._key
        if node.test == "missing":
            return self._missing if wanted else self._exists
        if node.test == "empty":
            return self._empty(wanted)
        if node.test in RANGES:
            return self._range(node.test, node.value, wanted)
        if not node.value:
            return not wanted
        if node.test == "like":
            test = f"{key} like {quoted(self._dialect.pattern(node.value))}"
            return test if wanted else any_true([all_true([self._text, f"not ({test})"]), *self._others("text")])
        values = list(_spellings(node.value, floats=node.test == "any"))
        for value in values:
            self._dialect.check_number(value)
        if node.test == "in":
            return self._in(values, wanted)
        contains = f"json_contains_any({key}, [{', '.join(map(literal, values))}])"
        return contains if wanted else any_true([all_true([self._list, f"not {contains}"]), *self._others("list")])

    def _others(self, but: str) -> list[str | bool]:
        """True of nothing, and of values of every kind but one that can be told; no two tests are true of one value."""
        key = self._key
        tests = {"number": self._number, "text": self._text, "true": f"{key} == true", "false": f"{key} == false"}
        tests["list"] = self._list
        return [self._missing, *(test for kind, test in tests.items() if kind != but)]

    def _in(self, values: list[Scalar], wanted: bool) -> str | bool:
        key = self._key
        texts = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if not isinstance(value, str | bool)]
        if wanted:
            bools = [f"{key} == {literal(value)}" for value in values if isinstance(value, bool)]
            return any_true([*_one_of(key, numbers), *bools, *_one_of(key, texts)])
        tests: list[str | bool] = [self._missing, self._list]
        tests += [f"{key} == {literal(value)}" for value in (True, False) if value not in values]
        for kind, unequal in ((self._number, numbers), (self._text, texts)):
            tests.append(all_true([kind, *_one_of(key, unequal, "!=", "not in")]))
        return any_true(tests)

    def _range(self, sign: str, limit: Scalar, wanted: bool) -> str | bool:
        self._dialect.check_number(limit)
        key = self._key
        needed = sign if wanted else COMPLEMENT[sign]
        tests: list[str | bool] = [f"{key} {needed} {literal(limit)}"]
        bools = [b for b in (False, True) if (comparable(b, limit) and RANGES[sign](b, limit)) == wanted]
        tests += [f"{key} == {literal(b)}" for b in bools]
        if not wanted:
            tests += [self._missing, self._number if isinstance(limit, str) else self._text, self._list]
        return any_true(tests)

    def _empty(self, wanted: bool) -> str | bool:
        key = self._key
        if wanted:
            return any_true([self._missing, f'{key} == ""'])
        there = all_true([self._exists, self._list])
        return any_true([there, self._number, f'{key} > ""', f"{key} == true", f"{key} == false"])


def _spellings(values: Iterable[Scalar], floats: bool) -> Iterator[Scalar]:
    """Every literal that one of the values has in Milvus: 1 is also true, and in lists also 1.0."""
    for value in values:
        yield value
        if not isinstance(value, str):
            if value in (0, 1):
                yield int(value) if isinstance(value, bool) else bool(value)
            if floats and float(value) == value:
                yield Float(value)


def _one_of(key: str, values: Iterable[Scalar], one: str = "==", some: str = "in") -> Iterator[str]:
    """Tests of a JSON key by lists of literals of one kind each, which is all that older servers take."""
    literals = dict.fromkeys(literal(value) for value in values)
    texts = [each for each in literals if each[0] == '"']
    wholes = [each for each in literals if each.lstrip("-").isdecimal()]
    for same in (wholes, texts, [each for each in literals if each not in {*texts, *wholes}]):
        if same:
            yield f"{key} {one} {same[0]}" if len(same) == 1 else f"{key} {some} [{', '.join(same)}]"
