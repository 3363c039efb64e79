"""The inverted file of one vector sub-field: kept in a folder, followed in the background, never needed for an answer.

All of it can be made anew from the vectors, so whatever is damaged is removed and made anew. ``inverted.json`` says
which files belong to it; it is replaced in one step, and what it does not name is removed on opening.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from colmilvus.embedded.inverted.generation import Generation
from colmilvus.embedded.inverted.lists import Damaged, Lists, files_of
from colmilvus.embedded.inverted.quantizer import Quantizer
from colmilvus.embedded.inverted.records import Records

__all__ = ["InvertedFolder"]

FORMAT = 2
MANIFEST = "inverted.json"

logger = logging.getLogger(__name__)


class InvertedFolder:
    """The files of an inverted file, for one writer at a time."""

    def __init__(self, path: Path, kind: str, width: int) -> None:
        self.path = path
        self._kind = kind
        self._width = width

    def open(self, records: Records) -> Generation | None:
        """What was saved, without the parts that do not fit the records any more; None where nothing is of use."""
        try:
            generation, named = self._read()
        except FileNotFoundError:
            generation, named = None, set()
        except (Damaged, OSError, ValueError, KeyError, TypeError, RuntimeError, BadZipFile) as error:
            logger.warning("the inverted file in %s is made anew: %s", self.path, error)
            generation, named = None, set()
        self._sweep(named)
        return None if generation is None else _fitting(generation, records)

    def _read(self) -> tuple[Generation, set[str]]:
        said = json.loads((self.path / MANIFEST).read_text("utf-8"))
        if said["format"] != FORMAT or said["kind"] != self._kind:
            raise Damaged("it was made by another version or for another metric")
        file = self.path / said["name"]
        if zlib.crc32(file.read_bytes()) != said["check"]:
            raise Damaged(f"{file} is not what was written")
        quantizer = Quantizer.load(file)
        if quantizer.width != self._width:
            raise Damaged(f"{file} is for vectors of another dimension")
        parts = tuple(Lists.open(self.path / name, quantizer.shape) for name in said["parts"])
        numbers = (said["trained"], said["records"], said["newest"])
        return Generation(said["name"], quantizer, *numbers, parts), {said["name"], MANIFEST, *_files(said["parts"])}

    def tidy(self, generation: Generation | None) -> None:
        """Remove what a step that failed has left, all but the files of the generation."""
        parts = [] if generation is None else [part.path.name for part in generation.parts]
        self._sweep({MANIFEST, *([] if generation is None else [generation.name]), *_files(parts)})

    def _sweep(self, named: set[str]) -> None:
        for path in self.path.glob("*"):
            if path.name not in named:
                with suppress(OSError):  # tried again at the next opening
                    path.unlink()

    def save_quantizer(self, quantizer: Quantizer) -> str:
        """Write a quantizer to a file of its own, and return the file's name."""
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"{self._free():06d}.quantizer"
        quantizer.save(self.path / name)
        return name

    def free_part(self) -> Path:
        """A path for a new part."""
        return self.path / f"{self._free():06d}.part"

    def _free(self) -> int:
        return 1 + max((int(path.stem) for path in self.path.glob("*") if path.stem.isdecimal()), default=0)

    def commit(self, generation: Generation) -> None:
        """Let this generation be the one that is opened next time, and remove the files of others."""
        check = zlib.crc32((self.path / generation.name).read_bytes())
        parts = [part.path.name for part in generation.parts]
        said = {
            "format": FORMAT,
            "kind": self._kind,
            "name": generation.name,
            "check": check,
            "trained": generation.trained,
            "records": generation.records,
            "newest": generation.newest,
            "parts": parts,
        }
        new = self.path / f"{MANIFEST}.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump(said, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / MANIFEST)
        self._sweep({generation.name, MANIFEST, *_files(parts)})

    def discard(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)


def _files(parts: list[str]) -> set[str]:
    return {path.name for name in parts for path in files_of(Path(name))}


def _fitting(generation: Generation, records: Records) -> Generation:
    parts = tuple(part for part in generation.parts if _fits(part, records))
    fields = (generation.trained, generation.records, generation.newest)
    return Generation(generation.name, generation.quantizer, *fields, parts)


def _fits(part: Lists, records: Records) -> bool:
    """Whether the codes are of the vectors that are stored under these numbers now; gone records do no harm."""
    now: NDArray[np.uint32] = records.checks(part.rows["row"].astype(np.int64))
    return bool(((now == part.rows["check"]) | (now == 0)).all())
