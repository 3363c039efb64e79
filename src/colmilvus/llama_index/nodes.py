"""Between LlamaIndex's nodes and entities: everything that a node has comes back, and its text is stored once."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from pydantic import Field

from colmilvus.entity import Entity, ImageLike, Segment
from colmilvus.errors import InvalidEntity, InvalidInput, warn
from colmilvus.image_store import StoredImage, stored_image
from colmilvus.llama_index.pictures import (
    is_of_page,
    page_document,
    picture_block,
    picture_fields,
    picture_of,
    places,
)

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import BaseContentBlock

__all__ = [
    "DocumentNode",
    "PageNode",
    "Pictures",
    "begins_at",
    "entity_of",
    "in_sets",
    "is_whole",
    "node_of",
    "segment_node",
    "source_hashes",
]

OURS = "llama_index"
"""What nodes keep under this name in ``internal`` is LlamaIndex's, and this adapter's alone."""
BARE = frozenset({"id_", "metadata", "embedding", "text", "text_resource", "image_resource"})
BARE |= {"image", "image_path", "image_url"}
"""Fields that an entity has a place for, and those that are written in a way of their own."""
MEDIA = ("audio_resource", "video_resource")
ELSEWHERE = frozenset({"data", "path", "url", "mimetype"})
"""Where a resource's picture was, before it was kept."""
OURSELVES = frozenset({"class_name", "document", "version", "segments"})
"""Fields of this package's own classes, and what serialisation adds, which are not missed."""


@dataclass(frozen=True)
class Pictures:
    """What becomes of pictures: whether the embedder sees them, and whether the collection keeps them."""

    seen: bool
    kept: bool


class PageNode(ImageNode):
    """A page with its text and its picture, in the file at ``image_path``; both reach a model that sees.

    A picture that is kept in an object store is at ``image_url``, and is fetched when somebody looks at it.

    LlamaIndex's own ImageNode hands over its picture and drops its text. Wherever LlamaIndex asks for text alone, this
    is a TextNode; where it asks for pictures, an ImageNode, and its JSON reads as one. ``segments`` are those that were
    found of it, best first, each with its similarity.
    """

    segments: list[NodeWithScore] = Field(default_factory=list, exclude=True)

    def resolve_image(self) -> str | BytesIO:
        """The picture: the path of its file, or what lies at its address."""
        stored = stored_image(self.image_url or "")
        if stored is None:
            resolved: str | BytesIO = super().resolve_image()
            return resolved
        return BytesIO(stored.read())

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """The metadata and the text, each unless it is blank (models refuse blank blocks), then the picture."""
        texts = (self.get_metadata_str(metadata_mode), self.text)
        return [*(TextBlock(text=text) for text in texts if text.strip()), *picture_block(self)]


class DocumentNode(TextNode):
    """A document that was found by its segments: its text is that of the best of them.

    ``segments`` are these, best first, as nodes with ids, metadata and relationships of their own, each with its
    similarity. Its JSON reads as a TextNode.
    """

    segments: list[NodeWithScore] = Field(default_factory=list, exclude=True)


Kind: TypeAlias = type[BaseNode]
KINDS: Mapping[str, Kind] = {
    kind.__name__: kind for kind in (PageNode, ImageDocument, Document, IndexNode, ImageNode, TextNode, Node)
}
"""What nodes come back as, the more special before the more general."""


def entity_of(node: BaseNode, pictures: Pictures) -> Entity:
    """The entity that a node is stored as.

    Its document is the node's source document (``ref_doc_id``), for a page the file that it is of. Raises InvalidEntity
    for a node whose fields JSON cannot hold, and UnreadableFile for a picture that cannot be had.
    """
    if not isinstance(node, BaseNode):
        raise InvalidInput(f"this takes LlamaIndex's nodes, not {type(node).__name__}")
    image = picture_of(node, fetched=pictures.seen) if pictures.seen or pictures.kept else None
    kept = image is not None and pictures.kept
    return Entity(
        id=node.node_id,
        text=_text_of(node),
        image=image,
        document=_document_of(node),
        metadata=dict(node.metadata),
        internal={OURS: _told(node, is_kept=kept)},
    )


def _text_of(node: BaseNode) -> str:
    if isinstance(node, TextNode):
        return node.text
    resource = node.text_resource if isinstance(node, Node) else None
    return "" if resource is None else resource.text or ""


