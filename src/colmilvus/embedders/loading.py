"""What every loading of a model has in common: errors that say what is wrong, and no noise."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from colmilvus.embedders.hardware import is_out_of_memory
from colmilvus.errors import ColmilvusError, MissingExtra, OutOfMemory, UnusableModel

__all__ = ["LoadReport", "importing", "loading"]

MISSING = re.compile(r"^(\S.*?)\s*\|[^|\n]*MISSING", re.MULTILINE)
"""A line of transformers' report on weights that it did not find; those of like names in several layers share one."""


@contextmanager
def importing(what: str, extra: str) -> Iterator[None]:
    """Import the libraries of an extra in the block, for ``what`` needs them.

    Raises MissingExtra where one is not installed, and UnusableModel where those installed do not fit together.
    """
    _check_torchvision()
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None:  # transformers says by it that a module of its own did not load
            raise UnusableModel(f"{what} cannot be loaded: {error}") from error
        raise MissingExtra(what, extra) from error


def _check_torchvision() -> None:
    """Transformers hides a torchvision that cannot be imported behind the name of the class that it wanted."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision")):
        return
    try:
        import torchvision  # noqa: F401
    except (RuntimeError, ImportError, OSError) as error:
        raise UnusableModel(
            f"torch {version('torch')} and torchvision {version('torchvision')} are builds that do not match: {error}; "
            "install both anew from one place: pip install --force-reinstall torch torchvision"
        ) from error


class LoadReport(logging.Filter):
    """Takes down what transformers logs of the weights that it loads, and keeps it from the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.told += record.getMessage() + "\n"
        return False

    @property
    def missing(self) -> list[str]:
        """The weights that were missing, and are random now; not those of poolers, which no multi-vector comes from."""
        return [name for name in MISSING.findall(self.told) if "pooler" not in name]


@contextmanager
def loading(name: str, device: str) -> Iterator[LoadReport]:
    """Load the model of that name in the block, without a word: that is done whenever a question is asked.

    Raises UnusableModel where its files cannot be read, and OutOfMemory where it does not fit into the device.
    """
    from transformers.utils import logging as transformers_logging

    report, logger = LoadReport(), logging.getLogger("transformers.modeling_utils")
    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    level = logger.level
    logger.setLevel(logging.WARNING)  # whatever is to be shown
    logger.addFilter(report)
    try:
        yield report
    except ColmilvusError:
        raise
    except Exception as error:  # readers of damaged or foreign files raise whatever they stumble over
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if is_out_of_memory(error):
            raise OutOfMemory(
                f"{name} does not fit into the memory of {device!r}: {reason}; try dtype='bfloat16' or a smaller model"
            ) from error
        if "ignore_mismatched_sizes" in reason:  # advice for who loads it by hand
            reason = "the shapes of its weights are not those that its config.json asks for"
        raise UnusableModel(f"{name} cannot be loaded: {reason}") from error
    finally:
        logger.removeFilter(report)
        logger.setLevel(level)
        if had_bars:
            transformers_logging.enable_progress_bar()
