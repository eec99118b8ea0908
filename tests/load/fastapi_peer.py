"""A peer: the same functions behind FastAPI, a pool of threads in each of several workers.

THREADS=1 ONNX_THREADS=1 uvicorn fastapi_peer:app --workers 2 --loop uvloop --http httptools
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fastapi import FastAPI, Response, UploadFile  # type: ignore[import-not-found]  # in the peers' environment alone

if TYPE_CHECKING:
    from tests.load.functions import Functions, keep_freed_memory
else:
    from functions import Functions, keep_freed_memory

keep_freed_memory()
functions = Functions(int(os.environ["ONNX_THREADS"]))
threads = ThreadPoolExecutor(int(os.environ["THREADS"]))
app = FastAPI()


async def analyze(image: UploadFile) -> Response:
    """Findings on one photo: multipart/form-data with the file in `image`."""
    data = await image.read()
    analysis = await asyncio.get_running_loop().run_in_executor(threads, functions.analyze, data)
    return Response(analysis, media_type="application/json")


async def health() -> Response:
    """Whether the process answers."""
    return Response()


app.add_api_route("/analyze", analyze, methods=["POST"])
app.add_api_route("/health", health)
