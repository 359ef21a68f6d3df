"""The host's live events, and Stop at a chosen one."""

import json
from collections.abc import Generator
from contextlib import closing
from typing import Any

import websocket

from tools.host import Host, Result


def events(host: Host, timeout: float = 300.0) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """``(type, data)`` of what the host sends to its client: ``executing``, ``progress_state`` and so on.

    The connection is made at the first ``next``.

    :raises websocket.WebSocketTimeoutException: after ``timeout`` seconds of silence.
    """
    url = f"ws://127.0.0.1:{host.port}/ws?clientId={host.client}"
    with closing(websocket.create_connection(url, timeout=timeout)) as connection:
        while True:
            message = connection.recv()
            if isinstance(message, str):  # bytes are preview pictures
                parsed = json.loads(message)
                yield parsed["type"], parsed["data"]


def queue_and_stop_in(host: Host, prompt: dict[str, Any], node: str) -> Result:
    """Queues a prompt and presses Stop when the node reports that a part of its work is done."""
    with closing(events(host)) as stream:
        next(stream)  # the host's greeting: connected, so that no event is missed
        prompt_id = host.queue(prompt)
        try:
            for kind, data in stream:
                if kind == "progress_state" and 0 < data["nodes"].get(node, {}).get("value", 0) < data["nodes"][node]["max"]:
                    break
        finally:  # what was queued must not run into the next test
            host.interrupt()
    return host.wait(prompt_id)
