"""A peer: the same functions behind LitServe, one at a time in each worker, or in batches.

python tests/load/litserve_peer.py --port 8000 --workers 2
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import litserve  # type: ignore[import-not-found]  # in the peers' environment alone
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from tests.load.functions import Functions, keep_freed_memory
else:
    from functions import Functions, keep_freed_memory


class SkinAnalysis(litserve.LitAPI):
    """One photo after the other.

    Args:
        onnx_threads: of ONNX Runtime, for each call.
        options: of LitAPI.
    """

    def __init__(self, onnx_threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._onnx_threads = onnx_threads

    def setup(self, _device: str) -> None:
        """Load everything, once in each worker."""
        keep_freed_memory()
        self._functions = Functions(self._onnx_threads)

    def decode_request(self, request: Request) -> bytes:
        """The file in `image` of a form: LitServe hands over what the request holds, where it is annotated as one."""
        form: Any = request
        return bytes(form["image"].file.read())

    def predict(self, photo: bytes) -> bytes:
        """Its findings."""
        return self._functions.analyze(photo)

    def encode_response(self, output: bytes) -> Response:
        """The Analysis, which is JSON already."""
        return Response(output, media_type="application/json")


class BatchedSkinAnalysis(SkinAnalysis):
    """Photos that came while others were analysed, together."""

    def predict(self, photos: Sequence[bytes]) -> list[bytes]:  # type: ignore[override]
        """The findings on each."""
        return self._functions.analyze_batch(photos)

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """As they are; LitServe would stack arrays."""
        return inputs

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        """As they are."""
        return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes that analyse photos")
    parser.add_argument("--servers", type=int, default=1, help="processes that speak HTTP")
    parser.add_argument("--batch", type=int, default=1, help="most photos at a time in a worker")
    parser.add_argument("--fast-queue", type=int, default=0, help="1: photos go to the workers by ZeroMQ")
    parser.add_argument("--onnx-threads", type=int, default=1)
    options = parser.parse_args()
    if options.batch > 1:
        api = BatchedSkinAnalysis(
            options.onnx_threads, api_path="/analyze", max_batch_size=options.batch, batch_timeout=0.002
        )
    else:
        api = SkinAnalysis(options.onnx_threads, api_path="/analyze")
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=options.workers,
        fast_queue=bool(options.fast_queue),
        timeout=60,
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        num_api_servers=options.servers,
        generate_client_file=False,
        log_level="warning",
        loop="uvloop",
        http="httptools",
        access_log=False,
    )


if __name__ == "__main__":
    main()
