"""A tool with which an agent searches a collection."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Annotated, Any

from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from colmilvus.collection import Collection
from colmilvus.embedder import SearchMode
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.langchain.content import to_message_content
from colmilvus.langchain.documents import BEST_SEGMENTS, check_segments, scored_document
from colmilvus.langchain.filters import to_filter

__all__ = ["create_search_tool"]

KINDS = (bool, int, float, str)


def _of_64_bits(value: int) -> int:
    if not -(2**63) < value < 2**63:
        raise ValueError("an integer has 64 bits")
    return value


VALUES: Mapping[type, Any] = {int: AfterValidator(_of_64_bits), float: Field(allow_inf_nan=False)}
"""What a filter can be written for; not as bounds in the schema, which are larger than a 64-bit integer themselves."""
RESERVED = frozenset({"args", "callbacks", "config", "kwargs", "run_manager", "runtime", "self"})
"""Names that LangChain gives arguments of its own to."""


def create_search_tool(
    collection: Collection,
    *,
    name: str = "search_documents",
    description: str | None = None,
    k: int = 4,
    filter: Any = None,
    filters: Mapping[str, type] | None = None,
    mode: SearchMode | None = None,
    per_document: int | None = None,
    best_segments: int | None = BEST_SEGMENTS,
    pages: int = 4,
    pixels: int = 1_500_000,
) -> BaseTool:
    r"""A tool that searches a collection and shows an agent what it finds: text, pictures of pages, file and page.

    Its answer is the content blocks of ``to_message_content``, with the pictures of at most ``pages`` pages of at most
    ``pixels`` pixels each, and its artifact the Documents, as LateInteractionRetriever gives them. ``k``, ``filter``,
    ``mode`` and ``per_document`` hold for every search; the model cannot change them. What cannot be searched for,
    such as a blank question, is answered with the reason, so that the model can ask again.

    ``filters`` names keys of the metadata that the model may filter by, with the type of their values: bool, int, float
    or str. Each is an argument of the tool that may be left out, and takes a value or a list of values, any of which
    fits; for numbers there are ``min_...`` and ``max_...`` too. Of ``source`` the file's name, as it is shown, will do.

    Raises InvalidInput, or what ``Collection.search`` raises, at once, for arguments that fit nothing.

    >>> from colmilvus import Entity
    >>> from colmilvus.embedders.static import StaticEmbedder
    >>> quays = Collection("quays", StaticEmbedder(), uri="kb.db")
    >>> _ = quays.add([Entity("a", "a red boat", metadata={"source": "boats.txt", "year": 2024})])
    >>> tool = create_search_tool(quays, filters={"year": int})
    >>> list(tool.args), tool.invoke({"query": "boat", "min_year": 2020})
    (['query', 'year', 'min_year', 'max_year'], [{'type': 'text', 'text': '[1] boats.txt\na red boat'}])
    >>> quays.close()
    """
    if not isinstance(collection, Collection):
        raise InvalidInput(f"this takes a Collection, such as store.collection, not {type(collection).__name__}")
    check_segments(best_segments)
    to_message_content([], pages=pages, pixels=pixels)
    fixed, most = to_filter(filter, None, collection.spec.fields)
    if isinstance(fixed, str) and filters:
        raise InvalidInput("filter= is an expression, which cannot be joined with filters=; write it as a dict")
    number = k if most is None else min(k, most)
    collection.check_search(number, filter=fixed, mode=mode, per_document=per_document)
    if isinstance(fixed, str):
        collection.count(fixed)  # which Milvus alone can read
    schema = _schema(filters or {})

    def find(query: str, chosen: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Document]]:
        joined = fixed if isinstance(fixed, str) else _filter(fixed, filters or {}, chosen)
        try:
            hits = collection.search(query, number, filter=joined, mode=mode, per_document=per_document)
        except InvalidQuery as error:  # of the model's making: it can ask again
            return [{"type": "text", "text": f"{error}."}], []
        documents = [scored_document(hit, best_segments) for hit in hits]
        content = to_message_content(documents, pages=pages, pixels=pixels)
        return content or [{"type": "text", "text": _nothing(chosen)}], documents

    def search(query: str, **chosen: Any) -> tuple[list[dict[str, Any]], list[Document]]:
        return find(query, chosen)

    async def asearch(query: str, **chosen: Any) -> tuple[list[dict[str, Any]], list[Document]]:
        return await run_in_executor(None, find, query, chosen)

    return StructuredTool.from_function(
        func=search,
        coroutine=asearch,
        name=name,
        description=description or _description(collection),
        args_schema=schema,
        response_format="content_and_artifact",
    )


def _description(collection: Collection) -> str:
    return (
        f"Search the documents of the collection {collection.name!r}. Returns the passages and pages that match best, "
        "each with a number, its source and page. Ask for one thing at a time, in a few words or a question."
    )


def _nothing(chosen: Mapping[str, Any]) -> str:
    used = ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value is not None)
    return f"Nothing was found with {used}; try without." if used else "Nothing was found; try other words."


def _schema(filters: Mapping[str, type]) -> type[BaseModel]:
    fields: dict[str, Any] = {"query": (Annotated[str, Field(description="What to look for.")], ...)}
    for key, kind in filters.items():
        if kind not in KINDS:
            raise InvalidInput(f"filters: {key!r} is of bool, int, float or str, not {kind!r}")
        if not key.isidentifier() or iskeyword(key) or key.startswith("_") or _is_taken(key):
            raise InvalidInput(f"filters: {key!r} cannot be an argument of a tool; give the metadata key another name")
        value: Any = Annotated[kind, VALUES[kind]] if kind in VALUES else kind
        _add(fields, key, value | list[value] | None, f"Only what has this {key}, or one of these.")
        if kind in (int, float):
            _add(fields, f"min_{key}", value | None, f"Only what has a {key} of at least this.")
            _add(fields, f"max_{key}", value | None, f"Only what has a {key} of at most this.")
    return create_model("SearchArguments", __config__=ConfigDict(extra="forbid"), **fields)


def _is_taken(name: str) -> bool:
    """Whether LangChain or pydantic give the name a meaning of their own."""
    return name in RESERVED or hasattr(BaseModel, name)


def _add(fields: dict[str, Any], name: str, kind: Any, description: str) -> None:
    if name in fields:
        raise InvalidInput(f"filters: two arguments of the tool would be called {name!r}; rename a metadata key")
    fields[name] = (Annotated[kind, Field(description=description)], None)


def _filter(fixed: Mapping[str, Any] | None, filters: Mapping[str, type], chosen: Mapping[str, Any]) -> Any:
    """What is fixed and what the model has chosen, as one filter; None where there is neither."""
    parts = [fixed] if fixed else []
    for key in filters:
        for prefix, operator in (("", "$in"), ("min_", "$gte"), ("max_", "$lte")):
            value = chosen.get(f"{prefix}{key}")
            if value is not None:
                parts.append(
                    _test(key, operator, [value] if operator == "$in" and not isinstance(value, list) else value)
                )
    return {"$and": parts} if parts else None


def _test(key: str, operator: str, value: Any) -> dict[str, Any]:
    test = {"$key": {key: {operator: value}}}
    if key != "source" or operator != "$in":
        return test
    # The model has seen the names of files, not where they lie.
    names = [name for name in value if isinstance(name, str) and not (set(name) & set("%\\/") or name.endswith("_"))]
    return {"$or": [test, *({"$key": {key: {"$like": f"%/{name}"}}} for name in names)]}
