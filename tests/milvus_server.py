"""A real Milvus server of 2.3.5, the last whose makers put it on PyPI: it has no arrays of structs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.ports import free_port

SECONDS = 120.0
PROGRAMS = Path(sys.prefix) / "share" / "milvus"  # of the environment that the package is installed in


class MilvusServer:
    """One server with a folder and ports of its own, which can be killed and started again.

    ``settings`` are those that its package has names for, and others by their path in the server's configuration.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._settings = {**settings, "proxy_port": free_port()}
        self._health = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._settings['proxy_port']}"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises RuntimeError where it does not, with the end of its log."""
        etcd = self._folder / "configs" / "etcd.yaml"
        if not etcd.exists():
            self._configure(etcd)
        log = self._folder / "logs" / "stdout.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(PROGRAMS / "bin" / "milvus"), "run", "standalone"],
                cwd=self._folder,
                env={
                    **os.environ,
                    "DEPLOY_MODE": "STANDALONE",
                    "ETCD_CONFIG_PATH": str(etcd),
                    "METRICS_PORT": str(self._health),
                    "MILVUS_RUN_DIR": str(self._folder / "run"),
                    "LD_LIBRARY_PATH": str(PROGRAMS / "bin"),
                    # Its package writes only those settings to a file that its own file has.
                    **{_variable(key): str(value) for key, value in self._settings.items() if "." in key},
                },
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that what it starts can be ended with it
            )
        until = time.monotonic() + SECONDS
        while not _is_well(self._health):
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"Milvus did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def _configure(self, etcd: Path) -> None:
        import milvus

        self._folder.mkdir(parents=True, exist_ok=True)
        config = milvus.MilvusServerConfig(data_dir=str(self._folder))
        ports = {key: free_port() for key in config.configurable_items if key.endswith("_port")}
        config.update(**{**ports, "proxy_port": self._settings["proxy_port"]})
        for key, value in self._settings.items():
            if "." not in key:
                config.configurable_items[key][1] = value
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        with FileLock(PROGRAMS / "lock"):  # 250 MB, which all servers have in common
            milvus._initialize_data_files(str(PROGRAMS))
        config.resolve()
        etcd.write_text(_etcd(self._folder / "data" / "etcd.data", ports["etcd_port"], free_port()), "utf-8")

    def kill(self) -> None:
        """End it, and whatever it started, at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[MilvusServer]:
    """A server that is there until the end of the block, and its data with it; its log and configuration stay."""
    server = MilvusServer(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder / "data", ignore_errors=True)


def _is_well(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return b"OK" in answer.read()
    except OSError:
        return False


def _variable(setting: str) -> str:
    """The variable of the environment that a Milvus server takes a setting from."""
    return setting.replace(".", "_").upper()


def _etcd(folder: Path, clients: int, peers: int) -> str:
    """The configuration of the etcd inside, of which but for that the second on a machine would find its port taken."""
    return "\n".join(
        [
            f"data-dir: {folder}",
            f"listen-client-urls: http://127.0.0.1:{clients}",
            f"advertise-client-urls: http://127.0.0.1:{clients}",
            f"listen-peer-urls: http://127.0.0.1:{peers}",
            f"initial-advertise-peer-urls: http://127.0.0.1:{peers}",
            f"initial-cluster: default=http://127.0.0.1:{peers}",
        ]
    )
