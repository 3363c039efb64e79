"""The names that a server gives to collections and fields, and whose values a row may hold.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/util.go``: validateName, validateFieldName and
``checkDynamicFieldData``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from colmilvus.embedded.refusal import Refused

if TYPE_CHECKING:
    from colmilvus.embedded.schema import Struct

__all__ = ["check_field_name", "check_name", "check_undeclared", "hidden_fields", "row_field"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEYWORDS = {"and", "or", "not", "in", "like", "is", "null", "true", "false", "exists"}


def check_name(name: str, kind: str) -> None:
    """Refuse a name that a server would not give to a ``kind`` of thing, such as a "collection"."""
    if len(name.encode()) > 255:
        raise Refused(f"Invalid {kind} name: {name[:40]}... The length of a {kind} name must be not greater than 255")
    if not NAME.fullmatch(name):
        raise Refused(
            f"Invalid {kind} name: {name!r}. A {kind} name starts with a letter or an underscore and "
            "contains only letters, numbers and underscores"
        )


def check_field_name(name: str) -> None:
    """Refuse a name that a server would not give to a field."""
    check_name(name, "field")
    if name.lower() in KEYWORDS:
        raise Refused(f"Invalid field name: {name}. It is a keyword of the expression language")


def row_field(struct: str) -> str:
    """The hidden column of Milvus Lite that holds the number of the entity's record."""
    return f"{struct}[]"


def hidden_fields(struct: Struct) -> set[str]:
    """The columns that Milvus Lite has in the place of a struct, and that no user declared."""
    return {row_field(struct.name), *(vector.field for vector in struct.vectors)}


def check_undeclared(fields_data: Any, structs: Mapping[str, Struct], fields: Iterable[Any]) -> None:
    """Refuse values for columns that nobody declared, and dynamic keys that bear the name of a field."""
    hidden = {name for struct in structs.values() for name in hidden_fields(struct)}
    fixed = {*hidden, *structs, *(field.name for field in fields)}
    for data in fields_data:
        if data.field_name in hidden:
            raise Refused(f"field {data.field_name} not exist")
        if data.is_dynamic or data.field_name == "$meta":
            for value in data.scalars.json_data.data:
                for name in fixed.intersection(_keys(value)):
                    raise Refused(f"dynamic field name cannot include the static field name: {name}")


def _keys(value: bytes) -> set[str]:
    try:
        return set(dict(json.loads(value)))
    except (TypeError, ValueError):
        raise Refused("the dynamic field of a row must be a JSON object") from None