def _document_of(node: BaseNode) -> str | None:
    own: str | None = getattr(node, "document", None)  # of a page that PageReader has read
    return own or node.ref_doc_id or page_document(node)


def _told(node: BaseNode, *, is_kept: bool) -> dict[str, Any]:
    """What an entity has no place for, as JSON holds it; fields with their defaults are left out."""
    kind = KINDS[PageNode.__name__] if is_of_page(node) else next(k for k in KINDS.values() if isinstance(node, k))
    try:
        fields = node.model_dump(mode="json", exclude={*BARE, *MEDIA, "obj"}, exclude_defaults=True)
        if isinstance(node, IndexNode) and node.obj is not None:
            fields["obj"] = json.loads(json.dumps(node.to_dict()["obj"]))  # as from_dict of every version reads it
    except Exception as error:  # pydantic's and LlamaIndex's own, for what cannot be written
        raise InvalidEntity(f"node {node.node_id!r} cannot be written as JSON: {error}") from error
    own = {name: value for name, value in fields.items() if name in kind.model_fields}
    if lost := sorted(fields.keys() - own.keys() - OURSELVES):
        warn(f"node {node.node_id!r} is kept as {kind.__name__}, which has no {', '.join(lost)}: these are left out")
    if issubclass(kind, Node) and isinstance(node, Node):
        own |= _resources(node, is_kept)
    elif issubclass(kind, ImageNode):
        own |= _places(node, is_kept)
    told: dict[str, Any] = {"kind": kind.__name__, **({"fields": own} if own else {})}
    return told if node.source_node is not None else {**told, "hash": node.hash}


def _places(node: BaseNode, is_kept: bool) -> dict[str, Any]:
    """Where an image node's picture is; of one that is kept, only an address that others can open."""
    data, path, url = places(node)
    if is_kept:
        return {"image_url": url} if _is_web(url) else {}
    named = {"image": data.decode("ascii") if isinstance(data, bytes) else data, "image_path": path, "image_url": url}
    return {name: place for name, place in named.items() if place is not None}


def _resources(node: Node, is_kept: bool) -> dict[str, Any]:
    fields = {name: _written(resource) for name in MEDIA if (resource := getattr(node, name)) is not None}
    if node.text_resource is not None:
        written = _written(node.text_resource)
        has_text = written.pop("text", None) is not None
        fields["text_resource"] = written if has_text else {**written, "text": None}
    if node.image_resource is not None:
        fields["image_resource"] = _written(node.image_resource)
        if is_kept:
            made_anew = {"data", "path", "mimetype"} if _is_web(str(node.image_resource.url)) else ELSEWHERE
            fields["image_resource"] = {k: v for k, v in fields["image_resource"].items() if k not in made_anew}
    return fields


def _written(resource: MediaResource) -> dict[str, Any]:
    """A resource with its data, which LlamaIndex leaves out of JSON."""
    written = resource.model_dump(mode="json", exclude_none=True)
    return written if resource.data is None else {**written, "data": resource.data.decode("ascii")}


def begins_at(node: BaseNode) -> dict[str, int]:
    """Where a chunk begins in its document, for the order of a document's chunks; empty where it does not say."""
    start = getattr(node, "start_char_idx", None)
    return {} if start is None else {"start": start}


def _is_web(url: str | None) -> bool:
    return url is not None and url.startswith(("http://", "https://"))


def node_of(entity: Entity) -> BaseNode:
    """The node that an entity was; of one that LlamaIndex did not store, a PageNode or a TextNode.

    A picture that the collection keeps comes back as the path of the kept one.
    """
    told = entity.internal.get(OURS)
    if not told:
        return _plain(entity)
    return _node(told, entity.id, entity.text, dict(entity.metadata), entity.image, entity.document)


def segment_node(segment: Segment, parent: Entity) -> BaseNode:
    """The node that a segment was; of one that LlamaIndex did not store, a TextNode of its parent."""
    told = segment.internal.get(OURS)
    if told:
        return _node(told, segment.id, segment.text, dict(segment.metadata), None, None)
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=parent.id)}
    return TextNode(
        id_=segment.id,
        text=segment.text,
        metadata=dict(segment.metadata),
        excluded_embed_metadata_keys=list(segment.metadata),
        relationships=source,
    )


