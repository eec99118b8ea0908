"""What moto holds in this process, kept at a moment and brought back, which is faster by far than to make it again."""

import copy
import threading
from collections.abc import Iterator
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend

LOCKS = (type(threading.Lock()), type(threading.RLock()))


def backends() -> Iterator[BaseBackend]:
    """Every backend that has been used: one for each service, account and region."""
    for service in BackendDict._instances:  # type: ignore[misc]  # moto itself says so
        for _, _, backend in service.iter_backends():
            yield backend


class Snapshot:
    """The state of all backends, as it was when this was made."""

    def __init__(self) -> None:
        self._states = _copied({backend: backend.__dict__ for backend in backends()})

    def restore(self) -> None:
        """Bring that state back; what has been used only since then is emptied."""
        for backend in backends():
            if backend not in self._states:
                backend.reset()
        for backend, state in _copied(self._states).items():
            backend.__dict__ = state


def _copied(states: dict[BaseBackend, dict[str, Any]]) -> dict[BaseBackend, dict[str, Any]]:
    """Deep copies that share what the originals share, and hold the same backends and locks."""
    memo: dict[int, Any] = {id(backend): backend for backend in states}
    for state in states.values():
        memo.update({id(value): value for value in state.values() if isinstance(value, LOCKS)})
    return {backend: copy.deepcopy(state, memo) for backend, state in states.items()}
