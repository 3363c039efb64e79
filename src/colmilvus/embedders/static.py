"""An embedder that needs no download and no GPU: static word vectors out of the wordllama package."""

from __future__ import annotations

import functools
import logging
import re
import runpy
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedder import Query, SearchMode, Setting, Unreadable
from colmilvus.entity import Entity, Metric, MultiVector
from colmilvus.errors import InvalidQuery, MissingExtra

__all__ = ["StaticEmbedder"]

WINDOW = 20
STEP = 10

# Chinese and Japanese are written without spaces: each of their characters counts as a word.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


class StaticEmbedder:
    """Embeds text with the word vectors that the ``wordllama`` package carries; works offline, on any CPU.

    A page becomes the means of its windows of 20 words, one every 10 words, float32 ``(windows, 256)``, so that a
    sentence is whole in at least one of them if it is short. A query becomes one vector a word, without function words
    and question words unless it has no others. The vectors keep their lengths, at most 1, which say how much a word
    means, and are compared by inner product; the similarities of hits are small therefore, and compare only with one
    another.

    Word vectors know no context: they stand in for a model where none can be had, and suit hybrid search, the
    ``mode`` of this embedder. They are English first, and derive from the token embeddings of a Llama model, whose
    licence may apply to them. Raises MissingExtra without the ``static`` extra.

    >>> StaticEmbedder().embed_queries(["What drove the net sales?"])
    [MultiVector(3 x 256)]
    """

    name: str = "static"
    metric: Metric = "IP"
    mode: SearchMode = "hybrid"
    settings: Mapping[str, Setting]

    def __init__(self) -> None:
        self._tokenizer, self._table = _loaded(_package())
        self._function_words = _function_words()
        self.settings = {
            "model": "l2_supercat",
            "window": WINDOW,
            "step": STEP,
            "wordllama_version": version("wordllama"),
        }

    @property
    def dim(self) -> int:
        return int(self._table.shape[1])

    def embed_entities(self, entities: Sequence[Entity]) -> list[MultiVector | Unreadable]:
        """The windows of each entity's text, or of each of its segments; Unreadable where there are no words."""
        return [self._embed_entity(entity) for entity in entities]

    def embed_queries(self, queries: Sequence[Query]) -> list[MultiVector]:
        """One vector for each different word of each query. Raises InvalidQuery for a picture and for no words."""
        return [MultiVector(self._word_vectors(self._content_words(query))) for query in queries]

    def _embed_entity(self, entity: Entity) -> MultiVector | Unreadable:
        texts = [segment.text for segment in entity.segments] or [entity.text]
        windows = [self._windows(text) for text in texts]
        if not any(map(len, windows)):
            return _unreadable(entity)
        owners = np.repeat(np.arange(len(texts)), [len(rows) for rows in windows])
        return MultiVector(np.concatenate(windows), owners if entity.segments else None)

    def _windows(self, text: str) -> NDArray[np.float32]:
        vectors = self._word_vectors(_words(text))
        starts = range(0, max(len(vectors) - STEP, min(len(vectors), 1)), STEP)
        means = [vectors[start : start + WINDOW].mean(axis=0) for start in starts]
        return np.array(means, dtype=np.float32).reshape(-1, self.dim)

    def _word_vectors(self, words: list[str]) -> NDArray[np.float32]:
        """The mean of the token vectors of each word, ``(words, dim)``."""
        if not words:
            return np.empty((0, self.dim), dtype=np.float32)
        # One encoding of a list runs in this thread; a batch would start threads that complain when a process forks.
        encoding = self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        starts = np.searchsorted(encoding.word_ids, np.arange(len(words)))
        sums = np.add.reduceat(self._table[encoding.ids], starts, axis=0)
        counts = np.diff(starts, append=len(encoding.ids))
        return np.asarray(sums / counts[:, None], dtype=np.float32)

    def _content_words(self, query: Query) -> list[str]:
        if not isinstance(query, str):
            raise InvalidQuery("this embedder reads text; a picture needs a visual model such as ColPali")
        words = list(dict.fromkeys(_words(query)))
        if not words:
            raise InvalidQuery(f"the query holds no words: {query!r}")
        return [word for word in words if word not in self._function_words] or words


def _words(text: str) -> list[str]:
    """The words of a text in lower case; NFKC takes apart the ligatures that PDFs are full of."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _unreadable(entity: Entity) -> Unreadable:
    if entity.image is None:
        return Unreadable("no words in its text")
    return Unreadable(
        "no text layer, and this embedder does not see pictures; a model such as ColPali would read it: "
        "ColPaliEmbedder, with pip install 'colmilvus[colpali]'"
    )


def _at_most_unit_length(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """One factor for all vectors: it changes no ranking, and keeps every similarity within [-1, 1]."""
    return np.asarray(table / np.linalg.norm(table, axis=1).max(), dtype=np.float32)


def _package() -> Path:
    """The folder of the wordllama package. Raises MissingExtra."""
    try:
        with _unconfigured_logging():
            import wordllama
    except ImportError as error:
        raise MissingExtra("the static embedder", "static") from error
    return Path(wordllama.__file__).parent


@functools.cache
def _loaded(package: Path) -> tuple[Any, NDArray[np.float32]]:
    """Tokenizer and token vectors, read once for all embedders of a process: 33 MB, and a sixth of a second."""
    import wordllama

    # Its own search looks for the tokenizer in a folder of another name, and then on the network.
    model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
    return model.tokenizer, _at_most_unit_length(model.embedding)


@contextmanager
def _unconfigured_logging() -> Iterator[None]:
    """Importing wordllama sets up the root logger for the whole program, unless that has a handler already."""
    root, guard = logging.getLogger(), logging.NullHandler()
    root.addHandler(guard)
    try:
        yield
    finally:
        root.removeHandler(guard)


def _function_words() -> frozenset[str]:
    """NLTK's English stop words, question words among them, as the bm25s package carries them."""
    package = find_spec("bm25s")
    if package is None or package.origin is None:
        raise MissingExtra("the static embedder", "static")
    # Importing bm25s starts jax and numba where they are installed: seconds, for one tuple of words.
    lists = runpy.run_path(str(Path(package.origin).with_name("stopwords.py")))
    return frozenset(lists["STOPWORDS_EN_PLUS"])