def _node(
    told: Mapping[str, Any],
    id: str,
    text: str,
    metadata: dict[str, Any],
    image: ImageLike | None,
    document: str | None,
) -> BaseNode:
    kind = KINDS[told["kind"]]
    fields: dict[str, Any] = {**told.get("fields", {}), "id_": id, "metadata": metadata}
    if issubclass(kind, Node):
        fields |= _read_resources(fields, text, image)
    else:
        fields["text"] = text
        if image is not None:
            fields = {**picture_fields(image), **fields, "image_mimetype": "image/jpeg"}
        if kind is PageNode and document and "relationships" not in fields:
            fields["relationships"] = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return kind.from_dict(fields) if kind is IndexNode else kind(**fields)


def _read_resources(fields: Mapping[str, Any], text: str, image: ImageLike | None) -> dict[str, Any]:
    read: dict[str, Any] = {}
    if (written := fields.get("text_resource")) is not None:
        read["text_resource"] = MediaResource(**{"text": text, **written})
    if image is not None:
        kept: dict[str, Any] = {"url": image.url} if isinstance(image, StoredImage) else {"path": Path(str(image))}
        told = {**kept, **fields.get("image_resource", {}), "mimetype": "image/jpeg"}
        read["image_resource"] = MediaResource(**told)
    return read


def _plain(entity: Entity) -> TextNode:
    fields: dict[str, Any] = {"id_": entity.id, "text": entity.full_text, "metadata": dict(entity.metadata)}
    fields["excluded_embed_metadata_keys"] = list(entity.metadata)  # the text alone was embedded
    if entity.document:
        fields["relationships"] = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=entity.document)}
    return TextNode(**fields) if entity.image is None else PageNode(**fields, **picture_fields(entity.image))


def is_whole(entity: Entity) -> bool:
    """Whether an entity is a document, or a page, of its own, and not a piece of another that has its own id."""
    told = entity.internal.get(OURS)
    if told:
        return "hash" in told
    return entity.document in (None, entity.id, entity.id.rpartition("#")[0])


def source_hashes(entities: Iterable[Entity], documents: Container[str]) -> dict[str, str]:
    """The hash that each document had when its nodes were made, if all of these are held, and no others of it."""
    nodes: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entity in entities:
        name = entity.document if entity.document is not None and entity.document in documents else entity.id
        parts: Sequence[Entity | Segment] = entity.segments or [entity]
        nodes[name] += [part.internal.get(OURS, {}) for part in parts]
    told = {name: _common_hash(parts) for name, parts in nodes.items()}
    return {name: hashed for name, hashed in told.items() if hashed is not None}


def _common_hash(nodes: Sequence[Mapping[str, Any]]) -> str | None:
    hashes = {_source_hash(told) for told in nodes}
    held = Counter(tuple(told.get("set", ())) for told in nodes)
    is_all = any(len(told) == 2 and told[1] == count for told, count in held.items())
    hashed = hashes.pop() if len(hashes) == 1 else None
    return hashed if is_all or "hash" in nodes[0] else None


def _source_hash(told: Mapping[str, Any]) -> str | None:
    written = told.get("fields", {}).get("relationships", {}).get(NodeRelationship.SOURCE.value)
    hashed = written.get("hash") if isinstance(written, dict) else told.get("hash")
    return hashed if isinstance(hashed, str) else None


def in_sets(nodes: Sequence[BaseNode], entities: Sequence[Entity], *, seen: bool) -> list[Entity]:
    """The entities of nodes, each with which of its document's nodes are stored together, and how many.

    So that it can be told later whether all of them are held, or the storing was cut short. What cannot be read does
    not count: what is blank, but for pictures that are ``seen``.
    """
    of_document: defaultdict[str, list[str]] = defaultdict(list)
    for node, entity in zip(nodes, entities, strict=True):
        if node.ref_doc_id is not None and (entity.text.strip() or (seen and entity.image is not None)):
            of_document[node.ref_doc_id].append(node.node_id)
    names = {
        document: sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12] for document, ids in of_document.items()
    }
    return [
        _with(entity, "set", [names[node.ref_doc_id], len(of_document[node.ref_doc_id])])
        if node.ref_doc_id in names
        else entity
        for node, entity in zip(nodes, entities, strict=True)
    ]


def _with(entity: Entity, key: str, value: Any) -> Entity:
    return replace(entity, internal={**entity.internal, OURS: {**entity.internal[OURS], key: value}})
