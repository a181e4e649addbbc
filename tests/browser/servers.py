"""Real JupyterLab and Voila servers, each with a home of its own."""

from __future__ import annotations

import http.cookiejar
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT_S = 90


def chromium_path() -> str:
    """Return Debian's Chromium, which `make test` installs."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("Chromium is missing: apt-get install chromium")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """A server process, its address, its notebooks and the data folder of its kernels."""

    process: subprocess.Popen[bytes]
    url: str
    notebooks: Path
    data_dir: Path
    log: Path

    def shut_kernels_down(self) -> None:
        """End all kernels of a JupyterLab, and what runs in them."""
        cookies = http.cookiejar.CookieJar()
        client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
        # it gives the cookie without which nothing can be deleted
        client.open(self.url, timeout=30).close()
        (xsrf,) = [cookie.value for cookie in cookies if cookie.name == "_xsrf"]
        kernels = f"{self.url.removesuffix('/lab')}/api/kernels"
        with client.open(kernels, timeout=30) as answer:
            found = json.load(answer)
        for kernel in found:
            request = urllib.request.Request(f"{kernels}/{kernel['id']}", method="DELETE")
            request.add_header("X-XSRFToken", str(xsrf))
            client.open(request, timeout=30).close()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(15)


# a port where nobody listens: offline, without a look into the DNS
NO_HUB = "http://127.0.0.1:9"


def _environment(home: Path, data_dir: Path, python: Path, hub_url: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env.update(
        HOME=str(home),
        JUPYTER_CONFIG_DIR=str(home / "config"),
        JUPYTER_DATA_DIR=str(home / "data"),
        JUPYTER_RUNTIME_DIR=str(home / "runtime"),
        IPYTHONDIR=str(home / "ipython"),
        HF_HOME=str(home / "hf"),
        HF_ENDPOINT=hub_url,
        MISTUDIO_DATA_DIR=str(data_dir),
        PATH=f"{python.parent}:{os.environ['PATH']}",
    )
    env.pop("COVERAGE_PROCESS_START", None)
    return env


def _start(
    command: list[str],
    url: str,
    home: Path,
    data_dir: Path,
    cwd: Path,
    hub_url: str = NO_HUB,
    extra_env: Mapping[str, str] | None = None,
) -> Server:
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=_environment(home, data_dir, Path(command[0]), hub_url) | dict(extra_env or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return Server(process, url, cwd, data_dir, log)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"{command[2]} did not start:\n{log.read_text()[-3000:]}")


def _write_busy_notebook(path: Path) -> None:
    """Write the panel's notebook with a cell after it that runs for minutes."""
    notebook = json.loads((REPOSITORY / "notebooks" / "Datasets.ipynb").read_text())
    busy = {**notebook["cells"][-1], "id": "busy", "source": "import time\ntime.sleep(300)"}
    notebook["cells"].append(busy)
    path.write_text(json.dumps(notebook))


def write_notebook(path: Path, data_dir: Path) -> None:
    """Write the panel's notebook with a data folder of its own."""
    notebook = json.loads((REPOSITORY / "notebooks" / "Datasets.ipynb").read_text())
    cell = notebook["cells"][-1]
    set_up = ["import os\n", f"os.environ['MISTUDIO_DATA_DIR'] = {str(data_dir)!r}\n"]
    cell["source"] = set_up + cell["source"]
    path.write_text(json.dumps(notebook))


def start_lab(
    folder: Path, *, python: Path = Path(sys.executable), hub_url: str = NO_HUB
) -> Server:
    """Start JupyterLab on copies of the project's notebooks."""
    return _start_jupyter("jupyterlab", "lab", folder, python, hub_url)


def start_notebook(folder: Path) -> Server:
    """Start Notebook 7 on copies of the project's notebooks."""
    return _start_jupyter("notebook", "tree", folder, Path(sys.executable), NO_HUB)


def _start_jupyter(module: str, at: str, folder: Path, python: Path, hub_url: str) -> Server:
    notebooks = folder / "notebooks"
    shutil.copytree(REPOSITORY / "notebooks", notebooks)
    _write_busy_notebook(notebooks / "Busy.ipynb")
    port = free_port()
    command = [
        str(python), "-m", module, "--no-browser", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--allow-root",
        f"--ServerApp.root_dir={notebooks}", "--expose-app-in-browser",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/{at}"
    return _start(command, url, folder / "home", folder / "datasets", notebooks, hub_url)


def start_voila(
    folder: Path, data_dir: Path, *, extra_env: Mapping[str, str] | None = None
) -> Server:
    """Start Voila as `make voila` does, on a data folder that others write."""
    notebooks = folder / "voila"
    notebooks.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "notebooks", notebooks / "notebooks")
    shutil.copy(REPOSITORY / "voila.json", notebooks)
    port = free_port()
    command = [
        sys.executable, "-m", "voila", "--no-browser", f"--port={port}",
        "notebooks/Datasets.ipynb",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    home = folder / "voila-home"
    return _start(command, url, home, data_dir, notebooks, extra_env=extra_env)
