"""The workarounds of compat.py about processes: batches, dead workers and parents, stopping, signals."""

import asyncio
import ctypes
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from bentos.skin.settings import GATEWAY_GRACE_S, RUNNER_GRACE_S

log = logging.getLogger("shine.gateway")

CHECK_DELAY_S = 0.5  # how often the parent checks for dead workers; with BentoML's 10 s an outage would last 10 s
RETRY_S = 0.1  # until a batch that could not be begun is tried again: where memory ran out, for example
GATEWAY_WATCHER = "service"  # BentoML's name for the watcher of the entry service
MODEL_WATCHER = "service_SkinModel"
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with_parent() -> None:
    """Have the kernel kill a worker whose parent has died without stopping it, by SIGKILL for example.

    Otherwise the workers keep the port, and no new server can start on it. The signal is set between fork and exec, so
    that no moment is left in which a parent dies unnoticed. It comes when the *thread* dies that started the worker:
    that of the arbiter, which ends last. Can be removed when circus does it.
    """
    import circus.process as process

    popen = process.Popen
    prctl = ctypes.CDLL(None).prctl  # found now: after a fork there is no time for it

    def popen_bound(*args: Any, preexec_fn: Callable[[], None] | None = None, **kwargs: Any) -> Any:
        parent = os.getpid()

        def prepare() -> None:
            if preexec_fn is not None:
                preexec_fn()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before
                os._exit(1)

        return popen(*args, preexec_fn=prepare, **kwargs)

    process.Popen = popen_bound


def send_no_usage_data() -> None:
    """Send no usage data to third parties. BentoML reads the environment once, before this module is imported."""
    from bentoml._internal.utils.analytics import usage_stats

    os.environ["BENTOML_DO_NOT_TRACK"] = "true"  # for the workers
    usage_stats.do_not_track = lambda: True


def dispatch_at_once() -> None:
    """Make a batch of the calls that wait as soon as the batch before has ended; no call waits for others.

    BentoML's dispatcher delays a call for as long as earlier calls had to queue: after one burst each later single
    photo waits, and that wait makes the next one wait. On CPU a larger batch gains nothing. And while a batch is
    processed, it looks a thousand times a second whether that has ended. Can be removed when both can be switched off.
    """
    from bentoml._internal.marshal.dispatcher import CorkDispatcher

    async def dispatch(self: Any) -> None:
        def can_begin() -> bool:
            return bool(self._queue) and not self._sema.is_locked()

        async def process(jobs: tuple[Any, ...]) -> None:
            try:
                await self.outbound_call(jobs)
            finally:
                async with self._wake_event:
                    self._wake_event.notify_all()

        while True:
            try:
                async with self._wake_event:
                    await self._wake_event.wait_for(can_begin)
                jobs = tuple(self._get_inputs())
                self._sema.acquire()  # which the call releases
                try:
                    self._processing = self._loop.create_task(process(jobs))
                except Exception:  # memory has run out
                    self._sema.release()
                    self._queue.extendleft(reversed(jobs))
                    raise
            except Exception:  # without this task no call would ever be answered again
                await asyncio.sleep(RETRY_S)
                log.exception("a batch could not be begun")

    CorkDispatcher.controller = dispatch


