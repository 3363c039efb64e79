"""What the engine takes from inside Milvus Lite: a new version that changes it must fail here, by name."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from colmilvus.embedded.lite import EngineCollection, EngineDatabase, names
from colmilvus.embedded.servicer import EngineServicer
from colmilvus.errors import Unsupported


def overridden(kind: type, base: type) -> set[str]:
    own = {name for cls in kind.__mro__[: kind.__mro__.index(base)] for name in vars(cls)}
    return {name for name in own if hasattr(base, name) and not name.startswith("__")}


def test_the_installed_version_is_one_that_the_engine_was_built_on() -> None:
    assert version("milvus-lite").startswith("3.2.")
    names.self_test()


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (EngineDatabase, names.MilvusLite),
        (EngineCollection, names.Collection),
        (EngineServicer, names.MilvusServicer),
    ],
)
def test_everything_overridden_is_in_the_self_test(kind: type, base: type) -> None:
    listed = set(names.METHODS[base].split()) | set(names.ATTRIBUTES.get(base, "").split())
    assert overridden(kind, base) - {"AllocTimestamp"} <= listed


@pytest.mark.parametrize("what", ["METHODS", "ATTRIBUTES"])
def test_a_name_that_is_gone_is_told(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        names,
        what,
        {names.Collection: "insert _memtable _gone"} if what == "ATTRIBUTES" else {names.Collection: "_gone"},
    )
    with pytest.raises(
        Unsupported, match=r"milvus-lite lacks .*Collection\._gone.*pip install 'milvus-lite>=3.2.2,<3.3'"
    ):
        names.self_test()


def test_the_folder_layout_of_collections_is_the_known_one(tmp_path: Path) -> None:
    EngineDatabase(tmp_path / "lite").close()
    assert {entry.name for entry in (tmp_path / "lite").iterdir()} >= {"LOCK", "collections"}
    assert (tmp_path / "lite" / "LOCK").is_file()
