"""The picture that a node has, in whatever field LlamaIndex keeps it."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from typing import Any

import requests
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.schema import BaseNode, ImageNode, Node
from pydantic import AnyUrl

from colmilvus.entity import ImageLike
from colmilvus.errors import UnreadableFile
from colmilvus.image_store import StoredImage
from colmilvus.images import jpeg
from colmilvus.passages import PIXELS
from colmilvus.pdf import named_picture, page_image

__all__ = ["has_picture", "is_of_page", "page_document", "picture_block", "picture_fields", "picture_of", "places"]

SECONDS = 60
"""How long an address may take to answer, as LlamaIndex has it."""


def picture_of(node: BaseNode, *, fetched: bool) -> ImageLike | None:
    """The node's picture: inline, the page of a file, a file, or, if it is to be ``fetched``, what lies at its address.

    None where it has none. Raises UnreadableFile for a file or an address without one.
    """
    data, path, url = places(node)
    if data:
        return _decoded(data)
    if path:
        return named_picture(path) or Path(path)
    if not url:
        return None
    return named_picture(url) or (_fetched(url) if fetched else None)


def picture_fields(image: ImageLike) -> dict[str, Any]:
    """Where LlamaIndex has a kept picture: the path of a file, or an address."""
    return {"image_url" if isinstance(image, StoredImage) else "image_path": str(image)}


def has_picture(node: BaseNode) -> bool:
    """Whether the node says that it has a picture."""
    return any(places(node))


def is_of_page(node: BaseNode) -> bool:
    """Whether the node's picture is the page of a file, as PageReader names it or carries it along."""
    if page_document(node) is not None:
        return has_picture(node)
    return any(place is not None and page_image(place) is not None for place in places(node)[1:])


def page_document(node: BaseNode) -> str | None:
    """The file that a node is a page of, as PageReader has it, also when it has been JSON since; None for another."""
    own = getattr(node, "document", None)
    if isinstance(own, str) and own:
        return own
    document, _, number = node.node_id.rpartition("#")
    source = str(node.metadata.get("source") or "").replace("\\", "/")
    is_named = bool(document) and f"/{source}".endswith(f"/{document}".replace("\\", "/"))
    return document if is_named and number == str(node.metadata.get("page")) else None


def places(node: BaseNode) -> tuple[str | bytes | None, str | None, str | None]:
    """The picture in base64, its path and its address, each None where the node has none."""
    if isinstance(node, ImageNode):
        return node.image, node.image_path, node.image_url
    resource = node.image_resource if isinstance(node, Node) else None
    if resource is None:
        return None, None, None
    return resource.data, _text(resource.path), _text(resource.url)


def _text(place: object) -> str | None:
    return None if place is None else str(place)


def _decoded(data: str | bytes) -> bytes:
    text = data if isinstance(data, str) else data.decode("ascii")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return b64decode("".join(text.split()), validate=True)
    except (Base64Error, ValueError) as error:
        raise UnreadableFile("its picture", f"is not in base64: {error}") from error


def _fetched(url: str) -> bytes:
    """What lies at the address; LlamaIndex itself would take a page that says "not found" for the picture."""
    try:
        answer = requests.get(url, timeout=SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise UnreadableFile(url, f"the picture cannot be fetched: {error}") from error
    return answer.content


def picture_block(node: BaseNode) -> list[ImageBlock]:
    """The picture as a block for a model; none where there is none, a page of a file is drawn now."""
    data, path, url = places(node)
    mimetype = getattr(node, "image_mimetype", None)
    if data:
        return [ImageBlock(image=_decoded(data), image_mimetype=mimetype)]
    if path and page_image(path) is None:
        return [ImageBlock(path=Path(path), image_mimetype=mimetype)]
    image = picture_of(node, fetched=False)
    if image is not None:
        return [ImageBlock(image=jpeg(image, PIXELS), image_mimetype="image/jpeg")]
    return [ImageBlock(url=AnyUrl(url), image_mimetype=mimetype)] if url else []
