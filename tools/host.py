"""A real ComfyUI as a process of ours, with this pack as its only custom node, and a client for its API.

Standard library alone. The host keeps everything it writes in a base directory, never in its own tree or in the clone.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.environment import ROOT, Environment

PACK = "StereoSync"
FOLDERS = ["custom_nodes", "input", "output", "temp", "user/default", "models"]
# The first-run tour and news of releases would lie over the canvas.
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Notification.ShowVersionUpdates": False}


class HostError(RuntimeError):
    """The host did not start, stopped by itself, or refused a prompt."""


@dataclass
class Result:
    """What became of a queued prompt."""

    status: str
    outputs: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def message(self, kind: str) -> dict[str, Any] | None:
        return next((data for name, data in self.messages if name == kind), None)

    @property
    def error(self) -> str | None:
        """The one text that the user sees, or None."""
        data = self.message("execution_error")
        return None if data is None else str(data["exception_message"]).strip()

    @property
    def interrupted(self) -> bool:
        return self.message("execution_interrupted") is not None

    @property
    def cached(self) -> set[str]:
        """Ids of the nodes that did not run because nothing had changed."""
        return set((self.message("execution_cached") or {}).get("nodes", []))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_gpu(python: Path) -> bool:
    """Whether ComfyUI can compute on something else than the processor: a driver is there and torch was built for it."""
    if sys.platform != "darwin" and shutil.which("nvidia-smi") is None:
        return False
    question = "import torch; print(torch.cuda.is_available() or torch.backends.mps.is_available())"
    answer = subprocess.run([str(python), "-c", question], capture_output=True, text=True)
    return answer.stdout.strip() == "True"


def link_folder(link: Path, target: Path) -> None:
    """Makes ``link`` show the folder ``target``: a symbolic link, on Windows else a junction, else a copy."""
    if link.is_symlink() or link.exists():
        if link.resolve() == target.resolve():
            return
        try:
            os.unlink(link)  # takes a link or a junction away, never what it shows
        except OSError:
            shutil.rmtree(link)
    try:
        link.symlink_to(target, target_is_directory=True)
        return
    except OSError:
        pass
    made = subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(target)], capture_output=True)
    if made.returncode != 0:
        shutil.copytree(target, link, ignore=shutil.ignore_patterns(".git", ".venv", ".host", "build"))


class Host:
    """Starts ComfyUI when entered, stops it when left.

    :param environment: interpreter and ComfyUI folder.
    :param base: folder for inputs, outputs and settings; a scratch one, removed afterwards, when left out.
    :param port: any free one when left out.
    :param packs: further custom-node folders to link, for tests.
    :param arguments: passed on to ComfyUI's ``main.py``.
    :param show_log: leave its log on the terminal instead of in ``host.log``.
    """

    def __init__(
        self,
        environment: Environment,
        base: Path | None = None,
        port: int | None = None,
        packs: list[Path] | None = None,
        arguments: list[str] | None = None,
        show_log: bool = False,
    ):
        self.environment = environment
        self.port = port or free_port()
        self.packs = {PACK: ROOT, **{path.name: path for path in packs or []}}
        self.arguments = arguments or []
        self.show_log = show_log
        self._scratch = None if base else tempfile.TemporaryDirectory(prefix="stereosync-host-", ignore_cleanup_errors=True)
        self.base = Path(base or self._scratch.name).resolve()  # type: ignore[union-attr]
        self.log = self.base / "host.log"
        self.client = uuid.uuid4().hex
        self._process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Host:
        self.prepare_folders()
        command = [self.environment.python, "-u", self.environment.comfyui / "main.py", "--port", self.port]
        command += ["--base-directory", self.base, "--disable-auto-launch"]
        command += ["--database-url", f"sqlite:///{(self.base / 'user' / 'comfyui.db').as_posix()}", *self.arguments]
        if not has_gpu(self.environment.python):
            command.append("--cpu")
        environ = {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.base,
                stdout=None if self.show_log else log,
                stderr=None if self.show_log else subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environ,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._scratch is not None:
            self._scratch.cleanup()

    def prepare_folders(self) -> None:
        """Base directory with our packs as its only custom nodes; a user's settings there are kept."""
        for name in FOLDERS:
            (self.base / name).mkdir(parents=True, exist_ok=True)
        for name, target in self.packs.items():
            link_folder(self.base / "custom_nodes" / name, target)
        settings = self.base / "user" / "default" / "comfy.settings.json"
        if not settings.exists():
            settings.write_text(json.dumps(SETTINGS, indent=1), encoding="utf-8")

    def _wait_until_ready(self, seconds: float = 600.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._check_alive()
            try:
                self.object_info()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.25)
        raise HostError(f"ComfyUI did not answer within {seconds:.0f} s.\n{self.log_tail()}")

    def _check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise HostError(f"ComfyUI stopped by itself. The end of its log:\n{self.log_tail()}")

    def log_tail(self, lines: int = 40) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def join(self) -> int:
        """Waits until the host stops by itself; its exit status."""
        return 0 if self._process is None else self._process.wait()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Ends the host at once, as a lack of memory would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def request(self, path: str, body: Any = None, timeout: float = 60.0) -> bytes:
        """GET ``path``, or POST ``body`` as JSON (bytes with their own content type: a tuple)."""
        data, headers = None, {}
        if isinstance(body, tuple):
            data, headers = body[0], {"Content-Type": body[1]}
        elif body is not None:
            data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.read()

    def object_info(self) -> dict[str, Any]:
        """Every node's inputs and outputs, by node id."""
        return json.loads(self.request("/object_info"))

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queues an API prompt and returns its id; raises HostError with the host's words where it is refused."""
        try:
            answer = self.request("/prompt", {"prompt": prompt, "client_id": self.client})
        except urllib.error.HTTPError as error:
            raise HostError(refusal(json.loads(error.read()))) from None
        return json.loads(answer)["prompt_id"]

    def wait(self, prompt_id: str, timeout: float = 300.0, progress: Callable[[float], None] | None = None) -> Result:
        """Waits until a prompt has ended, in whatever way; ``progress`` gets the seconds so far, at every look."""
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < timeout:
            self._check_alive()
            entry = json.loads(self.request(f"/history/{prompt_id}")).get(prompt_id)
            if entry is not None:
                status = entry["status"]
                return Result(status["status_str"], entry["outputs"], [tuple(item) for item in status["messages"]])
            if progress is not None:
                progress(elapsed)
            time.sleep(0.1)
        raise HostError(f"The prompt did not end within {timeout:.0f} s.\n{self.log_tail()}")

    def interrupt(self) -> None:
        self.request("/interrupt", {})

    def upload(self, path: Path, name: str | None = None) -> str:
        """Puts a file into the input folder, as the upload button does, and returns its name there."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{boundary}\r\n'
        head += f'Content-Disposition: form-data; name="image"; filename="{name or path.name}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        answer = self.request("/upload/image", (body, f"multipart/form-data; boundary={boundary}"))
        return json.loads(answer)["name"]

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """The bytes of a file that a node's output names."""
        query = urllib.parse.urlencode({"filename": filename, "subfolder": subfolder, "type": type})
        return self.request(f"/view?{query}")

    def path_of(self, saved: dict[str, str]) -> Path:
        """Where a file that a node's output names lies."""
        return self.base / saved["type"] / saved["subfolder"] / saved["filename"]


def follow(host: Host, prompt: dict[str, Any], say: Callable[[str], None]) -> Result:
    """Queues a prompt and prints the nodes that it runs, then how long it has run; returns when it has ended."""
    say("  " + " > ".join(node["_meta"]["title"] for node in prompt.values()))
    due = 5.0

    def progress(elapsed: float) -> None:
        nonlocal due
        if elapsed >= due:
            say(f"  running for {elapsed:.0f} s")
            due *= 1.5

    return host.wait(host.queue(prompt), timeout=1800.0, progress=progress)


def refusal(answer: dict[str, Any]) -> str:
    """The host's reasons for not taking a prompt, in one text."""
    reasons = [str(answer.get("error", {}).get("message", "refused"))]
    for node in answer.get("node_errors", {}).values():
        reasons += [f"{node['class_type']}: {error['message']}: {error['details']}" for error in node["errors"]]
    return "\n".join(reasons)
