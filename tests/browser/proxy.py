"""A TCP proxy on loopback that loses connections when a test says so."""

import contextlib
import socket
import threading

from tests.server import free_port

CHUNK = 16_384


class LossyProxy:
    """Passes bytes on to a port; `cut_after` ends the connection over which so many more bytes have been sent.

    Attributes:
        target: port on loopback; None: every connection is closed at once.
        cut_after: bytes from the client after which its connection is lost, once; None: never.
    """

    def __init__(self, target: int) -> None:
        self.target: int | None = target
        self.cut_after: int | None = None
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self.target is None:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        self._pass(client, server, counts=True)

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool = False) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(CHUNK):
                if counts and self._is_cut(len(content)):
                    break
                sink.sendall(content)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _is_cut(self, size: int) -> bool:
        if self.cut_after is None:
            return False
        self.cut_after -= size
        if self.cut_after > 0:
            return False
        self.cut_after = None
        self.lost += 1
        return True

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
