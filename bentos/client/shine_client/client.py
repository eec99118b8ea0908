"""The two clients: the same methods, blocking or as coroutines. What they share is in calls.py."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Literal, ParamSpec, Self, TypeVar

import httpx

from . import calls
from .calls import DEADLINE_S, FATAL, RETRIES, Ask, Call, Include, Layer
from .errors import PhotoUnreadable, ShineError
from .models import Analysis, Health, MlStatus, QualityAnswer, Readiness, Version
from .photo import Photo, photo_bytes, read_all, read_one

P = ParamSpec("P")
T = TypeVar("T")
Require = Literal["model"] | None
CONCURRENCY = 4  # photos at the same time; an instance of the service on two cores answers no more at once
NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)  # calls wait for no other's connection


class _Client:
    """What both clients are given."""

    def __init__(self, url: str, api_key: str | None, deadline: float, retries: int) -> None:
        if retries < 0:
            raise ValueError(f"retries is {retries}; it must be a whole number from 0 on.")
        self._base, self._headers = calls.base_url(url), calls.common_headers(api_key)
        self._deadline, self._retries = calls.checked_deadline(deadline), retries

    def _call(self, ask: Ask[T], deadline: float | None = None, request_id: str | None = None) -> Call[T]:
        return Call(
            ask,
            self._base,
            self._headers,
            deadline=self._deadline if deadline is None else deadline,
            retries=self._retries,
            request_id=request_id,
        )


class ShineClient(_Client):
    """A client of one service. It may be used by several threads at once.

    Every method that asks the service raises a ShineError where it has no answer. `deadline` of a method is that of the
    client unless given: seconds for the whole call, with all its attempts and pauses.

    A photo is the path of a file; its bytes; a binary file object, read from where it stands; a PIL image; or a numpy
    array of uint8, H×W×3 in RGB or H×W. The last two are sent as PNG. Anything else is a TypeError or ValueError, a
    file that cannot be read an OSError. Names of files are not sent.

    Args:
        url: of the service, e.g. http://localhost:5000 or https://example.com/skin
        api_key: where the service wants one; that in the environment's SHINE_API_KEY by default, "" for none.
        deadline: seconds for a call, with all its attempts and pauses.
        retries: at most so many more attempts after a connection failed or was cut, or after 429, 502, 503 or 504. The
            pause is what Retry-After asks for, or grows from 0.25 to 8 s, and has a random part. An attempt that would
            begin after the deadline is not made: the last error is raised at once.
        http: a client to use in place of an own one, for proxies or certificates; it is not closed.

    Raises:
        ValueError: an argument has a value that cannot be.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        deadline: float = DEADLINE_S,
        retries: int = RETRIES,
        http: httpx.Client | None = None,
    ) -> None:
        super().__init__(url, api_key, deadline, retries)
        self._own = http is None
        self._http = http or httpx.Client(limits=NO_LIMITS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._own:
            self._http.close()

    def analyze(
        self,
        photo: Photo,
        *,
        require: Require = None,
        min_confidence: float | None = None,
        include: Include | Iterable[Include] = (),
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> Analysis:
        """Findings on a photo.

        Args:
            photo: see the class.
            require: "model" for an error (ModelUnavailable) in place of findings of heuristics.
            min_confidence: 0..1, of the boxes that are listed; by default where F1 on labelled photos is best.
            include: "outlines" (the face and its zones as polygons), "maps" (heat maps of the concerns), or both.
            request_id: by which the service's log tells of the request; a new one by default.
            deadline: seconds.
        """
        fields = calls.options(require, min_confidence, include)
        return self._ask(calls.analyze(photo_bytes(photo), fields), deadline, request_id)

    def quality(self, photo: Photo, *, request_id: str | None = None, deadline: float | None = None) -> QualityAnswer:
        """How fit a photo is and what would make it so; quick, for nothing is measured on it."""
        return self._ask(calls.quality(photo_bytes(photo)), deadline, request_id)

    def overlay(
        self,
        photo: Photo,
        *,
        layers: Layer | Iterable[Layer] = (),
        legend: bool | None = None,
        width: int | None = None,
        require: Require = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> bytes:
        """The upright photo with findings drawn in, a PNG file.

        Args:
            photo: see the class.
            layers: what is drawn: "boxes", "zones" (both by default), names of concerns for their heat maps.
            legend: whether the findings are written beside or below the photo; they are by default.
            width: of the picture, 64 to 2048 pixels; by default the photo's long side has 1200 to 1600.
            require: as for `analyze`.
            min_confidence: as for `analyze`.
            request_id: as for `analyze`.
            deadline: seconds.
        """
        fields = calls.options(require, min_confidence, (), layers, legend, width)
        return self._ask(calls.overlay(photo_bytes(photo), fields), deadline, request_id)

    def analyze_batch(
        self,
        photos: Iterable[Photo],
        *,
        require: Require = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> list[Analysis | ShineError]:
        """Findings on up to 16 photos by one request, in their order; of a bad photo its error.

        A photo that cannot be read here is a PhotoUnreadable in its place. For more photos see `analyze_many`.
        """
        read = read_all(photos)
        sent = [one for one in read if isinstance(one, bytes)]
        ask = calls.batch(sent, calls.options(require, min_confidence))
        return calls.merged(read, self._ask(ask, deadline, request_id) if sent else [])

    def analyze_many(
        self,
        photos: Iterable[Photo],
        *,
        concurrency: int = CONCURRENCY,
        require: Require = None,
        min_confidence: float | None = None,
        include: Include | Iterable[Include] = (),
        deadline: float | None = None,
    ) -> Iterator[Analysis | ShineError]:
        """Findings on any number of photos, one after the other in their order; of a bad photo its error.

        Args:
            photos: taken and read as they are needed, at most `concurrency` before the result that is next.
            concurrency: photos that are analysed at the same time, each by a request of its own.
            require: as for `analyze`.
            min_confidence: as for `analyze`.
            include: as for `analyze`.
            deadline: seconds for each photo, from when its request begins.

        Raises:
            ShineError: what the service says of every photo: a wrong option or API key; when its turn comes.
        """
        fields = calls.options(require, min_confidence, include)
        return self._in_order(iter(photos), _checked(concurrency), fields, deadline)

    def _in_order(
        self, photos: Iterator[Photo], concurrency: int, fields: Mapping[str, str], deadline: float | None
    ) -> Iterator[Analysis | ShineError]:
        running: deque[Future[Analysis | ShineError]] = deque()
        for photo in photos:
            # It is read at once: who gives it may close its file or fill its array anew when the next is asked for.
            running.append(_started(self._item, read_one(photo), fields, deadline))
            while running and (len(running) == concurrency or running[0].done()):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def _item(
        self, photo: bytes | PhotoUnreadable, fields: Mapping[str, str], deadline: float | None
    ) -> Analysis | ShineError:
        if isinstance(photo, PhotoUnreadable):
            return photo
        try:
            return self._ask(calls.analyze(photo, fields), deadline)
        except ShineError as error:
            return _of_one_photo(error)

    def status(self) -> MlStatus:
        """The whole truth about the model: its state, its accuracy, what happens without it."""
        return self._ask(calls.get("ml/status", MlStatus))

    def version(self) -> Version:
        """What runs there."""
        return self._ask(calls.get("version", Version))

    def health(self) -> Health:
        """Whether the process answers; never depends on the model."""
        return self._ask(calls.get("health", Health))

    def ready(self) -> Readiness:
        """Whether requests are answered as the phase demands; `ready` is false where they are not."""
        return self._ask(calls.get("ready", Readiness, 503))

    def _ask(self, ask: Ask[T], deadline: float | None = None, request_id: str | None = None) -> T:
        call = self._call(ask, deadline, request_id)
        while True:
            try:
                return self._attempt(call)
            except ShineError as error:
                time.sleep(call.pause(error))

    def _attempt(self, call: Call[T]) -> T:
        limits = call.limits()  # httpx's are for each read and write; they get what is left from time to time
        request = self._http.build_request(
            call.method,
            call.url,
            headers=call.headers(),
            content=call.chunks(limits) if call.body else None,
            extensions={"timeout": limits},
        )
        try:
            response = self._http.send(request, stream=True, follow_redirects=False)
            try:
                limits["read"] = call.left()
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    call.left()
            finally:
                response.close()
        except httpx.RequestError as error:
            call.fail(error)
        return call.result(response, bytes(body))


class AsyncShineClient(_Client):
    """ShineClient with coroutines, for asyncio: the same arguments, methods and errors."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        deadline: float = DEADLINE_S,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(url, api_key, deadline, retries)
        self._own = http is None
        self._http = http or httpx.AsyncClient(limits=NO_LIMITS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own:
            await self._http.aclose()

    async def analyze(
        self,
        photo: Photo,
        *,
        require: Require = None,
        min_confidence: float | None = None,
        include: Include | Iterable[Include] = (),
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> Analysis:
        """See ShineClient.analyze."""
        fields = calls.options(require, min_confidence, include)
        content = await asyncio.to_thread(photo_bytes, photo)
        return await self._ask(calls.analyze(content, fields), deadline, request_id)

    async def quality(
        self, photo: Photo, *, request_id: str | None = None, deadline: float | None = None
    ) -> QualityAnswer:
        """See ShineClient.quality."""
        return await self._ask(calls.quality(await asyncio.to_thread(photo_bytes, photo)), deadline, request_id)

    async def overlay(
        self,
        photo: Photo,
        *,
        layers: Layer | Iterable[Layer] = (),
        legend: bool | None = None,
        width: int | None = None,
        require: Require = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> bytes:
        """See ShineClient.overlay."""
        fields = calls.options(require, min_confidence, (), layers, legend, width)
        content = await asyncio.to_thread(photo_bytes, photo)
        return await self._ask(calls.overlay(content, fields), deadline, request_id)

    async def analyze_batch(
        self,
        photos: Iterable[Photo],
        *,
        require: Require = None,
        min_confidence: float | None = None,
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> list[Analysis | ShineError]:
        """See ShineClient.analyze_batch."""
        read = await asyncio.to_thread(read_all, photos)
        sent = [one for one in read if isinstance(one, bytes)]
        ask = calls.batch(sent, calls.options(require, min_confidence))
        return calls.merged(read, await self._ask(ask, deadline, request_id) if sent else [])

    def analyze_many(
        self,
        photos: Iterable[Photo] | AsyncIterable[Photo],
        *,
        concurrency: int = CONCURRENCY,
        require: Require = None,
        min_confidence: float | None = None,
        include: Include | Iterable[Include] = (),
        deadline: float | None = None,
    ) -> AsyncIterator[Analysis | ShineError]:
        """See ShineClient.analyze_many; `photos` may be an async iterable too."""
        fields = calls.options(require, min_confidence, include)
        source = photos if isinstance(photos, AsyncIterable) else _each(iter(photos))
        return self._in_order(source, _checked(concurrency), fields, deadline)

    async def _in_order(
        self, photos: AsyncIterable[Photo], concurrency: int, fields: Mapping[str, str], deadline: float | None
    ) -> AsyncIterator[Analysis | ShineError]:
        running: deque[asyncio.Task[Analysis | ShineError]] = deque()
        try:
            async for photo in photos:
                content = await asyncio.to_thread(read_one, photo)  # before the next is asked for, as in ShineClient
                running.append(asyncio.create_task(self._item(content, fields, deadline)))
                while running and (len(running) == concurrency or running[0].done()):
                    yield await running.popleft()
            while running:
                yield await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _item(
        self, photo: bytes | PhotoUnreadable, fields: Mapping[str, str], deadline: float | None
    ) -> Analysis | ShineError:
        if isinstance(photo, PhotoUnreadable):
            return photo
        try:
            return await self._ask(calls.analyze(photo, fields), deadline)
        except ShineError as error:
            return _of_one_photo(error)

    async def status(self) -> MlStatus:
        """See ShineClient.status."""
        return await self._ask(calls.get("ml/status", MlStatus))

    async def version(self) -> Version:
        """See ShineClient.version."""
        return await self._ask(calls.get("version", Version))

    async def health(self) -> Health:
        """See ShineClient.health."""
        return await self._ask(calls.get("health", Health))

    async def ready(self) -> Readiness:
        """See ShineClient.ready."""
        return await self._ask(calls.get("ready", Readiness, 503))

    async def _ask(self, ask: Ask[T], deadline: float | None = None, request_id: str | None = None) -> T:
        call = self._call(ask, deadline, request_id)
        while True:
            try:
                return await self._attempt(call)
            except ShineError as error:
                await asyncio.sleep(call.pause(error))

    async def _attempt(self, call: Call[T]) -> T:
        request = self._http.build_request(
            call.method,
            call.url,
            headers=call.headers(),
            content=call.body or None,
            extensions={"timeout": call.limits()},
        )
        try:
            async with asyncio.timeout(call.left()):
                response = await self._http.send(request, follow_redirects=False)
        except TimeoutError:
            call.end()
        except httpx.RequestError as error:
            call.fail(error)
        return call.result(response, response.content)


def _started(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """The result to come of a function in a thread of its own.

    Other than those of an executor, the thread keeps no program from ending: a request may be under way when nobody
    wants its answer any more.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, name="shine", daemon=True).start()
    return future


def _checked(concurrency: int) -> int:
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}; it must be a whole number from 1 on.")
    return concurrency


def _of_one_photo(error: ShineError) -> ShineError:
    """An error that says something of one photo alone; others are raised."""
    if error.status in FATAL:
        raise error
    return error


async def _each(photos: Iterator[Photo]) -> AsyncIterator[Photo]:
    for photo in photos:
        yield photo
