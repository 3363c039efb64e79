"""Checkpoints from folders and from a hub, and what is said where one cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from colmilvus.embedders.checkpoints import Checkpoint, fetch
from colmilvus.errors import UnusableModel
from tests.embedders.hub import Hub, serve_hub

FETCH = """
import json, sys
from colmilvus.embedders.checkpoints import fetch
from colmilvus.errors import UnusableModel
for asked in json.loads(sys.argv[1]):
    try:
        found = fetch(**asked)
        print(json.dumps([found.revision, sorted(path.name for path in found.folder.iterdir()), found.content]))
    except UnusableModel as error:
        print(json.dumps(str(error)))
"""


def fetching(home: Path, asked: list[dict[str, Any]], **environment: str) -> list[Any]:
    """What each call gives in a process of its own, where the hub's library finds another hub and an empty home."""
    done = subprocess.run(
        [sys.executable, "-c", FETCH, json.dumps(asked)],
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model", {"config.json": "{}", "model.safetensors": "weights", "README.md": "read"})


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_a_model_is_fetched_once_and_then_used_without_asking_the_hub(model: Path, tmp_path: Path) -> None:
    newer = write(tmp_path / "newer", {"config.json": "{}", "model.safetensors": "others", "onnx/model.onnx": "x"})
    with serve_hub(Hub({"owner/model": {"main": model, "v2": newer}})) as hub:
        here_only, first, other = fetching(
            tmp_path / "home",
            [
                {"name": "owner/model", "local_files_only": True},
                {"name": "owner/model"},
                {"name": "owner/model", "revision": "v2"},
            ],
            HF_ENDPOINT=hub.address,
        )
        assert here_only == "the model 'owner/model' is not on this machine; without local_files_only it is fetched"
        assert first[:2] == [hub.commit("owner/model", "main"), ["config.json", "model.safetensors"]]
        assert other[:2] == [hub.commit("owner/model", "v2"), ["config.json", "model.safetensors"]]
        assert first[2] != other[2]
        hub.asked.clear()
        again = fetching(
            tmp_path / "home",
            [{"name": "owner/model"}, {"name": "owner/model", "local_files_only": True}],
            HF_ENDPOINT=hub.address,
        )
        assert again == [first, first]
        assert not [path for path in hub.asked if "owner" in path]


def test_what_was_fetched_in_part_is_fetched_again(model: Path, tmp_path: Path) -> None:
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    whole = {"config.json": "{}", "model.safetensors.index.json": index, "model-1.safetensors": "a"}
    folder = write(tmp_path / "sharded", {**whole, "model-2.safetensors": "b"})
    with serve_hub(Hub({"owner/model": {"main": folder}})) as hub:
        (first,) = fetching(tmp_path / "home", [{"name": "owner/model"}], HF_ENDPOINT=hub.address)
        (missing,) = (tmp_path / "home").rglob("snapshots/*/model-2.safetensors")
        missing.unlink()
        (again,) = fetching(tmp_path / "home", [{"name": "owner/model"}], HF_ENDPOINT=hub.address)

    assert again == first
    assert missing.read_text() == "b"
    assert Checkpoint("m", folder, None).is_complete
    assert not Checkpoint("m", write(tmp_path / "part", whole), None).is_complete
    assert model


def test_what_the_hub_refuses_is_told_with_what_to_do(model: Path, tmp_path: Path) -> None:
    hub = Hub({"owner/model": {"main": model}, "owner/gated": {"main": model}}, frozenset({"owner/gated"}))
    with serve_hub(hub):
        told = fetching(
            tmp_path / "home",
            [
                {"name": "owner/nobody"},
                {"name": "owner/model", "revision": "v9"},
                {"name": "owner/gated"},
                {"name": "no name"},
            ],
            HF_ENDPOINT=hub.address,
        )

    assert told == [
        "there is no folder owner/nobody here, and no model 'owner/nobody' on the hub; a private one needs HF_TOKEN",
        "the model 'owner/model' has no revision 'v9' on the hub",
        "the model 'owner/gated' is there, but its owner asks for consent: accept the conditions on its page of the "
        "hub, and set HF_TOKEN to a token of yours",
        "'no name' is neither a folder nor a name on the hub, such as owner/model",
    ]


def test_without_a_network_it_is_told(tmp_path: Path) -> None:
    asked = [{"name": "owner/model"}]
    (unreachable,) = fetching(tmp_path / "home", asked, HF_ENDPOINT="http://127.0.0.1:9")
    (offline,) = fetching(tmp_path / "home", asked, HF_HUB_OFFLINE="1")

    assert unreachable.startswith("the model 'owner/model' is not on this machine, and the hub cannot be reached: ")
    assert (
        offline
        == "the model 'owner/model' is not on this machine, and HF_HUB_OFFLINE is set; without it, it is fetched"
    )


def test_a_proxy_that_forbids_it_is_told(tmp_path: Path) -> None:
    class Forbidding(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{proxy.server_port}"
            (told,) = fetching(
                tmp_path / "home",
                [{"name": "owner/model"}],
                HF_ENDPOINT="https://hub.invalid",
                HTTPS_PROXY=address,
                https_proxy=address,
                NO_PROXY="",
                no_proxy="",
            )
        finally:
            proxy.shutdown()
            thread.join()

    assert told.startswith("the model 'owner/model' ")
    assert "403" in told


@pytest.mark.parametrize("name", ["./nobody", "~/nobody", "/no/such/folder", "a/b/c"])
def test_what_looks_like_a_path_is_not_looked_up_on_the_hub(name: str) -> None:
    with pytest.raises(UnusableModel, match="there is no folder"):
        fetch(name)


def test_the_content_is_the_same_wherever_the_files_lie_and_another_for_other_weights(
    model: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("another text")

    assert fetch(model).content == fetch(tmp_path / "copy").content
    (tmp_path / "copy" / "model.safetensors").write_text("weightz")
    assert fetch(model).content != fetch(tmp_path / "copy").content


def test_the_content_is_that_of_weights_and_settings(model: Path, tmp_path: Path) -> None:
    more = {"onnx/config.json": "{}", "pytorch_model.bin": "the same", "tokenizer.json": "{}", "optimizer.pt": "x"}
    cloned = write(tmp_path / "cloned", {"config.json": "{}", "model.safetensors": "weights", **more})
    other = write(tmp_path / "other", {"config.json": '{"a": 1}', "model.safetensors": "weights"})

    assert fetch(cloned).content == fetch(model).content != fetch(other).content


@pytest.mark.parametrize(
    ("files", "is_complete"),
    [
        ({"model.safetensors": "w"}, True),
        ({"adapter_config.json": "{}", "adapter_model.safetensors": "w"}, True),
        ({"training_args.bin": "x"}, False),
        ({"1_Dense/model.safetensors": "w"}, False),
        ({"model.safetensors": "w"}, False),
        ({"model.safetensors": "w", "1_Dense/model.safetensors": "w"}, True),
        ({"model.safetensors.index.json": '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}'}, False),
    ],
    ids=["whole", "adapter", "training", "no transformer", "no projection", "both", "an index alone"],
)
def test_what_is_on_this_machine_in_part_is_not_complete(
    files: dict[str, str], is_complete: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kinds = {"": "models.Transformer", "1_Dense": "models.Dense", "2_Normalize": "models.Normalize"}
    if request.node.callspec.id in ("no transformer", "no projection", "both"):
        files["modules.json"] = json.dumps([{"path": path, "type": kind} for path, kind in kinds.items()])

    assert fetch(write(tmp_path, {"config.json": "{}", **files})).is_complete is is_complete


def test_of_large_weights_samples_are_read(tmp_path: Path) -> None:
    contents = []
    for name, trained in (("a", 0), ("b", 0), ("c", 1), ("d", 2)):
        (tmp_path / name).mkdir()
        weights = bytearray(40 << 20)
        weights[trained::4096] = bytes([trained]) * len(weights[trained::4096])  # further training changes every weight
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        contents.append(fetch(tmp_path / name).content)

    assert contents[0] == contents[1]
    assert len(set(contents)) == 3


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_configuration_is_named(tmp_path: Path, content: str) -> None:
    write(tmp_path, {"config.json": content})
    with pytest.raises(UnusableModel, match=r"config.json .* fetch the checkpoint again"):
        fetch(tmp_path).read_json("config.json")


def test_a_model_of_the_hub_is_loaded_with_its_base_each_in_its_revision(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    from tests.embedders.checkpoints import add_adapter
    from tests.embedders.test_colpali import warnings_ignored

    with warnings_ignored():
        add_adapter(checkpoint("ColQwen2"), tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "owner/base"
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    empty = write(tmp_path / "empty", {"config.json": "{}"})
    code = (
        "from tests.embedders.torchvision_on_cpu import make_torchvision_importable; make_torchvision_importable()\n"
        "from colmilvus.embedders.colpali import ColPaliEmbedder\n"
        "settings = ColPaliEmbedder('owner/adapter', revision='v2', base_revision='v1').settings\n"
        "print(settings['checkpoint'], settings['revision'], settings['base'], settings['base_revision'])"
    )
    models = {
        "owner/adapter": {"main": empty, "v2": tmp_path / "adapter"},
        "owner/base": {"main": empty, "v1": checkpoint("ColQwen2")},
    }
    with serve_hub(Hub(models)) as hub:
        environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.address}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        commits = [hub.commit("owner/adapter", "v2"), hub.commit("owner/base", "v1")]
    assert done.stdout.split() == ["owner/adapter", commits[0], "owner/base", commits[1]]
