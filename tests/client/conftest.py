"""The Python client from its sources, and a service that does what a test tells it to."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.client.scripted import ScriptedService
from tests.server import ROOT

sys.path.insert(0, str(ROOT / "bentos" / "client"))

from shine_client import AsyncShineClient, ShineClient

Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here speaks TLS: the certificates that the environment names are not read for each client, 0.08 s."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def scripted() -> Iterator[ScriptedService]:
    """A service on loopback that answers what it is told to."""
    service = ScriptedService()
    yield service
    service.close()


@pytest.fixture(params=["blocking", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call a method of either client: `ask(url, name of the method, photos, client={…}, **options)`.

    What `analyze_many` gives is a list, of no more items than `first` says.
    """

    def blocking(url: str, method: str, *photos: Any, client: Any = None, first: int | None = None, **kw: Any) -> Any:
        with ShineClient(url, **client or {}) as shine:
            result = getattr(shine, method)(*photos, **kw)
            return list(itertools.islice(result, first)) if isinstance(result, Iterator) else result

    async def coroutine(url: str, method: str, *photos: Any, client: Any, first: int | None, **kw: Any) -> Any:
        async with AsyncShineClient(url, **client or {}) as shine:
            result = getattr(shine, method)(*photos, **kw)
            if not isinstance(result, AsyncIterator):
                return await result
            items: list[Any] = []
            async for item in result:
                items.append(item)
                if len(items) == first:
                    break
            return items

    def run(url: str, method: str, *photos: Any, client: Any = None, first: int | None = None, **kw: Any) -> Any:
        return asyncio.run(coroutine(url, method, *photos, client=client, first=first, **kw))

    return blocking if request.param == "blocking" else run
