"""The vectors of the benchmark of the engine: three kinds, float32 ``(1030, 128)`` a page, of length 1, made anew.

``text``: contextual token vectors of real text. The documentation of packages (see texts.py), 1,030 tokens a page, goes
through all-MiniLM-L6-v2 in windows of 206 tokens between [CLS] and [SEP]; the last layer's 384 dimensions become the
128 in which the first 100 pages lie best (principal axes, not centred), and each vector gets length 1. The first 1,000
pages are such text. Those after them are of five whole windows each, taken at random from the 1,000, moved together by
a random vector of length 0.2 (another context), and each vector by one of length 0.3. A query is a sentence of at least
20 tokens that the model reads alone, without what stood round it; its first 20 tokens count. Half of the sentences
come from the first 1,000 pages (every fourth from the first 100), half from pages that are held out.

``words``: word vectors with contextual noise. The same tokens by their vectors in the model's table of words, in
the 128 dimensions in which the text's lie best. To each word's vector (length 1) comes the mean of the 11 about it at
length 0.5, a vector of the page at 0.25, and noise at 0.35. Pages after the text's end are of windows of 206 tokens
that begin anywhere in it, with noise of their own. A query is 20 words in a row, letters only, of the same pages as the
sentences', with their own means, and noise at 0.5.

``patches``: like the patches of page images. 618 of a page's 1,030 vectors (60 %) are copies of 200 vectors of
background, which all pages share, with noise at 0.15. The others lie in 24 regions of the page, each about one of 5,000
concepts, of which few are common and most are rare, moved by 0.5 for the region and by 0.45 for each patch. A query is
14 patches of four of a page's regions, with noise at 0.4, and 6 of the background.

The same numbers come out each time: each page has a seed of its own, so that a smaller collection is the beginning of a
larger one. What was made is kept in .benchmarks/vectors (COLMILVUS_BENCHMARKS names another folder): 5.3 GB for
10,000 pages of a kind.

python -m benchmarks.vectors text 2000     makes them now
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.texts import CACHE, SEED, TOKENS_A_PAGE, Tokens, held_out_pages, model_folder, stored_pages, tokenizer
from numpy.typing import NDArray

VECTORS, DIM, QUERY = TOKENS_A_PAGE, 128, 20
KINDS = ("text", "words", "patches")
EMBEDDED = 1000
WINDOW = 206
FITTED = 100
PIECE = 100
BATCH = 20

Vectors = NDArray[np.float32]


def pages(kind: str, count: int) -> Vectors:
    """The first ``count`` pages of a kind, ``(count, 1030, 128)``, mapped from the file that keeps them."""
    mapped: Vectors = np.load(file_of(kind, count), mmap_mode="r")[:count]
    return mapped


def file_of(kind: str, count: int) -> Path:
    """The file that begins with the first ``count`` pages of a kind; it is made if there is none."""
    folder = CACHE / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    kept = sorted((int(path.stem.split("-")[1]), path) for path in folder.glob(f"{kind}-[0-9]*.npy"))
    path = next((path for size, path in kept if size >= count), None)
    if path is None:
        path = folder / f"{kind}-{count}.npy"
        write(path, kind, range(count))
    return path


def queries(kind: str, count: int) -> Vectors:
    """``count`` queries of a kind, ``(count, 20, 128)``; each has a seed of its own. Those of text are kept."""
    if kind != "text":
        return np.stack([QUERIES[kind](number) for number in range(count)])
    path = CACHE / "pieces" / f"queries-{count}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([QUERIES[kind](number) for number in range(count)]))
    kept: Vectors = np.load(path)
    return kept


def write(path: Path, kind: str, numbers: Sequence[int]) -> None:
    """Write the pages of these numbers into one file, ``(pages, 1030, 128)``, one after the other."""
    partial = path.with_name(f"{path.stem}.partial")
    made = np.lib.format.open_memmap(partial, "w+", np.float32, (len(numbers), VECTORS, DIM))
    for place, number in enumerate(numbers):
        made[place] = PAGE[kind](number)
    made.flush()
    partial.replace(path)


def _random(kind: str, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([SEED, KINDS.index(kind), *numbers])


def _unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


def _noise(random: np.random.Generator, count: int, length: float) -> Vectors:
    return np.asarray(random.standard_normal((count, DIM), dtype=np.float32) * np.float32(length / np.sqrt(DIM)))


def _place_of_query(random: np.random.Generator, number: int) -> tuple[Tokens, int]:
    """The pages that a query is taken from, and which of them."""
    if number % 2:
        return held_out_pages(), int(random.integers(len(held_out_pages())))
    return stored_pages(), int(random.integers(100 if number % 4 else 1000))


# Text


def _text_page(number: int) -> Vectors:
    if number < EMBEDDED:
        return np.asarray(_piece(number // PIECE)[number % PIECE])
    random = _random("text", number)
    windows = []
    for _ in range(VECTORS // WINDOW):
        source, place = random.integers(EMBEDDED), random.integers(VECTORS // WINDOW) * WINDOW
        taken = _piece(source // PIECE)[source % PIECE, place : place + WINDOW]
        windows.append(taken + _noise(random, 1, 0.2) + _noise(random, WINDOW, 0.3))
    return _unit(np.concatenate(windows))


@cache
def _piece(number: int) -> Vectors:
    """The vectors of 100 pages, kept in a file of their own, so that embedding goes on where it was stopped."""
    path = CACHE / "pieces" / f"{number}.npy"
    if not path.exists():
        tokens = stored_pages()[number * PIECE : (number + 1) * PIECE]
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, _unit(_contextual(tokens) @ _axes()).reshape(-1, VECTORS, DIM))
        partial.replace(path)
    mapped: Vectors = np.load(path, mmap_mode="r")
    return mapped


@cache
def _axes() -> Vectors:
    """The axes ``(384, 128)`` in which the first pages lie best."""
    path = CACHE / "pieces" / "axes.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, _principal(_contextual(stored_pages()[:FITTED]).reshape(-1, 384)))
    axes: Vectors = np.load(path)
    return axes


def _principal(vectors: Vectors) -> Vectors:
    vectors = vectors.reshape(-1, vectors.shape[-1])
    values, axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    return np.asarray(axes[:, np.argsort(values)[::-1][:DIM]], dtype=np.float32)


def _contextual(tokens: Tokens) -> Vectors:
    """MiniLM's vectors of pages' tokens, ``(pages, 1030, 384)``."""
    windows = tokens.reshape(-1, WINDOW)
    found = [_last_layer(windows[start : start + BATCH]) for start in range(0, len(windows), BATCH)]
    return np.concatenate(found).reshape(len(tokens), VECTORS, -1)


def _last_layer(windows: Tokens) -> Vectors:
    """What the model makes of windows ``(n, tokens)``, without the marks at their ends, ``(n, tokens, 384)``."""
    import torch

    ends = [np.full((len(windows), 1), tokenizer().token_to_id(mark)) for mark in ("[CLS]", "[SEP]")]
    ids = torch.from_numpy(np.hstack([ends[0], windows, ends[1]]).astype(np.int64))
    with torch.inference_mode():
        states = _model()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    inner: Vectors = states[:, 1:-1].numpy()
    return inner


@cache
def _model() -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(str(model_folder()), local_files_only=True).eval()


def _text_query(number: int) -> Vectors:
    random = _random("text", 1 << 30, number)
    while True:
        among, place = _place_of_query(random, number)
        sentences = list(_sentences(among[place]))
        if sentences:
            sentence = sentences[random.integers(len(sentences))]
            return _unit(_last_layer(sentence[None])[0, :QUERY] @ _axes())


def _sentences(page: Tokens) -> Iterator[Tokens]:
    """The runs of 20 to 60 tokens between full stops or question marks; the page's first and last may be torn."""
    stops = np.flatnonzero(np.isin(page, [tokenizer().token_to_id(mark) for mark in ".?!"]))
    for begin, end in itertools.pairwise(stops):
        sentence = page[begin + 1 : end + 1]
        if QUERY <= len(sentence) <= 60 and _is_word()[sentence].mean() > 0.8:
            yield sentence


