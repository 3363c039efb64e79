"""Pictures as vision models can take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from colmilvus.embedder import Query, Unreadable
from colmilvus.entity import Entity, ImageLike
from colmilvus.errors import InvalidInput, InvalidQuery, UnreadableFile
from colmilvus.images import open_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["NO_PICTURE", "embed_pictures", "model_picture", "query_picture"]

LONGEST_RATIO = 50
"""Long side by short side. The Qwen processors refuse more than 200, and exceed their own limit of tokens before."""
NO_PICTURE = Unreadable("no picture, and this model reads pictures of pages")

Vectors = TypeVar("Vectors")


def model_picture(image: ImageLike) -> Image.Image:
    """The picture as a reader sees it, RGB; a very long or tall one with white beside it.

    Raises UnreadableFile where it cannot be read.
    """
    from PIL import Image

    picture = open_image(image)
    width, height = picture.size
    wider, higher = max(width, -(-height // LONGEST_RATIO)), max(height, -(-width // LONGEST_RATIO))
    if (wider, higher) == picture.size:
        return picture
    padded = Image.new("RGB", (wider, higher), "white")
    padded.paste(picture)
    return padded


def query_picture(query: Query) -> Image.Image:
    """The picture that is asked with. Raises InvalidQuery where it cannot be read."""
    try:
        return model_picture(query)
    except UnreadableFile as error:
        raise InvalidQuery(f"the picture to ask with cannot be read: {error}") from error
    except InvalidInput as error:
        raise InvalidQuery(f"a query is a text or a picture: {error}") from error


def embed_pictures(
    entities: Sequence[Entity], embed: Callable[[Sequence[Image.Image]], list[Vectors]]
) -> list[Vectors | Unreadable]:
    """What ``embed`` gives for the entities' pictures, in order; Unreadable where there is none or a damaged one.

    Entities with segments are texts, and Unreadable too.
    """
    opened = [_opened(entity) for entity in entities]
    answers = iter(embed([picture for picture in opened if not isinstance(picture, Unreadable)]))
    return [picture if isinstance(picture, Unreadable) else next(answers) for picture in opened]


def _opened(entity: Entity) -> Image.Image | Unreadable:
    if entity.segments:
        return Unreadable("its segments are texts, and this model reads pictures of pages")
    if entity.image is None:
        return NO_PICTURE
    try:
        return model_picture(entity.image)
    except UnreadableFile as error:
        return Unreadable(f"its picture cannot be read: {error.reason}")
