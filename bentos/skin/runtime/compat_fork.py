"""The workaround of compat.py about the start of workers: they are forked from the parent, which has imported all."""

import atexit
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

WORKER = ["-m", "_bentoml_impl.worker.service"]  # how BentoML's command line of a worker begins, after Python


def fork_workers() -> None:
    """Fork the workers of services from the parent, instead of starting Python anew for each.

    Each would import BentoML, numpy, ONNX Runtime and this package for a second and a half, four of them on the same
    cores, and keep them in memory of its own. After --reload has found changed files, Python is started anew: the
    parent has the old ones. Can be removed when BentoML can preload.
    """
    import circus.process as process

    popen = process.Popen

    def start(args: Sequence[str], **options: Any) -> Any:
        if list(args[:3]) != [sys.executable, *WORKER] or files_changed.is_set():
            return popen(args, **options)
        return ForkedWorker(args, **options)

    process.Popen = start


files_changed = threading.Event()  # set by --reload


class ForkedWorker:
    """A worker process, with what circus uses of psutil.Popen; the rest is psutil.Process's."""

    stdout = stderr = None  # the parent's own

    def __init__(
        self,
        args: Sequence[str],
        *,
        cwd: str,
        env: dict[str, str],
        preexec_fn: Callable[[], None] | None = None,
        close_fds: bool = False,
        **_: Any,
    ) -> None:
        self.returncode: int | None = None
        gc.collect()
        gc.freeze()  # a collection would write into pages that parent and worker share
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _end_after(lambda: _become(args, cwd, env, preexec_fn, close_fds))
        self._process = psutil.Process(self.pid)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs, 0 where somebody else has asked for it."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code.

        Raises:
            psutil.TimeoutExpired: it still runs after `timeout` seconds.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if ends is not None and time.monotonic() > ends:
                raise psutil.TimeoutExpired(timeout, pid=self.pid)
            time.sleep(0.01)
        return code


def _end_after(work: Callable[[], None]) -> None:
    """Do the work of this process, then end it as Python would, without what the parent left to be done at its end."""
    code = os.EX_SOFTWARE
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _become(
    args: Sequence[str], cwd: str, env: dict[str, str], preexec_fn: Callable[[], None] | None, close_fds: bool
) -> None:
    """Be the worker of a command line; what exec(3) would have replaced is put back first."""
    if preexec_fn is not None:
        preexec_fn()
    _reset_signals()
    _close_files(all_of_them=close_fds)
    atexit._clear()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # the parent's temporary folders
        finalizer.detach()
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [WORKER[1], *args[3:]]
    _show(args)
    _count_in_files()
    _keep_logging()
    from _bentoml_impl.worker.service import main

    main.main(list(args[3:]), prog_name=WORKER[1])


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)) and number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_files(*, all_of_them: bool) -> None:
    """Close what is not to be inherited, or everything; the objects that hold those files stay, and are never used."""
    for fd in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        try:
            if fd > 2 and (all_of_them or not os.get_inheritable(fd)):
                os.close(fd)
        except OSError:  # that of the listing itself
            continue


def _show(args: Sequence[str]) -> None:
    """Have `ps` show which worker this is: the words of its command line that find room in the parent's."""
    words = ["shine"]
    for option in ("--service-name", "--fd"):
        if option in args:
            words += [option, args[args.index(option) + 1]]
    try:
        start, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    except (OSError, ValueError):
        return
    while words and len("\0".join(words)) >= end - start:
        words.pop()
    if start and words:
        ctypes.memmove(start, "\0".join(words).encode().ljust(end - start, b"\0"), end - start)


def _count_in_files() -> None:
    """Count metrics in the files that the workers share: prometheus_client decides when it is imported."""
    import prometheus_client.values as values

    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


def _keep_logging() -> None:
    """Keep this package's logging, which a worker that imports it sets after BentoML's."""
    import bentoml._internal.log as log

    from bentos.skin.runtime.logs import configure_logging
    from bentos.skin.settings import settings

    configure = log.configure_server_logging

    def configure_and_ours() -> None:
        loggers = [known for known in logging.Logger.manager.loggerDict.values() if isinstance(known, logging.Logger)]
        disabled = [logger.disabled for logger in loggers]
        configure()  # which disables those that are there already
        for logger, was_disabled in zip(loggers, disabled, strict=True):
            logger.disabled = was_disabled
        configure_logging(settings().log_format)

    log.configure_server_logging = configure_and_ours
