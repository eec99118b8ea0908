"""What a run does, step by step: rounds in which the ways take turns, so that a slower machine slows all alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.load import servers
from tests.load.progress import Step
from tests.load.session import CORES, Session
from tests.load.targets import OVERLOAD
from tests.load.ways import InProcess, Tuning, Way
from tests.server import ROOT

CLIENTS = (1, 8, 32)
MAIN_SIDE, OTHER_SIDES = 1080, (640, 4000)  # px, long side: what most apps send, a thumbnail, a phone's own photo
AROUND_S = 1.2  # of a load generator's start and end
SERVERS = ("fastapi", "litserve", "bentoml")  # the peers
IN_PROCESS = ("one_process", "base_one_process", "limit", "batch")
PARTS = ("limit", "service", *SERVERS, "batch", "base", "overload", "start")
TITLES = {
    "one_process": "in process, one thread",
    "limit": "in process, all cores: the limit",
    "batch": "shine batch, all cores",
    "service": "this service",
    "fastapi": "FastAPI",
    "litserve": "LitServe",
    "bentoml": "plain BentoML",
    "base": "this service at BASE",
    "base_one_process": "in process at BASE, one thread",
    "capacity": "this service, its capacity",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a run measures.

    Attributes:
        rounds: with the main photos.
        seconds: of each window.
        other_rounds: with the photos of other sizes.
        other_seconds: of each window with them.
        sides: of photos other than the main ones, px.
        tuning_s: for each tuning of a peer.
        warm_s: before the first round, for each way and set.
        open_s: of each open loop.
        factors: of the capacity, at which open loops run.
        starts: of each service.
        quick: whether one tuning of each way is tried, and peers are not overloaded.
    """

    rounds: int = 3
    seconds: float = 8.0
    other_rounds: int = 2
    other_seconds: float = 6.0
    sides: tuple[int, ...] = OTHER_SIDES
    tuning_s: float = 4.0
    warm_s: float = 2.0
    open_s: float = 12.0
    factors: tuple[float, ...] = (0.5, 0.8, 1.2, OVERLOAD)
    starts: int = 3
    quick: bool = False


FULL = Scale()
QUICK = Scale(
    rounds=1,
    seconds=3.0,
    other_rounds=1,
    other_seconds=3.0,
    sides=(4000,),
    tuning_s=1.5,
    warm_s=1.0,
    open_s=6.0,
    factors=(OVERLOAD,),
    starts=1,
    quick=True,
)


def steps(session: Session, scale: Scale, parts: frozenset[str]) -> list[Step]:
    """All steps of a run.

    Args:
        session: that they are done in.
        scale: how long it measures.
        parts: names of PARTS.
    """
    return [
        *_starts(session, scale, parts),
        *_starting(session, scale, parts),
        *_rounds(session, scale, parts),
        *_overload(session, scale, parts),
    ]


def _starts(session: Session, scale: Scale, parts: frozenset[str]) -> Iterator[Step]:
    if "start" not in parts:
        return
    for number in range(scale.starts):
        yield Step(f"start of the service, {number + 1}", 5, partial(session.start_times, "service"))
        if session.base is not None and "base" in parts:
            begin = partial(session.start_times, "base", session.base.folder)
            yield Step(f"start of the service at BASE, {number + 1}", 5, begin)


def _starting(session: Session, scale: Scale, parts: frozenset[str]) -> Iterator[Step]:
    """Start all ways, each peer with its best tuning, and let them warm up."""
    folder, quick = session.folder, scale.quick

    def begin_limit(tuning: Tuning) -> InProcess:
        return InProcess(ROOT, tuning, folder)

    def one_process() -> None:
        session.start_in_process("one_process", ROOT)
        session.expect()

    yield Step("in process, one thread: what every way must answer", 8, one_process)
    if "base" in parts and session.base is not None:
        source = session.base.folder
        yield Step("in process at BASE", 3, partial(session.start_in_process, "base_one_process", source))
        yield Step("the service at BASE starts", 6, partial(session.start_service, "base", source))
    if parts & {"service", "overload"}:
        yield Step("the service starts", 6, partial(session.start_service, "service", ROOT))
    if "limit" in parts:
        yield _tuning(session, scale, "limit", begin_limit, servers.limit_tunings(quick), 2)
    if "batch" in parts:
        program = partial(InProcess, ROOT, Tuning({"processes": CORES}), folder, "batch_peer.py")
        yield Step("shine batch starts", 6, partial(session.start, "batch", program))
    if "fastapi" in parts:
        begin = partial(servers.fastapi, folder)
        yield _tuning(session, scale, "fastapi", begin, servers.fastapi_tunings(quick), 5)
    if "litserve" in parts:
        begin = partial(servers.litserve, folder)
        yield _tuning(session, scale, "litserve", begin, servers.litserve_tunings(quick), 8)
    if "bentoml" in parts:
        begin_plain = partial(servers.plain_bentoml, folder, Tuning({"workers": servers.BENTOML_WORKERS}))
        yield Step("plain BentoML starts", 8, lambda: session.start("bentoml", begin_plain))
    yield Step("nothing is sent", 2, session.idle)


