"""A health check over HTTP, as a load balancer or a container makes it."""

import contextlib
import http.client
import re
from typing import Any


def ask(address: str, port: int, path: str, timeout_s: float) -> int | str:
    """The status; "timeout" or "refused" if there is none."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"User-Agent": "ELB-HealthChecker/2.0"})
        return connection.getresponse().status
    except TimeoutError:
        return "timeout"
    except (OSError, http.client.HTTPException):
        return "refused"
    finally:
        with contextlib.suppress(OSError):
            connection.close()


PRESENT = {"python", "python3", "sh"}  # executables of the image that a health command may start with
URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::(?P<port>\d+))?(?P<path>/[^\s'\"|;&)]*)?")


def command_succeeds(check: dict[str, Any], address: str, timeout_s: float) -> bool:
    """Whether a container's health command would end with 0.

    It is not run (an interpreter each second for each task would be most of the machine's work): what it asks, read out
    of it, is asked here, at the task's own address, and what it starts must be in the image.
    """
    words = check["command"]
    line = words[-1] if words[0] == "CMD-SHELL" else " ".join(words[1:])
    program = line.split()[0] if words[0] == "CMD-SHELL" else words[1]
    url = URL.search(line)
    if program.rpartition("/")[2] not in PRESENT or url is None:
        return program in ("true", "exit 0")
    status = ask(address, int(url["port"] or 80), url["path"] or "/", timeout_s)
    return isinstance(status, int) and status < 400


def matches(matcher: str, status: int) -> bool:
    """Whether 200,202 or 200-299 names a status."""
    for part in matcher.split(","):
        first, _, last = part.strip().partition("-")
        if int(first) <= status <= int(last or first):
            return True
    return False
