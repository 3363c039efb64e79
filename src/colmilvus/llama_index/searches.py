"""One search for nodes: LlamaIndex's modes and bounds in the words of the core, and hits as nodes with scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from llama_index.core.schema import BaseNode, NodeWithScore
from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQueryMode

from colmilvus.collection import Collection
from colmilvus.embedder import Query, SearchMode, preferred_mode
from colmilvus.entity import Entity, Hit, MultiVector, Segment
from colmilvus.errors import InvalidInput, InvalidQuery
from colmilvus.filters import Filter, matches
from colmilvus.llama_index.filters import of_documents, to_filter, within
from colmilvus.llama_index.nodes import DocumentNode, PageNode, is_whole, node_of, segment_node
from colmilvus.llama_index.pictures import picture_fields

__all__ = [
    "BEST_SEGMENTS",
    "Found",
    "Mode",
    "NodeSearch",
    "check_found",
    "check_ids",
    "check_top_k",
    "document_node",
    "documents_filter",
    "passes",
]

Found: TypeAlias = Literal["documents", "segments"]
"""What is given out of an entity with segments: the document itself, or the best of its segments."""
Mode: TypeAlias = SearchMode | Literal["default", "text_search", "sparse", "mmr"] | VectorStoreQueryMode
"""The modes of the core, those of LlamaIndex's vector stores, and "mmr" for maximal marginal relevance."""

MODES: Mapping[str, str | None] = {
    "default": None,
    "late_interaction": "late_interaction",
    "hybrid": "hybrid",
    "text": "text",
    "text_search": "text",
    "sparse": "text",
    "mmr": "mmr",
}
BEST_SEGMENTS = 5
"""Segments that are given of a hit, unless another number is asked for."""
PREFETCHED = 4
"""Candidates for each node of a search for diversity, LlamaIndex's own default (``mmr_prefetch_factor``)."""
INHERITED = (
    *("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"),
    *("metadata_template", "metadata_separator", "text_template"),
)


@dataclass(frozen=True)
class NodeSearch:
    """What is asked of a collection, but for the query; wrong arguments are refused when it is run, or by ``check``.

    ``mode`` None or "default" is the one that suits the embedder. ``alpha`` is the part of late interaction in a hybrid
    search, from 0 to 1; ``relevance`` and ``candidates`` are for "mmr". ``found`` and ``best_segments`` say what is
    given of entities with segments; as segments, ``similarity_top_k`` of them come at most.
    """

    collection: Collection
    similarity_top_k: int
    filters: MetadataFilters | Filter | None = None
    mode: Mode | None = None
    per_document: int | None = None
    node_ids: Sequence[str] | None = None
    doc_ids: Sequence[str] | None = None
    alpha: float | None = None
    relevance: float = 0.5
    candidates: int | None = None
    found: Found = "documents"
    best_segments: int | None = BEST_SEGMENTS
    with_picture: bool = False

    def run(self, query: Query | MultiVector) -> list[NodeWithScore]:
        """The nodes that match best, best first, each with the score that the mode ranks by."""
        self._check_own()
        nodes = [node for hit in self._hits(query) for node in self._nodes(hit)]
        return nodes[: self.similarity_top_k]

    def check(self) -> None:
        """Raise what a search with these arguments would raise, whatever text is asked."""
        self._check_own()
        mode = self._mode()
        weight = self._weight(mode)
        self.collection.check_search(
            self.similarity_top_k,
            filter=self._filter(),
            mode="late_interaction" if mode == "mmr" else mode,
            per_document=self.per_document,
            weight=weight,
        )

    def _check_own(self) -> None:
        check_top_k(self.similarity_top_k)
        check_found(self.found, self.best_segments)
        for ids in (self.node_ids, self.doc_ids):
            if ids is not None:
                check_ids(ids)

    def _hits(self, query: Query | MultiVector) -> list[Hit]:
        mode = self._mode()
        weight = self._weight(mode)
        if mode == "mmr":
            return self.collection.search_diverse(
                query,
                self.similarity_top_k,
                candidates=self.candidates or PREFETCHED * self.similarity_top_k,
                relevance=self.relevance,
                filter=self._filter(),
                per_document=self.per_document,
            )
        return self.collection.search(
            query,
            self.similarity_top_k,
            filter=self._filter(),
            mode=mode,
            per_document=self.per_document,
            weight=weight,
        )

    def _mode(self) -> Any:
        if self.mode is None:
            return None
        name = self.mode.value if isinstance(self.mode, VectorStoreQueryMode) else self.mode
        if not isinstance(name, str) or name not in MODES:
            raise InvalidQuery(f"mode is one of {', '.join(map(repr, MODES))}, not {name!r}")
        return MODES[name]

    @property
    def is_of_words(self) -> bool:
        """Whether the question's own words are needed, as for BM25; otherwise its vectors will do."""
        return self._mode() in ("text", "hybrid")

    def _weight(self, mode: SearchMode | None) -> float | None:
        if self.alpha is not None and (mode or preferred_mode(self.collection.embedder)) != "hybrid":
            raise InvalidQuery(f"alpha={self.alpha!r} is for mode='hybrid'; leave it out")
        return self.alpha

    def _filter(self) -> Filter | None:
        bounds: list[Mapping[str, Any]] = [{"$image": {"$empty": False}}] if self.with_picture else []
        if self.node_ids is not None:
            parents = self.collection.parents(self.node_ids) if self.collection.spec.segments else {}
            bounds.append({"$id": {"$in": [*self.node_ids, *parents]}})
        if self.doc_ids is not None:
            bounds.append(documents_filter(self.collection, self.doc_ids))
        return within(to_filter(self.filters, self.collection.spec.fields), bounds)

    def _nodes(self, hit: Hit) -> list[NodeWithScore]:
        if not hit.segments:
            return [NodeWithScore(node=node_of(hit.entity), score=hit.score)]
        if self.found == "segments":
            best = self._wanted(hit)[: self.best_segments]
            return [NodeWithScore(node=segment_node(part, hit.entity), score=hit.score) for part, _ in best]
        return [NodeWithScore(node=document_node(hit.entity, hit.segments, self.best_segments), score=hit.score)]

    def _wanted(self, hit: Hit) -> Sequence[tuple[Segment, float]]:
        """The segments of a hit, best first, that pass the filter and, if its id was not asked for, are asked for."""
        wanted = None if self.node_ids is None or hit.entity.id in self.node_ids else set(self.node_ids)
        chosen = to_filter(self.filters, self.collection.spec.fields)
        return [
            (part, similarity)
            for part, similarity in hit.segments
            if (wanted is None or part.id in wanted) and passes(chosen, part, hit.entity, self.collection)
        ]