def respawn_dead_workers() -> None:
    """Restart a dead worker at once, in a container too.

    bentoml/serving.py sets `respawn=not running_inside_container()`, so that in a container one dead runner stops the
    whole server. Can be removed when respawning can be configured.
    """
    import bentoml._internal.utils.circus as circus_utils
    import bentoml.serving as serving

    create_watcher, create_arbiter = serving.create_watcher, circus_utils.create_standalone_arbiter

    def create_respawning_watcher(*args: Any, **kwargs: Any) -> Any:
        watcher = create_watcher(*args, **kwargs)
        watcher.respawn = True
        watcher.graceful_timeout = GATEWAY_GRACE_S if watcher.name == GATEWAY_WATCHER else RUNNER_GRACE_S
        reap = watcher.reap_process

        def reap_and_log(pid: int, status: int | None = None) -> Any:
            if pid in watcher.processes and not watcher.is_stopping() and not watcher.is_stopped():
                fields = {"worker": watcher.name.removeprefix("service_"), "pid": pid}
                log.error("a worker ended by itself and is started anew", extra={"fields": fields})
            return reap(pid, status)

        watcher.reap_process = reap_and_log
        return watcher

    def create_watchful_arbiter(*args: Any, **kwargs: Any) -> Any:
        return create_arbiter(*args, **{"check_delay": CHECK_DELAY_S, **kwargs})

    serving.create_watcher = create_respawning_watcher
    circus_utils.create_standalone_arbiter = create_watchful_arbiter


def stop_gateway_first() -> None:
    """On SIGTERM, stop the gateway before its runners, which it needs for the requests it has accepted.

    The arbiter stops all workers at once, and BentoML's removes the sockets of the runners even earlier. Can be
    removed when services are stopped in the order of their dependencies.
    """
    from bentoml._internal.utils import circus as circus_utils
    from circus.arbiter import Arbiter

    async def stop_watchers(self: Any, close_output_streams: bool = False, watcher_iter_func: Any = None) -> None:
        watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
        for gateway in (True, False):
            group = [watcher for watcher in watchers if (watcher.name == GATEWAY_WATCHER) is gateway]
            await asyncio.gather(*(watcher._stop(close_output_streams) for watcher in group))
        if self._stopping and hasattr(self, "exit_stack"):
            self.exit_stack.__exit__(None, None, None)

    Arbiter._stop_watchers = stop_watchers
    circus_utils.Arbiter.stop = Arbiter.stop  # without the early end of its exit stack


def stop_when_asked() -> None:
    """Stop on SIGTERM whatever the arbiter is doing; circus drops the signal while it starts or replaces a worker.

    Can be removed when circus keeps it.
    """
    from circus.sighandler import SysHandler

    def stop(self: Any) -> None:
        arbiter = self.controller.arbiter
        if not arbiter._stopping:
            self.controller.loop.add_callback_from_signal(when_free, arbiter.stop)

    SysHandler.quit = stop


async def when_free(command: Callable[[], Awaitable[None]]) -> None:
    """Give the arbiter a command as soon as it has ended the one before."""
    from circus.exc import ConflictError

    while True:
        try:
            await command()
            return
        except ConflictError:
            await asyncio.sleep(0.1)


def keep_control_inside() -> None:
    """Close the arbiter's control ports.

    BentoML lets circus listen for commands and publish events on two TCP ports of loopback, without authentication:
    another user of the host, or another container of the task, can stop workers or run any program as this service.
    The arbiter acts on signals, which need no socket. Can be removed when the endpoints can be switched off.
    """
    from circus.arbiter import Arbiter

    init = Arbiter.__init__

    def init_without_ports(self: Any, *args: Any, **kwargs: Any) -> None:
        inside = {name: f"inproc://{name}-{id(self)}" for name in ("endpoint", "pubsub_endpoint")}
        init(self, *args, **{**kwargs, **inside})

    Arbiter.__init__ = init_without_ports


def reload_weights_on_sighup() -> None:
    """On SIGHUP, let the model runner check for new weights; circus would restart every worker."""
    from circus.sighandler import SysHandler

    def handle_hup(self: Any) -> None:
        for watcher in self.controller.arbiter.iter_watchers():
            if watcher.name == MODEL_WATCHER:
                for process in list(watcher.processes.values()):
                    os.kill(process.pid, signal.SIGHUP)

    SysHandler.handle_hup = handle_hup


def on_sighup(handler: Callable[[], None]) -> None:
    """Call a function on SIGHUP in this worker; ignored outside the main thread, where signals cannot be handled."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, lambda *_: handler())
