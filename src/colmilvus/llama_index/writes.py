"""How nodes are stored: whole, or as chunks of their documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from llama_index.core.schema import BaseNode

from colmilvus.chunks import Chunks, warn_of_unread
from colmilvus.collection import Collection
from colmilvus.embedder import reads_images
from colmilvus.entity import Entity
from colmilvus.errors import InvalidInput, UnreadableFile, warn
from colmilvus.gathering import group
from colmilvus.llama_index.embedding import NodeEmbedder
from colmilvus.llama_index.nodes import Pictures, begins_at, entity_of, in_sets
from colmilvus.llama_index.pictures import has_picture
from colmilvus.report import AddReport

__all__ = ["NodeWriter"]


@dataclass(frozen=True)
class NodeWriter:
    """Stores nodes in a collection; ``is_grouped`` says whether those of one document are one entity."""

    collection: Collection
    chunks: Chunks
    is_grouped: bool

    def add(self, nodes: Sequence[BaseNode], *, progress: bool) -> list[str]:
        """Store the nodes and return the ids of those that are held, in order."""
        listed, readable = self._readable(nodes)
        entities = in_sets(listed, readable, seen=reads_images(self.collection.embedder))
        _check_once(entities)
        for entity in entities:
            self.collection.check(entity)
        parts = {node.node_id for node in listed if self.is_grouped and node.ref_doc_id and not has_picture(node)}
        whole = [entity for entity in entities if entity.id not in parts]
        chunks = [
            replace(entity, image=None, internal={**entity.internal, **begins_at(node)})
            for node, entity in zip(listed, entities, strict=True)
            if entity.id in parts
        ]
        parents = group(chunks)
        self._check_apart([entity.id for entity in whole], [parent.id for parent in parents])
        store = partial(self._store, progress=progress)
        held = {*self._add_whole(whole, progress), *(self.chunks.add(parents, store) if parents else ())}
        return [entity.id for entity in entities if entity.id in held]

    def _readable(self, nodes: Sequence[BaseNode]) -> tuple[list[BaseNode], list[Entity]]:
        """The nodes whose pictures can be had, with the entities that they become; of others it warns."""
        pictures = Pictures(seen=reads_images(self.collection.embedder), kept=self.collection.keeps_images)
        listed: list[BaseNode] = []
        entities: list[Entity] = []
        for node in nodes:
            try:
                entities.append(entity_of(node, pictures))
                listed.append(node)
            except UnreadableFile as error:
                warn(f"node {node.node_id!r} is not stored: {error}")
        return listed, entities

    def _add_whole(self, entities: Sequence[Entity], progress: bool) -> list[str]:
        if not entities:
            return []
        names = [entity.id for entity in entities]
        self.chunks.check_whole(names)
        report = self._store(entities, progress=progress)
        warn_of_unread(report)
        missing = {problem.id for problem in (*report.unreadable, *report.failed)}
        return [name for name in names if name not in missing]

    def _check_apart(self, whole: Sequence[str], parents: Sequence[str]) -> None:
        for name in set(whole) & set(parents):
            raise InvalidInput(f"{name!r} would be a node of its own and the document of other nodes; leave one out")

    def _store(self, entities: Sequence[Entity], *, progress: bool) -> AddReport:
        embedder = self.collection.embedder
        wrapped = None if embedder is None else NodeEmbedder(embedder)
        return self.collection.add(entities, progress=progress, embedder=wrapped)


def _check_once(entities: Sequence[Entity]) -> None:
    seen: set[str] = set()
    for entity in entities:
        if entity.id in seen:
            raise InvalidInput(f"two nodes have the id {entity.id!r}; give each its own, or leave one out")
        seen.add(entity.id)
