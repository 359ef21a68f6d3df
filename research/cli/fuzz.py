"""``fuzz``: seeded damage to a small clip, a tracks file, a depth file and a model's config. Each has to be used, or refused
with one clear error, in bounded time and memory."""

import argparse
import json
from typing import Any

from tqdm import tqdm

from stereosync_core.errors import StereoSyncError

from ..fuzz.runner import run, summary

KINDS = ("clip", "tracks", "depth", "model")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("fuzz", help="damage inputs and see that nothing breaks", description=__doc__)
    parser.set_defaults(run=run_fuzz)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--count", type=int, default=1000, help="inputs of each kind (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input; a number gives the same input again")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run_fuzz(arguments: argparse.Namespace) -> dict[str, Any]:
    unknown = [kind for kind in arguments.kinds if kind not in KINDS]
    if unknown or arguments.count < 1:
        raise StereoSyncError(f"Fuzz: {unknown or arguments.count} cannot be run; give kinds of {', '.join(KINDS)}.")
    numbers = range(arguments.first, arguments.first + arguments.count)
    inputs = [(kind, number) for kind in arguments.kinds or KINDS for number in numbers]
    with tqdm(total=len(inputs), desc="fuzz", disable=None) as bar:
        report = summary(outcome for outcome in run(inputs, lambda _: bar.update()))
    if not arguments.json:
        print(f"{report['inputs']} inputs: {report['ends']}")
        print(f"at most {report['longest_seconds']} s and {report['largest_megabytes']} MB")
        for bad in report["bad"]:
            print(f"{bad['kind']} {bad['number']}: {bad['end']}: {bad['words']}")
    if report["bad"]:
        if arguments.json:
            print(json.dumps(report, indent=1))
        raise StereoSyncError(f"Fuzz: {len(report['bad'])} of {report['inputs']} inputs were neither used nor refused.")
    return report
