"""Pictures that are opened once, ahead of whoever looks at them: the embedder, and the store that keeps them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from colmilvus.entity import ImageLike
from colmilvus.errors import ColmilvusError, for_another_thread
from colmilvus.forks import Lock
from colmilvus.images import image_key, open_image

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["AHEAD", "DrawnAhead", "DrawnOnce"]

AHEAD = 16
"""Pictures that are drawn before anybody looks at them; a page at 150 dots an inch takes 7 MB."""
WAKE = 0.1


class DrawnOnce:
    """A picture that keeps what was drawn until it is let go; to whoever looks, a LazyImage like others.

    ``bytes`` is what it takes in memory, 0 until somebody has looked.
    """

    def __init__(self, image: ImageLike) -> None:
        self.looked_at = threading.Event()
        self.bytes = 0
        self._image = image
        self._lock = Lock()
        self._drawn: Image.Image | None = None
        self._is_over = False

    @cached_property
    def key(self) -> str:
        return image_key(self._image)

    def open(self) -> Image.Image:
        """A copy of what was drawn, which is drawn now if it is not. Raises UnreadableFile where it cannot be read."""
        with self._lock:
            drawn = self._drawn or open_image(self._image)
            self._drawn = None if self._is_over else drawn
            self.bytes = 3 * drawn.width * drawn.height
        self.looked_at.set()
        return drawn.copy()

    def draw(self) -> None:
        """Draw the picture for who will look at it, unless somebody has."""
        with self._lock:
            if self._drawn is None and not self._is_over:
                self._drawn = open_image(self._image)

    def let_go(self) -> None:
        """Forget what was drawn: everybody has looked."""
        with self._lock:
            self._drawn, self._is_over = None, True
        self.looked_at.set()


class DrawnAhead:
    """Draws pictures in a thread of its own, in order, a bounded number of them ahead; a context manager."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "colmilvus-drawing")
        self._stopped = threading.Event()
        self._waiting: deque[DrawnOnce] = deque()

    def draw(self, pictures: Iterable[DrawnOnce]) -> None:
        """Draw these after those that were asked for before."""
        for picture in pictures:
            self._thread.submit(for_another_thread(self._draw), picture)

    def _draw(self, picture: DrawnOnce) -> None:
        while len(self._waiting) >= AHEAD and not self._stopped.is_set():
            if self._waiting[0].looked_at.wait(WAKE):
                self._waiting.popleft()
        if self._stopped.is_set():
            return
        try:
            picture.draw()
        except ColmilvusError:
            return  # whoever looks at it meets the same error
        self._waiting.append(picture)

    def __enter__(self) -> DrawnAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.shutdown(cancel_futures=True)
