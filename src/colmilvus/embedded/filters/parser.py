"""A filter expression as a condition: the grammar of a Milvus server, with its precedences.

``not`` binds tighter than a comparison, so that ``not a == 1`` is refused, as on a server. Source: Milvus 2.6.21,
``internal/parser/planparserv2/Plan.g4``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from colmilvus.embedded.filters import rules
from colmilvus.embedded.filters.arithmetic import calculate
from colmilvus.embedded.filters.conditions import Condition, Every, Joined, Negated
from colmilvus.embedded.filters.operands import Arithmetic, Column, Length, Literal, Operand, find_column
from colmilvus.embedded.filters.tokens import InvalidExpression, Token, tokenize

__all__ = ["Delegate", "TextMatch", "parse"]

Delegate: TypeAlias = Callable[[str, str], Condition]  # an expression's text and the column that it is about
TextMatch: TypeAlias = Callable[[Column, str, str, int], Condition]
Parsed: TypeAlias = "Operand | Condition"

POWERS = {"like": 100, "**": 90, "*": 70, "/": 70, "%": 70, "+": 60, "-": 60, "<<": 55, ">>": 55, "in": 50, "not": 50}
POWERS |= {"<": 40, "<=": 40, ">": 40, ">=": 40, "==": 35, "!=": 35, "&": 30, "^": 28, "|": 26, "and": 20, "or": 10}
RANGE, UNARY, EXISTS, LOGICAL = 45, 80, 110, 25
SIDES = {"<": ("<", "<="), "<=": ("<", "<="), ">": (">", ">="), ">=": (">", ">=")}
ORDERS = frozenset(SIDES)
COMPARISONS = ORDERS | {"==", "!="}
MOST_NESTED = 200
SMALLEST = -(2**63)
CONTAINS = {"contains": "one", "contains_all": "all", "contains_any": "any"}
GEOMETRY = frozenset(
    ["st_equals", "st_touches", "st_overlaps", "st_crosses", "st_contains", "st_intersects", "st_within"]
    + ["st_dwithin", "st_isvalid"]
    + [f"geometry_{name}" for name in ("contains", "within", "intersects", "isvalid", "dwithin")]
)
# What a server of 3.0, or any, knows and the engine does not.
UNSUPPORTED = {f"match_{how}" for how in ("any", "all", "least", "most", "exact")}
UNSUPPORTED |= {"element_filter", "random_sample", "text_match_fuzzy"}
OPERATORS = {"&": "BitAnd", "|": "BitOr", "^": "BitXor", "<<": "shift", ">>": "shift"}


def parse(expression: str, schema: Any, delegate: Delegate, text_match: TextMatch) -> Condition:
    """The condition that an expression states about rows of Milvus Lite's schema. Raises InvalidExpression.

    What is about times and geometries goes to ``delegate``, a column's ``text_match`` and ``phrase_match`` to
    ``text_match``.
    """
    parser = _Parser(expression, schema, delegate, text_match)
    found = parser.expression(0)
    if parser.peek.kind != "end":
        raise InvalidExpression(f"unexpected {parser.peek.text!r} at position {parser.peek.start}")
    if isinstance(found, Literal) and isinstance(found.value, bool):
        return Every(found.value)
    if not _is_condition(found):
        raise InvalidExpression("predicate is not a boolean expression")
    return found  # type: ignore[return-value]  # checked above


def _is_condition(parsed: Parsed) -> bool:
    return not isinstance(parsed, Literal | Column | Arithmetic | Length)


class _Parser:
    def __init__(self, expression: str, schema: Any, delegate: Delegate, text_match: TextMatch) -> None:
        self._expression, self._schema = expression, schema
        self._delegate, self._text_match = delegate, text_match
        self._tokens, self._at, self._depth = tokenize(expression), 0, 0

    @property
    def peek(self) -> Token:
        return self._tokens[self._at]

    def _kinds(self, count: int) -> tuple[str, ...]:
        return tuple(token.kind for token in self._tokens[self._at : self._at + count])

    def _take(self, kind: str = "") -> Token:
        token = self.peek
        if kind and token.kind != kind:
            raise InvalidExpression(f"expected {kind!r} at position {token.start}, got {token.text or 'the end'!r}")
        self._at += 1
        return token

    def expression(self, power: int) -> Parsed:
        """What stands here up to an operator that binds less tightly than ``power``."""
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise InvalidExpression(f"the expression is nested more than {MOST_NESTED} deep")
        left = self._prefix()
        while self._power() >= max(power, 1):
            left = self._infix(left)
        self._depth -= 1
        return left

    def _power(self) -> int:
        kind = self.peek.kind
        if kind == "not" and self._kinds(2) != ("not", "in"):
            return 0
        return RANGE if self._starts_range() else POWERS.get(kind, 0)

    def _starts_range(self) -> bool:
        first, column, second = (*self._kinds(3), "", "", "")[:3]
        return first in ORDERS and column in ("name", "path") and second in SIDES[first]

    def _prefix(self) -> Parsed:
        token = self.peek
        if token.kind == "iso" or self._is_of_times():
            return self._times()
        self._take()
        if token.kind == "literal":
            return self._literal(token)
        if token.kind in ("name", "path"):
            return self._named(token)
        if token.kind == "(":
            inside = self.expression(0)
            self._take(")")
            return inside
        if token.kind == "[":
            return self._list()
        if token.kind == "exists":
            return rules.exist(self._operand(self.expression(EXISTS)))
        if token.kind in ("not", "-", "+", "~"):
            return self._unary(token.kind, self.expression(UNARY))
        raise InvalidExpression(f"unexpected {token.text or 'end'!r} at position {token.start}")

    def _literal(self, token: Token) -> Literal:
        smallest = token.value == -SMALLEST and self._at > 1 and self._tokens[self._at - 2].kind == "-"
        if type(token.value) is int and token.value >= -SMALLEST and not smallest:
            raise InvalidExpression(f"{token.text}: value out of range, an integer has 64 bits")
        return Literal(token.value)

    def _list(self) -> Literal:
        elements: list[Any] = []
        while self.peek.kind != "]":
            # Lists of thousands of keys are usual; by the whole grammar one takes a third longer to read.
            alone = self.peek.kind == "literal" and self._tokens[self._at + 1].kind in (",", "]")
            element = self._literal(self._take()) if alone else self.expression(0)
            if not isinstance(element, Literal):
                raise InvalidExpression("array element type must be generic value")
            elements.append(element.value)
            if self.peek.kind != "]":
                self._take(",")
        self._take("]")
        return Literal(elements)

    def _unary(self, sign: str, of: Parsed) -> Parsed:
        if isinstance(of, Literal):
            if sign == "not" and isinstance(of.value, bool):
                return Literal(not of.value)
            if sign in "+-" and type(of.value) in (int, float):
                return Literal(-of.value if sign == "-" else of.value)  # type: ignore[operator]  # a number
        elif sign == "+":
            return of
        elif sign == "not" and _is_condition(of):
            return Negated(of)  # type: ignore[arg-type]  # it is one
        if sign == "not":
            raise InvalidExpression("not op can only be applied on boolean expression")
        raise InvalidExpression(f"unexpected op: {sign}")

    def _named(self, token: Token) -> Parsed:
        if self.peek.kind == "(" and token.kind == "name":
            return self._call(token)
        column = find_column(token, self._schema)
        if self.peek.kind != "null":
            return column
        there = rules.present(column)
        return there if self._take().value is False else Negated(there)

    def _infix(self, left: Parsed) -> Parsed:
        if self._starts_range():
            return self._range(self._operand(left))
        sign = self._take().kind
        if sign in OPERATORS:
            raise InvalidExpression(f"{OPERATORS[sign]} is not supported")
        if sign in ("and", "or"):
            return self._joined(sign, left, self.expression(POWERS[sign] + 1))
        if sign == "not":
            self._take("in")
            return Negated(rules.one_of(self._operand(left), self._operand(self.expression(POWERS["in"] + 1))))
        right = self._operand(self.expression(POWERS[sign] + 1))
        left = self._operand(left)
        if sign == "in":
            return rules.one_of(left, right)
        if sign == "like":
            return rules.match(left, right)
        if sign not in COMPARISONS:
            return calculate(sign, left, right)
        if isinstance(left, Literal) and isinstance(right, Literal):
            return rules.compare_literals(sign, left, right)
        return rules.compare(sign, left, right)

    @staticmethod
    def _operand(parsed: Parsed) -> Operand:
        if _is_condition(parsed):
            raise InvalidExpression("a condition is not compared, only joined by 'and' and 'or'")
        return parsed  # type: ignore[return-value]  # checked above

    @staticmethod
    def _joined(word: str, left: Parsed, right: Parsed) -> Parsed:
        every = word == "and"
        sides = [left, right]
        for side in sides:
            if not (_is_condition(side) or (isinstance(side, Literal) and isinstance(side.value, bool))):
                raise InvalidExpression(f"'{word}' can only be used between boolean expressions")
        constants = [side.value for side in sides if isinstance(side, Literal)]
        if len(constants) == 2:
            return Literal(all(constants) if every else any(constants))
        if (not every) in constants:
            return Every(not every)
        kept = [side for side in sides if not isinstance(side, Literal)]
        if len(kept) == 1:
            return kept[0]
        first = left.parts if isinstance(left, Joined) and left.every == every else (left,)
        return Joined(every, (*first, right))  # type: ignore[arg-type]  # conditions

    def _range(self, first: Operand) -> Condition:
        sign = self._take().kind
        column = find_column(self._take(), self._schema)
        other = self._take().kind
        last = self._operand(self.expression(RANGE + 1))
        if sign in ("<", "<="):
            return rules.between(column, first, last, with_lower=sign == "<=", with_upper=other == "<=")
        return rules.between(column, last, first, with_lower=other == ">=", with_upper=sign == ">=")

    # Functions

    def _call(self, token: Token) -> Parsed:
        name = token.text.lower()
        if name in UNSUPPORTED:
            raise InvalidExpression(f"{name} is not supported by the embedded engine")
        if name in GEOMETRY:
            return self._geometry(token)
        family, _, rest = name.partition("_")
        if family in ("json", "array") and rest in CONTAINS:
            column, wanted = self._arguments(2)
            return rules.contain(column, wanted, CONTAINS[rest])
        if name == "array_length":
            (column,) = self._arguments(1)
            return rules.length_of(column)
        if name in ("text_match", "phrase_match"):
            return self._matched(name)
        raise InvalidExpression(f"function {token.text} not found")

    def _arguments(self, count: int) -> list[Operand]:
        self._take("(")
        found = [self._operand(self.expression(0))]
        while len(found) < count:
            self._take(",")
            found.append(self._operand(self.expression(0)))
        self._take(")")
        return found

    def _matched(self, name: str) -> Condition:
        self._take("(")
        column = find_column(self._take("name"), self._schema)
        self._take(",")
        query = self.expression(0)
        if not isinstance(query, Literal) or not isinstance(query.value, str):
            raise InvalidExpression(f"{name} query should be a string literal or template variable")
        number = 1 if name == "text_match" else 0
        if self.peek.kind == ",":
            self._take()
            number = self._option(name)
        self._take(")")
        return self._text_match(column, name, query.value, number)

    def _option(self, name: str) -> int:
        if name == "text_match":
            if self._take("name").text.lower() != "minimum_should_match":
                raise InvalidExpression("text_match has one option, minimum_should_match")
            self._take("=")
        value = self.expression(0)
        what, least = ("minimum_should_match", 1) if name == "text_match" else ('"slop"', 0)
        if not isinstance(value, Literal) or type(value.value) is not int or value.value < least:
            raise InvalidExpression(f"{what} should be a const integer, {least} or more")
        return value.value

    # Times and geometries, which Milvus Lite reads as a server does

    def _geometry(self, token: Token) -> Condition:
        self._take("(")
        column, depth = find_column(self._take("name"), self._schema), 1
        while depth:
            taken = self._take()
            depth += {"(": 1, ")": -1}.get(taken.kind, 0)
            if taken.kind == "end":
                raise InvalidExpression(f"the call of {token.text} is not closed")
        return self._delegate(self._expression[token.start : self._tokens[self._at - 1].end], column.name)

    def _is_of_times(self) -> bool:
        kinds = (*self._kinds(5), "", "", "", "", "")
        shifted = kinds[1] in ("+", "-") and kinds[2:4] == ("interval", "literal") and kinds[4] in COMPARISONS
        return kinds[0] == "name" and (shifted or (kinds[1] in COMPARISONS and kinds[2] == "iso"))

    def _times(self) -> Condition:
        start, names = self.peek.start, []
        for _ in range(4 if "iso" in (*self._kinds(1), *self._kinds(3)[2:]) else 7):
            names += [self.peek] if self.peek.kind == "name" else []
            self._take()
        if self._kinds(2) in (("+", "interval"), ("-", "interval")):
            for _ in range(3):
                self._take()
        if not names:
            raise InvalidExpression("only comparison between a time and a field is supported")
        column = find_column(names[0], self._schema)
        return self._delegate(self._expression[start : self._tokens[self._at - 1].end], column.name)