def passes(filter: Filter | None, segment: Segment, parent: Entity, collection: Collection) -> bool:
    """Whether a segment passes a filter by its metadata, before its parent's; a Milvus expression knows those alone."""
    if isinstance(filter, str):
        return True
    metadata = {**parent.metadata, **segment.metadata}
    return matches(filter, metadata, collection.spec.fields, id=parent.id, document=parent.document)


def documents_filter(collection: Collection, ids: Sequence[str]) -> Mapping[str, Any]:
    """What LlamaIndex means by these ``ref_doc_id``: nodes of these documents, and documents that were stored whole."""
    whole = [entity.id for entity in collection.get(list(ids)) if is_whole(entity)]
    return of_documents(ids, whole)


def document_node(
    entity: Entity, segments: Sequence[tuple[Segment, float]] = (), most: int | None = BEST_SEGMENTS
) -> BaseNode:
    """The node of an entity with segments, with the text of the best of those that were found; without any, all of it.

    It shows its metadata as its segments do.
    """
    best = [NodeWithScore(node=segment_node(part, entity), score=score) for part, score in segments[:most]]
    chosen = {node.node_id for node in best}
    text = _joined(part for part in entity.segments if not chosen or part.id in chosen)
    plain = node_of(entity)
    fields: dict[str, Any] = {"id_": entity.id, "metadata": plain.metadata, "relationships": plain.relationships}
    shown = best[0].node if best else segment_node(entity.segments[0], entity) if entity.segments else plain
    fields |= {name: getattr(shown, name) for name in INHERITED if hasattr(shown, name)}
    fields |= {"text": entity.full_text if most is None else text or entity.text, "segments": best}
    return DocumentNode(**fields) if entity.image is None else PageNode(**fields, **picture_fields(entity.image))


def _joined(segments: Iterable[Segment]) -> str:
    return "\n\n".join(part.text for part in segments if part.text)


def check_top_k(similarity_top_k: object) -> None:
    """Raise InvalidQuery for anything but a number from 1."""
    if isinstance(similarity_top_k, bool) or not isinstance(similarity_top_k, int) or similarity_top_k < 1:
        raise InvalidQuery(f"similarity_top_k is a number from 1, not {similarity_top_k!r}")


def check_ids(ids: object) -> None:
    """Raise InvalidInput for anything but a list of strings."""
    if isinstance(ids, str) or not isinstance(ids, Sequence | set | frozenset):
        raise InvalidInput(f"ids come in a list: [{ids!r}]")
    for name in ids:
        if not isinstance(name, str):
            raise InvalidInput(f"an id is a string, not {name!r}")


def check_found(found: object, best_segments: object) -> None:
    """Raise InvalidInput for what cannot be asked for of entities with segments."""
    if found not in ("documents", "segments"):
        raise InvalidInput(f"found is 'documents' or 'segments', not {found!r}")
    if best_segments is None:
        return
    if isinstance(best_segments, bool) or not isinstance(best_segments, int) or best_segments < 1:
        raise InvalidInput(f"best_segments is a number from 1, or None for all, not {best_segments!r}")
