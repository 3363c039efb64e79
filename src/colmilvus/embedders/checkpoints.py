"""The files of a model: a folder on this machine, or what the Hugging Face hub has under a name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from colmilvus.errors import UnusableModel

__all__ = ["NOT_FETCHED", "Checkpoint", "fetch"]

READ_BY_MODELS = ("*.json", "*.jinja", "*.model", "*.txt", "*.metadata", "*.safetensors", "*.bin", "*.pt")
WEIGHTS = (".safetensors", ".bin", ".pt")
SKIPPED = ("*onnx*", "*openvino*", "*.msgpack", "*.h5", "original/*")
NOT_READ = ("generation_config.json", "training_args.bin", "optimizer*", "scheduler*", "rng_state*")
WHOLE_BYTES = 16 << 20
NOT_FETCHED = "; without local_files_only it is fetched"
WITH_WEIGHTS = ("Transformer", "Dense")
SAMPLES = 64
SAMPLE_BYTES = 16 << 10


@dataclass(frozen=True)
class Checkpoint:
    """A model's files in ``folder``; ``name`` is what it was asked for by, ``revision`` the hub's commit or None."""

    name: str
    folder: Path
    revision: str | None

    def read_json(self, filename: str) -> dict[str, Any] | None:
        """What a JSON file of the checkpoint holds, None where it has no such file. Raises UnusableModel if broken."""
        path = self.folder / filename
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UnusableModel(f"{path} is not valid JSON: {error}; fetch the checkpoint again") from error
        if not isinstance(content, dict):
            raise UnusableModel(f"{path} holds no JSON object; fetch the checkpoint again")
        return content

    @cached_property
    def content(self) -> str:
        """A digest of weights and settings that is the same for the same model wherever it lies.

        Tokenizers and weights in a second format count for nothing, for not every library fetches them. Of files of
        more than 16 MiB it reads 64 samples of 16 KiB: weights that were trained further differ in each.
        """
        digest = hashlib.sha256()
        for path in self._deciding():
            size = path.stat().st_size
            digest.update(f"{path.relative_to(self.folder).as_posix()} {size}\n".encode())
            for block in _blocks(path, size):
                digest.update(block)
        return digest.hexdigest()[:32]

    def _files(self) -> list[Path]:
        found = {path for pattern in READ_BY_MODELS for path in self.folder.rglob(pattern) if path.is_file()}
        return sorted(path for path in found if _is_read(path.relative_to(self.folder)))

    def _weights(self) -> list[Path]:
        """Its weights, in each folder in the format that is taken."""
        found = [path for path in self._files() if path.suffix in WEIGHTS]
        safe = {path.parent for path in found if path.suffix == ".safetensors"}
        return [path for path in found if path.suffix == ".safetensors" or path.parent not in safe]

    def _deciding(self) -> list[Path]:
        settings = (
            path for path in self._files() if fnmatch(path.name, "*config*.json") or path.name == "modules.json"
        )
        return sorted([*self._weights(), *settings])

    @property
    def has_weights(self) -> bool:
        return bool(self._weights())

    @property
    def has_model_weights(self) -> bool:
        """Whether there are weights besides those of an adapter."""
        return any(not path.name.startswith("adapter_model") for path in self._weights())

    def _weighted_folders(self) -> set[Path]:
        """Where there must be weights: its own folder, or those of sentence-transformers' modules that have some."""
        try:
            modules = json.loads((self.folder / "modules.json").read_text(encoding="utf-8"))
            kinds = {module["path"]: str(module["type"]).rpartition(".")[2] for module in modules}
        except (OSError, ValueError, TypeError, KeyError):
            return {self.folder}
        return {self.folder / path for path, kind in kinds.items() if kind in WITH_WEIGHTS}

    @property
    def is_complete(self) -> bool:
        """Whether there are weights wherever there must be, and every file of them that an index names."""
        indexes = [self.read_json(path.name) or {} for path in self.folder.glob("*.index.json")]
        named = {name for index in indexes for name in index.get("weight_map", {}).values()}
        filled = {path.parent for path in self._weights()}
        is_filled = bool(filled) and self._weighted_folders() <= filled
        return is_filled and all((self.folder / name).is_file() for name in named)


