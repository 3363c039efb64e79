"""The names that a server gives to collections and their parts, and whose values a row may hold.

Source of the rules: Milvus 2.6.20 to 3.0, ``internal/proxy/util.go``: validateName, validateFieldName and
``checkDynamicFieldData``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from colmilvus.embedded.refusal import INVALID_DATABASE_NAME, INVALID_FIELD_NAME, Refused

if TYPE_CHECKING:
    from colmilvus.embedded.schema import Struct

__all__ = [
    "check_database_name",
    "check_field_name",
    "check_index_name",
    "check_name",
    "check_partition_name",
    "check_undeclared",
    "hidden_fields",
    "row_field",
]

MOST = 255
START = re.compile(r"[A-Za-z_]")
REST = re.compile(r"[A-Za-z0-9_]*")
INDEX_REST = re.compile(r"[A-Za-z0-9_\[\]]*")
PARTITION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
KEYWORDS = {
    *("and", "or", "not", "in", "is", "like", "exists", "json_contains", "json_contains_all", "json_contains_any"),
    *("array_contains", "array_contains_all", "array_contains_any", "array_length", "true", "false", "null"),
    *("text_match", "phrase_match", "random_sample"),
}
RESERVED = {"RowID", "Timestamp", "__virtual_pk__"}


def check_name(name: str, kind: str = "name") -> None:
    """Refuse what a server would not take as the ``kind``, "name" or "alias", of a collection."""
    if not name:
        raise Refused(f"collection {kind} should not be empty")
    start = f"Invalid collection {kind}: {name}. "
    if len(name.encode()) > MOST:
        raise Refused(f"{start} the length of a collection {kind} must be less than {MOST} characters")
    if not START.match(name):
        raise Refused(f"{start} the first character of a collection {kind} must be an underscore or letter")
    if not REST.fullmatch(name):
        raise Refused(f"{start} collection {kind} can only contain numbers, letters and underscores")


def check_field_name(name: str) -> None:
    """Refuse a name that a server would not give to a field."""
    fault = None
    if not name.strip():
        raise Refused(f"field name should not be empty: field name invalid[field={name}]", INVALID_FIELD_NAME)
    if len(name.encode()) > MOST:
        fault = f"The length of a field name must be less than {MOST} characters."
    elif not START.match(name):
        fault = "The first character of a field name must be an underscore or letter."
    elif not REST.fullmatch(name):
        fault = "Field name can only contain numbers, letters, and underscores."
    elif name.lower() in KEYWORDS:
        fault = f"{name} is keyword in milvus."
    elif name in RESERVED:
        fault = "It is reserved for internal use and cannot be used in user schemas"
    if fault:
        raise Refused(f"Invalid field name: {name}. {fault}: field name invalid[field={name}]", INVALID_FIELD_NAME)


def check_index_name(name: str) -> None:
    """Refuse a name that a server would not give to an index; no name stands for the field's."""
    fault = None
    if len(name.encode()) > MOST:
        fault = f"The length of a index name must be less than {MOST} characters."
    elif name and not START.match(name):
        fault = "The first character of a index name must be an underscore or letter."
    elif not INDEX_REST.fullmatch(name):
        fault = "Index name can only contain numbers, letters, and underscores."
    if fault:
        raise Refused(f"Invalid index name: {name}. {fault}")


def check_partition_name(name: str) -> None:
    """Refuse a name that a server would not give to a partition."""
    fault = None
    if not name.strip():
        fault = "Partition name should not be empty."
    elif len(name.encode()) > MOST:
        fault = f"The length of a partition name must be less than {MOST} characters."
    elif not PARTITION.match(name):
        fault = "The first character of a partition name must be an underscore or letter."
    elif not PARTITION.fullmatch(name):
        fault = "Partition name can only contain numbers, letters and underscores."
    if fault:
        raise Refused(f"Invalid partition name: {name}. {fault}")


def check_database_name(name: str) -> None:
    """Refuse a name that a server would not give to a database."""
    fault = None
    if not name:
        fault = "database name couldn't be empty"
    elif len(name.encode()) > MOST:
        fault = f"the length of a database name must be less than {MOST} characters"
    elif not START.match(name):
        fault = "the first character of a database name must be an underscore or letter"
    elif not REST.fullmatch(name):
        fault = "database name can only contain numbers, letters and underscores"
    if fault:
        raise Refused(f"{fault}: invalid database name[database={name}]", INVALID_DATABASE_NAME)


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