def _tuning(
    session: Session, scale: Scale, name: str, begin: Callable[[Tuning], Way], tunings: list[Tuning], start_s: float
) -> Step:
    seconds = len(tunings) * (start_s + scale.tuning_s + AROUND_S)
    title = f"{TITLES[name]}: the best of {len(tunings)} tuning{'s' if len(tunings) > 1 else ''}"
    return Step(title, seconds, partial(session.tune, name, begin, tunings, scale.tuning_s))


def _rounds(session: Session, scale: Scale, parts: frozenset[str]) -> Iterator[Step]:
    others = [photos for photos in session.sets if photos != session.main]
    for photos in session.sets:
        for name in _all(session, parts):
            if name != "batch" or photos == session.main:
                yield _window(session, name, photos, 8, -1, scale.warm_s)
    for number in range(scale.rounds):
        for clients in CLIENTS:
            for name in _at(session, parts, clients):
                yield _window(session, name, session.main, clients, number, scale.seconds)
        if number < scale.other_rounds:
            for photos in others:
                for name in _at(session, parts, 8):
                    if name != "batch":  # it is compared with the limit, whatever the photos are
                        yield _window(session, name, photos, 8, number, scale.other_seconds)


def _window(session: Session, name: str, photos: str, clients: int, number: int, seconds: float) -> Step:
    kept = number >= 0
    when = f"round {number + 1}" if kept else "warming up"
    what = f"{clients} client{'s' if clients > 1 else ''}" if name not in IN_PROCESS else "calls"
    title = f"{TITLES[name]}, photos {photos}, {what}, {when}"
    do = partial(session.measure, name, photos, clients, max(number, 0), seconds, keep=kept)
    return Step(title, seconds + AROUND_S, do)


def _all(session: Session, parts: frozenset[str]) -> list[str]:
    with_base = ["base_one_process", "base"] if session.base is not None and "base" in parts else []
    names = ["one_process", *with_base[:1], "limit", "batch", "service", *SERVERS, *with_base[1:]]
    return [name for name in names if name in parts or name in ("one_process", *with_base)]


def _at(session: Session, parts: frozenset[str], clients: int) -> list[str]:
    """The ways that take turns at so many clients; calls in process beside those that they are compared with."""
    once = {"base_one_process", "batch"}  # at 8 clients alone: they have none
    left_out = {1: {"limit", *once}, 8: set[str](), 32: {"one_process", *once}}[clients]
    return [name for name in _all(session, parts) if name not in left_out]


def _overload(session: Session, scale: Scale, parts: frozenset[str]) -> Iterator[Step]:
    if "overload" not in parts:
        return
    seconds = scale.open_s
    for busy in (False, True):
        where = " with one core busy" if busy else ""
        capacity = Step(
            f"capacity of the service{where}",
            scale.seconds + AROUND_S,
            partial(session.capacity, 0, scale.seconds, busy=busy),
        )
        yield capacity
        for number, factor in enumerate((OVERLOAD,) if busy else scale.factors):
            do = partial(session.overload, "service", factor, number, seconds, busy=busy)
            yield Step(f"the service at {factor:g} × capacity{where}", seconds + 4, do)
        if not scale.quick:
            after = partial(session.capacity, 1, scale.seconds, busy=busy)
            yield Step(f"{capacity.title}, again", scale.seconds + AROUND_S, after)
    for name in SERVERS if not scale.quick else ():
        if name in parts:
            do = partial(session.overload, name, OVERLOAD, 0, seconds)
            yield Step(f"{TITLES[name]} at {OVERLOAD:g} × capacity of the service", seconds + 4, do)
            yield Step(f"{TITLES[name]} stops", 2, partial(session.stop, name))  # with what it still has to do