# Words


@cache
def _words() -> Vectors:
    """The table of words ``(30522, 128)``, of length 1."""
    from safetensors.numpy import load_file

    table = load_file(model_folder() / "model.safetensors")["embeddings.word_embeddings.weight"]
    return _unit(table @ _principal(table[stored_pages()[:FITTED]]))


@cache
def _is_word() -> NDArray[np.bool_]:
    vocabulary = tokenizer().get_vocab()
    is_word = np.zeros(len(vocabulary), dtype=bool)
    is_word[[number for word, number in vocabulary.items() if word.removeprefix("##").isalpha()]] = True
    return is_word


def _in_context(tokens: Tokens) -> Vectors:
    words = _words()[tokens]
    sums = np.cumsum(np.vstack([np.zeros((1, DIM), dtype=np.float32), words]), axis=0, dtype=np.float64)
    place = np.arange(len(words))
    about = sums[np.minimum(place + 6, len(words))] - sums[np.maximum(place - 5, 0)]
    return words + 0.5 * _unit(about)


def _words_page(number: int) -> Vectors:
    random, texts = _random("words", number), stored_pages()
    tokens = texts[number] if number < len(texts) else _windows_anywhere(random, texts.ravel())
    return _unit(_in_context(tokens) + _noise(random, 1, 0.25) + _noise(random, VECTORS, 0.35))


