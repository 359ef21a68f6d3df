"""The host's live events, and Stop in a chosen node."""

import json
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import websocket

from tools.host import Host, Result

#: Seconds within which Stop has to take effect: a second on a quiet machine.
SOON = 10.0


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


def queue_and_stop_in(host: Host, prompt: dict[str, Any], node: str, after: float = 0.5) -> Result:
    """Queues a prompt, presses Stop so many seconds after the node has begun, and sees that it is this node that stops, soon.

    Progress is not waited for: on a busy machine its first report may come after the last.
    """
    with closing(events(host)) as stream:
        next(stream)  # the host's greeting: connected, so that no event is missed
        prompt_id = host.queue(prompt)
        try:
            ended = ("execution_success", "execution_error")
            kind = next(kind for kind, data in stream if kind in ended or (kind == "executing" and data["node"] == node))
            time.sleep(after)
        finally:  # what was queued must not run into the next test
            host.interrupt()
    pressed = time.monotonic()
    result = host.wait(prompt_id)
    assert kind == "executing", result
    assert result.error is None
    assert (result.message("execution_interrupted") or {}).get("node_id") == node, result.messages
    assert time.monotonic() - pressed < SOON
    return result
