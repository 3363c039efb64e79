"""The arguments of a tool with which an agent searches a collection: what to look for, and what to filter by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from keyword import iskeyword
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from colmilvus.errors import InvalidInput
from colmilvus.filters import Filter

__all__ = ["SearchArguments", "nothing_found", "tool_description"]

KINDS = (bool, int, float, str)


def _of_64_bits(value: int) -> int:
    if not -(2**63) < value < 2**63:
        raise ValueError("an integer has 64 bits")
    return value


VALUES: Mapping[type, Any] = {int: AfterValidator(_of_64_bits), float: Field(allow_inf_nan=False)}
"""What a filter can be written for; not as bounds in the schema, which are larger than a 64-bit integer themselves."""


class SearchArguments:
    """The arguments that a model may give, as a pydantic model in ``schema``, and the filters that come of them.

    ``filters`` names keys of the metadata with the type of their values: bool, int, float or str. Each is an argument
    that may be left out, and takes a value or a list of values, any of which fits; for numbers there are ``min_...``
    and ``max_...`` too. Of ``source`` the file's name will do. ``fixed`` holds for every search. ``reserved`` are names
    that the framework gives arguments of its own to.

    Raises InvalidInput for a type or a name that cannot be, and for an expression that is fixed beside ``filters``.

    >>> arguments = SearchArguments({"year": int}, fixed={"lang": "en"})
    >>> list(arguments.schema.model_fields), arguments.filter({"min_year": 2020})
    (['query', 'year', 'min_year', 'max_year'], {'$and': [{'lang': 'en'}, {'$key': {'year': {'$gte': 2020}}}]})
    """

    def __init__(
        self, filters: Mapping[str, type] | None, *, fixed: Filter | None = None, reserved: Collection[str] = ()
    ) -> None:
        if isinstance(fixed, str) and filters:
            raise InvalidInput("filter= is an expression, which cannot be joined with filters=; write it as a dict")
        self._filters = dict(filters or {})
        self._fixed = fixed
        self.schema = _schema(self._filters, reserved)

    def filter(self, chosen: Mapping[str, Any]) -> Filter | None:
        """What is fixed and what the model has chosen, as one filter; None where there is neither."""
        if isinstance(self._fixed, str):
            return self._fixed
        parts = [self._fixed] if self._fixed else []
        for key in self._filters:
            for prefix, operator in (("", "$in"), ("min_", "$gte"), ("max_", "$lte")):
                value = chosen.get(f"{prefix}{key}")
                if value is not None:
                    listed = [value] if operator == "$in" and not isinstance(value, list) else value
                    parts.append(_test(key, operator, listed))
        return {"$and": parts} if parts else None


def tool_description(collection: str) -> str:
    """What a model is told of a tool that searches the collection of this name."""
    return (
        f"Search the documents of the collection {collection!r}. Returns the passages and pages that match best, "
        "each with a number, its source and page. Ask for one thing at a time, in a few words or a question."
    )


def nothing_found(chosen: Mapping[str, Any]) -> str:
    """What a model is told where nothing was found with the filters that it has chosen."""
    used = ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value is not None)
    return f"Nothing was found with {used}; try without." if used else "Nothing was found; try other words."


def _schema(filters: Mapping[str, type], reserved: Collection[str]) -> type[BaseModel]:
    fields: dict[str, Any] = {"query": (Annotated[str, Field(description="What to look for.")], ...)}
    for key, kind in filters.items():
        if kind not in KINDS:
            raise InvalidInput(f"filters: {key!r} is of bool, int, float or str, not {kind!r}")
        if not _is_free(key, reserved):
            raise InvalidInput(f"filters: {key!r} cannot be an argument of a tool; give the metadata key another name")
        value: Any = Annotated[kind, VALUES[kind]] if kind in VALUES else kind
        _add(fields, key, value | list[value] | None, f"Only what has this {key}, or one of these.")
        if kind in (int, float):
            _add(fields, f"min_{key}", value | None, f"Only what has a {key} of at least this.")
            _add(fields, f"max_{key}", value | None, f"Only what has a {key} of at most this.")
    return create_model("SearchArguments", __config__=ConfigDict(extra="forbid"), **fields)


def _is_free(name: str, reserved: Collection[str]) -> bool:
    """Whether it can be the name of an argument, and neither the framework nor pydantic give it a meaning."""
    is_name = name.isidentifier() and not iskeyword(name) and not name.startswith("_")
    return is_name and name not in reserved and not hasattr(BaseModel, name)


def _add(fields: dict[str, Any], name: str, kind: Any, description: str) -> None:
    if name in fields:
        raise InvalidInput(f"filters: two arguments of the tool would be called {name!r}; rename a metadata key")
    fields[name] = (Annotated[kind, Field(description=description)], None)


def _test(key: str, operator: str, value: Any) -> dict[str, Any]:
    test = {"$key": {key: {operator: value}}}
    if key != "source" or operator != "$in":
        return test
    # The model has seen the names of files, not where they lie.
    names = [name for name in value if isinstance(name, str) and not (set(name) & set("%\\/") or name.endswith("_"))]
    return {"$or": [test, *({"$key": {key: {"$like": f"%/{name}"}}} for name in names)]}