def _windows_anywhere(random: np.random.Generator, text: Tokens) -> Tokens:
    starts = random.integers(len(text) - WINDOW, size=VECTORS // WINDOW)
    return np.concatenate([text[start : start + WINDOW] for start in starts])


def _words_query(number: int) -> Vectors:
    random = _random("words", 1 << 30, number)
    while True:
        among, place = _place_of_query(random, number)
        words = among[place][_is_word()[among[place]]]
        if len(words) > QUERY:
            start = random.integers(len(words) - QUERY)
            return _unit(_in_context(words[start : start + QUERY]) + _noise(random, QUERY, 0.5))


# Patches

BACKGROUND, SHARE, CONCEPTS, REGIONS = 200, 0.6, 5000, 24


@cache
def _background() -> Vectors:
    return _unit(_random("patches", 1 << 29).standard_normal((BACKGROUND, DIM)))


@cache
def _concepts() -> tuple[Vectors, NDArray[np.float64]]:
    """Concepts ``(5000, 128)``, mostly within 32 dimensions, and how often each occurs, summed up."""
    random = _random("patches", 1 << 28)
    shared = _unit(random.standard_normal((CONCEPTS, 32)) @ random.standard_normal((32, DIM)))
    often = 1 / np.arange(1, CONCEPTS + 1) ** 0.8
    return _unit(0.8 * shared + 0.6 * _unit(random.standard_normal((CONCEPTS, DIM)))), np.cumsum(often / often.sum())


def _regions(page: int) -> Vectors:
    random = _random("patches", page, 1)
    concepts, often = _concepts()
    return _unit(concepts[np.searchsorted(often, random.random(REGIONS))] + _noise(random, REGIONS, 0.5))


def _patches_page(number: int) -> Vectors:
    random = _random("patches", number)
    shared = round(SHARE * VECTORS)
    copies = _background()[random.integers(BACKGROUND, size=shared)] + _noise(random, shared, 0.15)
    content = _regions(number)[np.sort(random.integers(REGIONS, size=VECTORS - shared))]
    made = np.concatenate([copies, content + _noise(random, VECTORS - shared, 0.45)])
    return _unit(random.permutation(made))


def _patches_query(number: int) -> Vectors:
    random = _random("patches", 1 << 30, number)
    page = int(random.integers(1000 if number % 2 else 100))
    regions = _regions(page)[random.choice(REGIONS, 4, replace=False)]
    seen = regions[np.arange(14) % 4] + _noise(random, 14, 0.45) + _noise(random, 14, 0.4)
    background = _background()[random.integers(BACKGROUND, size=QUERY - 14)] + _noise(random, QUERY - 14, 0.15)
    return _unit(np.concatenate([seen, background]))


PAGE = {"text": _text_page, "words": _words_page, "patches": _patches_page}
QUERIES = {"text": _text_query, "words": _words_query, "patches": _patches_query}


if __name__ == "__main__":
    print(pages(sys.argv[1], int(sys.argv[2])).shape)
