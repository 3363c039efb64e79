"""Output fields: what is asked of Milvus Lite in the place of structs, and the structs put into its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from colmilvus.embedded.lite import EngineCollection
from colmilvus.embedded.refusal import Refused
from colmilvus.embedded.schema import hidden_fields, row_field
from colmilvus.embedded.wire import struct_field

__all__ = ["Outputs"]

REFERENCE = re.compile(r"(\w+)\[(\w+)\]")


@dataclass(frozen=True)
class Outputs:
    """What a request asks for: ``lite`` of Milvus Lite, ``structs`` of the stores; ``drop`` is not for the user."""

    lite: list[str]
    structs: dict[str, set[str]]
    drop: set[str]

    @classmethod
    def of(cls, names: Sequence[str], collection: EngineCollection) -> Outputs:
        """Read a request's output fields. Raises Refused for a field that the collection does not have."""
        structs: dict[str, set[str]] = {}
        plain = [name for name in names if not _reference(name, collection, structs)]
        if "*" in plain:
            for struct in collection.structs.values():
                structs[struct.name] = {field.name for field in struct.fields}
        else:
            plain += [row_field(name) for name in structs]
        drop = {field for struct in collection.structs.values() for field in hidden_fields(struct)}
        # A server keeps no raw data of the sparse vectors that BM25 makes; Milvus Lite gives them.
        generated = {name for name in collection.texts if collection.structs}
        for name in generated.intersection(plain):
            raise Refused(f"not allowed to retrieve raw data of field {name}")
        drop |= generated
        if not plain:
            # Milvus Lite answers an empty list with every field, a server with none.
            plain = [collection.pk_field]
            drop |= {collection.pk_field}
        return cls(plain, structs, drop)

    def fill(self, fields_data: Any, output_fields: Any, collection: EngineCollection) -> None:
        """Strip what the user did not declare from an answer, and put the structs in."""
        given = {data.field_name: data for data in fields_data}
        added = []
        for name, wanted in self.structs.items():
            if (rows := given.get(row_field(name))) is not None:
                numbers = list(rows.scalars.long_data.data)
                added.append(struct_field(collection.structs[name], wanted, collection.stores[name], numbers))
        kept = [data for data in fields_data if data.field_name not in self.drop]
        names = [name for name in output_fields if name not in self.drop] + [data.field_name for data in added]
        del fields_data[:], output_fields[:]
        fields_data.extend(kept + added)
        output_fields.extend(names)


def _reference(name: str, collection: EngineCollection, structs: dict[str, set[str]]) -> bool:
    """Note the struct that ``name`` refers to; False where it is another field's."""
    match = REFERENCE.fullmatch(name)
    struct = collection.structs.get(match[1] if match else name)
    if struct is None:
        _check_known(name, collection)
        return False
    known = {field.name for field in struct.fields}
    if match and match[2] not in known:
        raise Refused(f"field {name} not exist")
    structs.setdefault(struct.name, set()).update({match[2]} if match else known)
    return True


def _check_known(name: str, collection: EngineCollection) -> None:
    known = {field.name for field in collection.proto.fields} | {"*", "count(*)", "$meta"}
    if collection.structs and name not in known and not collection.proto.enable_dynamic_field:
        raise Refused(f"field {name} not exist")
