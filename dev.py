#!/usr/bin/env python3
"""Everyday commands of StereoSync. Needs nothing but Python 3.10 or newer; sets up what is missing by itself.

python3 dev.py demo     run the main workflow in a real ComfyUI and check the video it makes
python3 dev.py test     run every check: ruff, pyright, unit, host and browser tests (--fast: what takes two minutes)
python3 dev.py serve    open ComfyUI with this pack in the browser
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - checked here because an older Python would only show a syntax error further on
    sys.exit(f"StereoSync needs Python 3.10 or newer; this is {sys.version.split()[0]}. Try python3.12 dev.py demo")

import argparse
import ctypes.util
import json
import os
import signal
import socket
import subprocess
import webbrowser
from pathlib import Path

from tools.environment import ROOT, Environment, find_chromium, install_debian, prepare, say
from tools.host import Host, HostError, follow
from tools.workflow import to_prompt

BASE = ROOT / ".host"
WORKFLOW = "StereoSync bundled model.json"
CLIP = ROOT / "stereosync_core" / "assets" / "stereosync_walking.mp4"
RESULT_NODE = "StereoSyncSoundOntoVideo"


def demo(environment: Environment, _: argparse.Namespace | None, base: Path = BASE, pack: Path | None = None) -> int:
    """Runs the main workflow on the sample clip; the last line is the path of the video."""
    say("starting ComfyUI")
    workflow = (pack or ROOT) / "workflows" / WORKFLOW
    with Host(environment, base, packs=[pack] if pack else []) as host:
        prompt = to_prompt(json.loads(workflow.read_text(encoding="utf-8")), host.object_info())
        say(f"running {WORKFLOW} on {CLIP.name}")
        result = follow(host, prompt, say)
        if result.status != "success":
            say(f"the workflow failed: {result.error or result.status}")
            return 1
        number = next(key for key, node in prompt.items() if node["class_type"] == RESULT_NODE)
        video = host.path_of(result.outputs[number]["images"][0])
    say("checking the result")
    checked = subprocess.run([str(environment.python), "-m", "tests.demo_check", str(CLIP), str(video)], cwd=ROOT)
    print(video, flush=True)
    return checked.returncode


def test(environment: Environment, arguments: argparse.Namespace) -> int:
    """Runs all checks, or pytest alone with the arguments given."""
    python = str(environment.python)
    os.environ["STEREOSYNC_COMFYUI"] = str(environment.comfyui)
    os.environ.setdefault("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")
    chosen = arguments.rest + (["-m", "unit and not slow"] if arguments.fast else [])
    codes = []
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for networks as small as the tests' threads cost more than they bring
    if not arguments.fast:
        subprocess.call([python, "-m", "research.equality.reference_packages"], cwd=ROOT)
    if not chosen:
        if find_chromium(install=True) is None:
            say("no Chromium-like browser was found: the browser tests will fail; install chromium")
        if sys.platform == "linux" and not Path("/usr/share/fonts/truetype/liberation").is_dir():
            install_debian("fonts-liberation")  # the browser's tests measure names by fonts of common widths
        if ctypes.util.find_library("openal") is None:
            install_debian("libopenal1")  # the game engine behind the walking rooms
    if not arguments.rest:
        for name, command in {"ruff": ["ruff", "check", "."], "pyright": ["pyright"]}.items():
            say(name)
            codes.append(subprocess.call([python, "-m", *command], cwd=ROOT))
    say("pytest")
    if not arguments.rest:  # the browser's tests in one process, the host's in another, files of the others where one is free
        chosen += ["-n", str(min(3, os.cpu_count() or 1)), "--dist", "loadscope", "--no-loadscope-reorder"]
    codes.append(subprocess.call([python, "-m", "pytest", *chosen], cwd=ROOT))
    return max(map(abs, codes))


def serve(environment: Environment, arguments: argparse.Namespace) -> int:
    """Runs ComfyUI in the foreground until Ctrl+C."""
    with socket.socket() as attempt:
        if attempt.connect_ex(("127.0.0.1", arguments.port)) == 0:
            say(f"port {arguments.port} is taken, perhaps by another ComfyUI; choose one with --port")
            return 1
    with Host(environment, BASE, arguments.port, show_log=True) as host:
        say(f"ComfyUI is at {host.url} - find the workflows under Templates > StereoSync; Ctrl+C stops it")
        if not arguments.no_browser:
            webbrowser.open(host.url)
        try:
            return host.join()
        except KeyboardInterrupt:
            return 0


def main() -> int:
    parser = argparse.ArgumentParser("dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="{demo,test,serve}")
    for command in (demo, test, serve):
        added = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__, allow_abbrev=False)
        added.set_defaults(command=command, rest=[])
        added.add_argument("--comfyui", type=Path, metavar="PATH", help="a ComfyUI folder of your own, used in place of 0.3.75")
        if command is test:
            added.add_argument("--fast", action="store_true", help="ruff, pyright and the unit tests of two minutes alone")
        if command is serve:
            added.add_argument("--port", type=int, default=8188)
            added.add_argument("--no-browser", action="store_true", help="do not open the browser")
    arguments, rest = parser.parse_known_args()
    if arguments.command is None:
        parser.print_help()
        return 0
    if rest and arguments.command is not test:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    arguments.rest = [part for part in rest if part != "--"]
    # Ended from outside, leave by the way that also ends ComfyUI.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return arguments.command(prepare(arguments.comfyui and arguments.comfyui.resolve()), arguments)
    except HostError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
