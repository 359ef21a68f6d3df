"""Stable Audio Open 1.0 at full size: stable-audio-tools' loop, ComfyUI's sampler and ours, on the same weights and noise.

Keys: ``exact_vs_stable_audio_tools``, ``exact_vs_host`` - how many times faster a step is with what changes nothing but
rounding, for 2 and 10 s of sound; ``unpacked_vs_stable_audio_tools`` - the same without packed layers;
``fast_vs_stable_audio_tools``, ``fast_vs_exact`` - with guidance in the middle of the way alone and in ``fast_precision``:
bfloat16 where the processor is faster in it; ``max_difference``, ``max_difference_to_host`` - of the latents, over their
largest; ``fast_difference`` - the same of the fast ones; ``seconds_a_step``, ``gigamacs_a_step`` - billions of multiply-adds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from research.equality.reference_packages import ROOT, install, installed, reference_folder
from stereosync_core.errors import StereoSyncError


def measure(quick: bool = False) -> dict[str, Any]:
    """Some ten minutes and 16 GB, in a process of its own; ``quick``: a narrow model without the host.

    :raises StereoSyncError: where the reference's packages cannot be installed.
    """
    try:
        if not installed():
            install()
    except subprocess.CalledProcessError as error:
        raise StereoSyncError("Bench: the packages of requirements-reference.txt cannot be installed.") from error
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(reference_folder()), str(ROOT)])}
    command = [sys.executable, "-m", "research.bench.stable_audio_sampler", *(["--narrow"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])
