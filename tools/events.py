"""The host's event stream: what runs, how far it is. A reading WebSocket client in the standard library (RFC 6455)."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Events:
    """Messages that a ComfyUI host sends to one client: ``executing``, ``progress_state``, ``execution_success`` and so on.

    :param port: of a host on this machine.
    :param client: the name under which prompts are queued; the host sends a prompt's events to its client alone.
    """

    def __init__(self, port: int, client: str, timeout: float = 300.0):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /ws?clientId={client} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._stream = self._socket.makefile("rb")
        status = self._stream.readline()
        if b" 101 " not in status:
            raise ConnectionError(f"the host refused the event stream: {status!r}")
        while self._stream.readline().strip():
            pass

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields ``(type, data)`` until the host closes; raises TimeoutError when nothing comes for ``timeout`` seconds."""
        while True:
            kind, payload = self._frame()
            if kind == CLOSE:
                return
            if kind == PING:
                # A client masks what it sends; a mask of zeros leaves the payload as it is.
                self._socket.sendall(struct.pack("!BB", 0x80 | PONG, 0x80 | len(payload)) + bytes(4) + payload)
            if kind == TEXT:
                message = json.loads(payload)
                yield message["type"], message["data"]

    def _frame(self) -> tuple[int, bytes]:
        """One whole message; parts of a split one are joined. The host never masks."""
        kind, payload, final = 0, b"", False
        while not final:
            first, length = struct.unpack("!BB", self._read(2))
            final = bool(first & 0x80)
            kind = first & 0x0F or kind
            if length == 126:
                (length,) = struct.unpack("!H", self._read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._read(8))
            payload += self._read(length)
        return kind, payload

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise ConnectionError("the host closed the event stream")
        return data
