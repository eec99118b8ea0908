"""A TCP proxy on loopback that loses connections when a test says so."""

import contextlib
import socket
import threading

from tests.server import free_port

CHUNK = 16_384
CUT_AT = 200_000  # bytes from the client, after which a connection is lost


class LossyProxy:
    """Passes bytes on to a port, and loses connections in the middle of a large request.

    Attributes:
        target: port on loopback; None: every connection is closed at once.
        cuts: connections to lose that send more than CUT_AT bytes. Browsers send again what was lost over a connection
            that they had used before, without a word.
    """

    def __init__(self, target: int) -> None:
        self.target: int | None = target
        self.cuts = 0
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
        self._pass(client, server, may_cut=True)

    def _pass(self, source: socket.socket, sink: socket.socket, may_cut: bool = False) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while content := source.recv(CHUNK):
                sent += len(content)
                if may_cut and self.cuts and sent > CUT_AT:
                    self.cuts -= 1
                    break
                sink.sendall(content)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
