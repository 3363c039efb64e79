"""Many texts and pictures: put into requests, several of them at once, and the answers back in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedders.cohere.inputs import Input, Picture, Text
from colmilvus.embedders.cohere.pictures import data_uri
from colmilvus.embedders.cohere.refusals import TooLong
from colmilvus.embedders.cohere.service import Service
from colmilvus.errors import UnreadableFile

__all__ = ["Embedded", "embed_all"]

TEXTS_A_CALL = 96

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Embedded:
    """The vector of each input by its place, ``(dim,)``; what could not be read, and which texts were cut."""

    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    unreadable: dict[int, UnreadableFile] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class _Answer:
    """The vectors of one request, ``(places, dim)``, and the places of the texts that were cut."""

    places: list[int]
    vectors: NDArray[np.float32]
    cut: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Batch:
    """Texts, or pictures in data URIs, of one request, and their places among all inputs."""

    places: list[int]
    contents: list[str]
    are_pictures: bool = False


def embed_all(service: Service, inputs: Sequence[Input], input_type: str, at_once: int) -> Embedded:
    """Embed all inputs, so many requests at once. Pictures are opened in this thread, shortly before they are sent."""
    embedded = Embedded()

    def ask(batch: _Batch, given_up: threading.Event) -> _Answer:
        if batch.are_pictures:
            return _Answer(batch.places, service.embed_pictures(batch.contents, input_type, given_up))
        return _embed_texts(service, batch, input_type, given_up)

    batches = _batches(inputs, service.model.pictures_a_call, embedded.unreadable)
    for answer in _at_once(batches, ask, at_once):
        embedded.vectors.update(zip(answer.places, answer.vectors, strict=True))
        embedded.cut.update(answer.cut)
    return embedded


def _batches(inputs: Sequence[Input], pictures_a_call: int, unreadable: dict[int, UnreadableFile]) -> Iterator[_Batch]:
    texts = ((place, _sendable(one.content)) for place, one in enumerate(inputs) if isinstance(one, Text))
    for portion in _portions(texts, TEXTS_A_CALL):
        yield _Batch([place for place, _ in portion], [text for _, text in portion])
    for portion in _portions(_readable(inputs, unreadable), pictures_a_call):
        yield _Batch([place for place, _ in portion], [uri for _, uri in portion], are_pictures=True)


def _sendable(text: str) -> str:
    """The text without halves of characters, which PDFs leave and JSON cannot carry."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _readable(inputs: Sequence[Input], unreadable: dict[int, UnreadableFile]) -> Iterator[tuple[int, str]]:
    for place, one in enumerate(inputs):
        if isinstance(one, Picture):
            try:
                yield place, data_uri(one.content)
            except UnreadableFile as error:
                unreadable[place] = error


def _portions(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while portion := list(islice(source, size)):
        yield portion


def _embed_texts(service: Service, batch: _Batch, input_type: str, given_up: threading.Event) -> _Answer:
    """The vectors of texts; those that are longer than the model reads are cut.

    Cohere does not say which text of a request is too long: halves of it are asked until each is found.
    """
    places, texts = batch.places, batch.contents
    try:
        return _Answer(places, service.embed_texts(texts, input_type, "NONE", given_up))
    except TooLong:
        if given_up.is_set():
            raise
        if len(texts) == 1:
            return _Answer(places, service.embed_texts(texts, input_type, "END", given_up), places)
    middle = len(texts) // 2
    left, right = (
        _embed_texts(service, _Batch(places[half], texts[half]), input_type, given_up)
        for half in (slice(None, middle), slice(middle, None))
    )
    return _Answer(places, np.concatenate([left.vectors, right.vectors]), left.cut + right.cut)


def _at_once(items: Iterable[Item], work: Callable[[Item, threading.Event], Result], most: int) -> list[Result]:
    """What ``work`` makes of each item, in order, of at most so many items at a time; one more is read ahead.

    The first error ends it at once: nothing further begins, and what is on its way is told to give up.
    """
    given_up = threading.Event()
    futures: list[Future[Result]] = []
    running: set[Future[Result]] = set()
    threads = ThreadPoolExecutor(most, "colmilvus-cohere")
    try:
        for item in items:
            running = _settled(running, most - 1)
            futures.append(threads.submit(work, item, given_up))
            running.add(futures[-1])
        _settled(running, 0)
    except BaseException:
        given_up.set()
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()
    return [future.result() for future in futures]


def _settled(running: set[Future[Result]], left: int) -> set[Future[Result]]:
    """Those still running when no more than ``left`` are. Raises the error of the first that fails."""
    while len(running) > left:
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
    return running
