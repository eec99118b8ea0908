"""The workarounds of compat.py about files in the temporary folder: metrics, and the sockets of runners.

Cleaners remove files there that are old, a running server's too: nothing here may need them to stay.
"""

import atexit
import logging
import os
import shutil
import stat
import struct
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

log = logging.getLogger("shine.gateway")

METRICS_FILE_BYTES = 1 << 20  # prometheus_client's initial size of a metrics file
RESTORE_S = 1.0  # how often a process looks whether its metrics files are still there


def keep_metrics_apart() -> None:
    """Give each server a metrics folder of its own; BentoML has one a user, which the next server to start empties."""
    import bentoml.serving as serving

    def own_folder(*_: Any, **__: Any) -> str:
        folder = tempfile.mkdtemp(prefix="shine-metrics-")
        owner = os.getpid()
        atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
        return folder

    serving.ensure_prometheus_dir = own_folder


def reserve_metric_files() -> None:
    """Allocate the blocks of a metrics file when it is created.

    prometheus_client maps sparse files: where the disk is full later, the first write into a hole kills the process
    by SIGBUS, and each worker started after it. Can be removed when prometheus_client allocates them itself.
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


def keep_metric_files() -> None:
    """Write metrics files again that were removed, and count in memory for as long as the disk takes none.

    prometheus_client raises where a file or its folder is gone: in the constructor of each service that starts later,
    so that no worker comes up, and at /metrics. What a process has counted is still in its memory map. Can be removed
    when prometheus_client does the same.
    """
    from prometheus_client.mmap_dict import MmapedDict
    from prometheus_client.multiprocess import MultiProcessCollector

    patched: Any = MmapedDict
    collector: Any = MultiProcessCollector
    init, close, read = patched.__init__, patched.close, patched.read_all_values_from_file
    init_collector = collector.__init__
    kept: list[Any] = []  # the files that this process writes
    lock = threading.RLock()  # a file is not written to while it is replaced

    def init_somewhere(self: Any, filename: str, read_mode: bool = False) -> None:
        if read_mode:
            init(self, filename, read_mode)
            return
        try:
            _make_private(Path(filename).parent)
            init(self, filename)
        except OSError as error:
            log.warning("metrics are counted in memory", extra={"fields": {"cause": str(error)}})
            memory = os.memfd_create("shine-metrics")
            try:
                init(self, f"/proc/self/fd/{memory}")
            finally:
                os.close(memory)
            self._fname = filename  # where it belongs: `restore` moves it there as soon as it can
        with lock:
            kept.append(self)
            if len(kept) == 1:
                threading.Thread(target=watch, name="metrics-files", daemon=True).start()

    def close_for_good(self: Any) -> None:
        with lock:
            if self in kept:
                kept.remove(self)
            close(self)

    def watch() -> None:
        while kept:
            time.sleep(RESTORE_S)
            restore()

    def restore() -> None:
        with lock:
            for file in kept:
                if _is_gone(file._f, file._fname):
                    try:
                        file._f, file._m = _written_again(file)
                    except OSError as error:
                        log.debug("a metrics file cannot be written: %s", error)

    def alone(method: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            with lock:
                return method(self, *args)

        return call

    def read_what_is_whole(filename: str) -> list[Any]:
        try:
            return list(read(filename))
        except (OSError, RuntimeError, ValueError, struct.error):  # being removed, made or truncated at this moment
            return []

    def init_collector_anyway(self: Any, registry: Any, path: str | None = None) -> None:
        restore()
        try:
            init_collector(self, registry, path)
        except ValueError:  # no folder, and none can be made
            self._path = path or os.environ["PROMETHEUS_MULTIPROC_DIR"]
            registry.register(self)

    patched.__init__, patched.close = init_somewhere, close_for_good
    patched.read_value, patched.write_value = alone(patched.read_value), alone(patched.write_value)
    patched.read_all_values_from_file = staticmethod(read_what_is_whole)
    collector.__init__ = init_collector_anyway


def _make_private(folder: Path) -> None:
    """Create a folder where it is missing.

    Raises:
        OSError: it cannot be created, or another user has created one of that name, with links in it perhaps.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is a link or belongs to another user")


def _is_gone(file: Any, name: str) -> bool:
    """Whether an open file is not, or no longer, the one of that name."""
    try:
        return not os.path.samestat(os.fstat(file.fileno()), os.stat(name))  # noqa: PTH116  names of prometheus_client
    except OSError:
        return True


def _written_again(metrics: Any) -> tuple[Any, Any]:
    """A file with what a `MmapedDict` holds, in its place, and its memory map; the old ones are closed.

    Raises:
        OSError: the disk takes no file.
    """
    import mmap

    _make_private(Path(metrics._fname).parent)
    part = Path(f"{metrics._fname}.part")  # a collector reads *.db
    file = part.open("w+b", buffering=0)
    try:
        os.posix_fallocate(file.fileno(), 0, metrics._capacity)
        memory = mmap.mmap(file.fileno(), metrics._capacity)
        memory[: metrics._used] = metrics._m[: metrics._used]
        part.replace(metrics._fname)
    except OSError:
        file.close()
        part.unlink(missing_ok=True)
        raise
    metrics._m.close()
    metrics._f.close()
    return file, memory


def keep_runner_sockets() -> None:
    """Connect to a runner by an open handle of its socket; the file of the socket may be removed then.

    BentoML connects by the path, so that a runner whose file was removed is lost until the whole server restarts. The
    handle is opened in the parent, and inherited. An abstract socket would have no file, but no permissions either,
    and a runner executes pickles from anyone who reaches it. Can be removed when sockets are inherited as such.
    """
    import _bentoml_impl.server.serving as serving

    get_socket = serving._get_server_socket

    def held(*args: Any, **kwargs: Any) -> tuple[str, Any]:
        uri, listener = get_socket(*args, **kwargs)
        if not listener.is_unix or not hasattr(os, "O_PATH"):
            return uri, listener
        listener.bind_and_listen()
        listener.bind_and_listen = lambda: None  # which the arbiter would do later
        handle = os.open(listener.path, os.O_PATH)
        os.set_inheritable(handle, True)
        return f"file:///proc/self/fd/{handle}", listener

    serving._get_server_socket = held