def _is_read(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    skipped = any(fnmatch(path.as_posix(), pattern) for pattern in SKIPPED)
    return not (hidden or skipped or any(fnmatch(path.name, pattern) for pattern in NOT_READ))


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as content:
        if size <= WHOLE_BYTES:
            yield content.read()
            return
        for sample in range(SAMPLES):
            content.seek((size - SAMPLE_BYTES) * sample // (SAMPLES - 1))
            yield content.read(SAMPLE_BYTES)


def fetch(name: str | Path, *, revision: str | None = None, local_files_only: bool = False) -> Checkpoint:
    """The checkpoint in a folder, or under a name on the hub, which is downloaded unless it is here already.

    What is here is used as it is, and the hub not asked whether there is something newer: the vectors of a collection
    come from one state of a model. ``revision`` is a branch, tag or commit of the hub. Raises UnusableModel where there
    is no such folder, model or revision, where the hub cannot be reached, and with ``local_files_only`` where the model
    is not on this machine.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UnusableModel(f"{name} is a folder, and a folder has no revision {revision!r}; leave it out")
        return Checkpoint(os.path.abspath(folder), folder.resolve(), None)  # noqa: PTH100 - a link keeps its name
    if _is_path(str(name)):
        raise UnusableModel(f"there is no folder {name}; a checkpoint is a folder, or a name on the hub: owner/model")
    here = _on_this_machine(str(name), revision)
    if here is not None and here.is_complete:
        return here
    if local_files_only:
        raise UnusableModel(f"{_asked(str(name), revision)} is not on this machine{NOT_FETCHED}")
    return _from_hub(str(name), revision)


def _is_path(name: str) -> bool:
    return name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name or Path(name).is_absolute()


def _asked(name: str, revision: str | None) -> str:
    return f"the model {name!r}" if revision is None else f"the model {name!r}, revision {revision!r},"


def _on_this_machine(name: str, revision: str | None) -> Checkpoint | None:
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return _snapshot(name, revision, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise UnusableModel(f"{name!r} is neither a folder nor a name on the hub, such as owner/model") from error


def _from_hub(name: str, revision: str | None) -> Checkpoint:
    try:
        return _snapshot(name, revision, local_files_only=False)
    except Exception as error:  # the hub's own are OSErrors, those of the HTTP libraries that it uses are not
        raise UnusableModel(_why_not(name, revision, error)) from error


def _snapshot(name: str, revision: str | None, *, local_files_only: bool) -> Checkpoint:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        name,
        revision=revision,
        local_files_only=local_files_only,
        allow_patterns=list(READ_BY_MODELS),
        ignore_patterns=list(SKIPPED),
    )
    return Checkpoint(name, Path(folder), Path(folder).name)


def _why_not(name: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    asked = _asked(name, revision)
    if isinstance(error, GatedRepoError):
        return (
            f"{asked} is there, but its owner asks for consent: accept the conditions on its page of the hub, and set "
            "HF_TOKEN to a token of yours"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"the model {name!r} has no revision {revision!r} on the hub"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no folder {name} here, and no model {name!r} on the hub; a private one needs HF_TOKEN"
    if constants.HF_HUB_OFFLINE:
        return f"{asked} is not on this machine, and HF_HUB_OFFLINE is set; without it, it is fetched"
    reason = (str(error).strip() or type(error).__name__).partition("\n")[0].removeprefix("Got: ")
    if isinstance(error, LocalEntryNotFoundError):
        return f"{asked} is not on this machine, and the hub cannot be reached: {reason}"
    return f"{asked} cannot be fetched: {reason}"
