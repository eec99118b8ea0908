"""The half of compat.py that is about processes: metrics files, batches, death, order of stopping, signals."""

import asyncio
import atexit
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentos.skin.settings import GATEWAY_GRACE_S, RUNNER_GRACE_S

log = logging.getLogger("shine.gateway")

METRICS_FILE_BYTES = 1 << 20  # prometheus_client's initial size of a metrics file
CHECK_DELAY_S = 0.5  # how often the parent looks for dead workers; BentoML's 10 s would be 10 s of outage
GATEWAY_WATCHER = "service"  # BentoML's name for the watcher of the entry service
MODEL_WATCHER = "service_SkinModel"


def send_no_usage_data() -> None:
    """No usage data to third parties. BentoML asks the environment once, before this module is imported."""
    from bentoml._internal.utils.analytics import usage_stats

    os.environ["BENTOML_DO_NOT_TRACK"] = "true"  # for the workers
    usage_stats.do_not_track = lambda: True


def keep_metrics_apart() -> None:
    """Each server has a folder of its own for its metrics; BentoML's is one a user, wiped by whoever starts next."""
    import bentoml.serving as serving

    def own_folder(*_: Any, **__: Any) -> str:
        folder = tempfile.mkdtemp(prefix="shine-metrics-")
        owner = os.getpid()
        atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
        return folder

    serving.ensure_prometheus_dir = own_folder


def reserve_metric_files() -> None:
    """The blocks of a metrics file are taken when it is made.

    prometheus_client maps sparse files: where the disk fills up later, the first write into a hole kills the process
    by SIGBUS, and each worker started after it. Goes when it reserves them itself.
    """
    from prometheus_client.mmap_dict import MmapedDict

    patched: Any = MmapedDict
    init = patched.__init__

    def reserved(self: Any, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with Path(filename).open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, max(METRICS_FILE_BYTES, file.tell()))
        init(self, filename, read_mode)

    patched.__init__ = reserved


def dispatch_at_once() -> None:
    """A batch is what has queued while the batch before was at work; nobody waits for company.

    BentoML's dispatcher holds a call back for as long as calls had to queue before: one burst teaches it to make each
    later single photo wait, and that waiting teaches it to go on. On CPU a larger batch gains nothing.
    """
    from bentoml._internal.marshal.dispatcher import CorkDispatcher, Optimizer

    refresh = Optimizer.trigger_refresh

    def without_waiting(self: Any) -> None:
        refresh(self)
        self.wait = 0

    async def untrained(*_: Any) -> None:
        """The training holds calls back too."""

    Optimizer.trigger_refresh = without_waiting
    CorkDispatcher.train_optimizer = untrained


def respawn_dead_workers() -> None:
    """A dead worker comes back, at once and in a container too.

    bentoml/serving.py sets `respawn=not running_inside_container()`, so that in a container one dead runner takes the
    whole server down. Goes when respawning can be configured.
    """
    import bentoml._internal.utils.circus as circus_utils
    import bentoml.serving as serving

    create_watcher, create_arbiter = serving.create_watcher, circus_utils.create_standalone_arbiter

    def create_respawning_watcher(*args: Any, **kwargs: Any) -> Any:
        watcher = create_watcher(*args, **kwargs)
        watcher.respawn = True
        watcher.graceful_timeout = GATEWAY_GRACE_S if watcher.name == GATEWAY_WATCHER else RUNNER_GRACE_S
        reap = watcher.reap_process

        def reap_loudly(pid: int, status: int | None = None) -> Any:
            if pid in watcher.processes and not watcher.is_stopping() and not watcher.is_stopped():
                fields = {"worker": watcher.name.removeprefix("service_"), "pid": pid}
                log.error("a worker ended by itself and is started anew", extra={"fields": fields})
            return reap(pid, status)

        watcher.reap_process = reap_loudly
        return watcher

    def create_watchful_arbiter(*args: Any, **kwargs: Any) -> Any:
        return create_arbiter(*args, **{"check_delay": CHECK_DELAY_S, **kwargs})

    serving.create_watcher = create_respawning_watcher
    circus_utils.create_standalone_arbiter = create_watchful_arbiter


def stop_gateway_first() -> None:
    """On SIGTERM the gateway ends before its runners, which it needs for the requests it has accepted.

    The arbiter stops all workers at once, and BentoML's takes the sockets of the runners away even before. Goes when
    they are stopped in the order of their dependencies.
    """
    from bentoml._internal.utils import circus as circus_utils
    from circus.arbiter import Arbiter

    async def stop_watchers(self: Any, close_output_streams: bool = False, watcher_iter_func: Any = None) -> None:
        watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
        for gateway in (True, False):
            chosen = [watcher for watcher in watchers if (watcher.name == GATEWAY_WATCHER) is gateway]
            await asyncio.gather(*(watcher._stop(close_output_streams) for watcher in chosen))
        if self._stopping and hasattr(self, "exit_stack"):
            self.exit_stack.__exit__(None, None, None)

    Arbiter._stop_watchers = stop_watchers
    circus_utils.Arbiter.stop = Arbiter.stop  # without the early end of its exit stack


def keep_control_inside() -> None:
    """Nobody outside of the arbiter's process can command it.

    BentoML has circus listen for commands and publish events on two TCP ports of loopback, without authentication:
    whoever reaches them, another user of the host or another container of the task, stops workers or has any program
    run as this service. The arbiter acts on signals, which need no socket. Goes when the endpoints can be switched off.
    """
    from circus.arbiter import Arbiter

    init = Arbiter.__init__

    def init_without_ports(self: Any, *args: Any, **kwargs: Any) -> None:
        inside = {name: f"inproc://{name}-{id(self)}" for name in ("endpoint", "pubsub_endpoint")}
        init(self, *args, **{**kwargs, **inside})

    Arbiter.__init__ = init_without_ports


def reload_weights_on_sighup() -> None:
    """SIGHUP to the server makes the model runner look for new weights; circus would start every worker anew."""
    from circus.sighandler import SysHandler

    def handle_hup(self: Any) -> None:
        for watcher in self.controller.arbiter.iter_watchers():
            if watcher.name == MODEL_WATCHER:
                for process in list(watcher.processes.values()):
                    os.kill(process.pid, signal.SIGHUP)

    SysHandler.handle_hup = handle_hup


def on_sighup(act: Callable[[], None]) -> None:
    """Do something on SIGHUP in this worker; nothing where signals cannot be taken, as in a thread of a test."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, lambda *_: act())
