"""Reading a container's health command: its form, the programs that it runs, the address that it asks."""

import re
import shlex
from typing import NamedTuple

from deploy.text import shown

PORTS = {"http": 80, "https": 443}
SHELLS = {"sh", "bash", "dash"}
# Of the image's base (Debian with Python), and of any shell.
PRESENT = {
    *SHELLS, "python", "python3", "env", "timeout", "cat", "grep", "head", "sleep", "sed", "date", "stat", "nohup",
}  # fmt: skip
BUILT_IN = {
    "exit", "test", "[", "true", "false", "echo", ":", "return", "cd", "export", "set", "trap", "printf", "kill",
}  # fmt: skip
ABSENT = {
    "curl", "wget", "nc", "ncat", "netcat", "telnet", "http", "busybox", "node", "grpc_health_probe", "jq", "lynx",
}  # fmt: skip
KEYWORDS = {"!", "if", "then", "else", "elif", "fi", "while", "until", "do", "done", "{", "}", "exec", "env", "nohup"}
LOOPBACK = r"localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\]"
URL = re.compile(
    rf"(?:(?P<scheme>https?)://(?P<host>[^/\s:'\"?#]+|\[[^\]\s]*\])|(?<![\w.-])(?P<bare>{LOOPBACK})(?=[:/]))"
    r"(?::(?P<port>\d{0,6}))?(?P<path>/[^\s'\"?#;|&)]*)?"
)
CONNECTION = re.compile(  # http.client, where host, port and path stand apart
    r"HTTP(?P<secure>S?)Connection\(\s*['\"](?P<host>[^'\":\s]+)(?::(?P<port>\d{1,6}))?['\"]"
    r"(?:\s*,\s*(?:port\s*=\s*)?(?P<apart>\d{1,6}))?.*?['\"](?P<path>/[^'\"\s]*)['\"]"
)


class Asked(NamedTuple):
    """The address that a health command asks."""

    scheme: str
    host: str
    port: int
    path: str


def fault(words: list[str]) -> str | None:
    """What is wrong with a command's form."""
    if not words or words[0] not in ("CMD", "CMD-SHELL"):
        return f"begins with {shown(words[0]) if words else 'nothing'}; ECS takes CMD or CMD-SHELL first"
    if len(words) < 2 or not words[1].strip():
        return f"is {words[0]} alone, with nothing to run"
    if words[0] == "CMD" and " " in words[1].strip():
        return (
            f"has the whole line {shown(words[1])} as the name of a program; CMD takes one word each, CMD-SHELL a line"
        )
    if words[0] == "CMD-SHELL" and len(words) > 2:
        return "has several words after CMD-SHELL, which takes one line; the rest would be passed over"
    try:
        programs(words)
    except ValueError:
        return f"is {shown(words[-1])}, which has a quotation mark without its other half"
    return None


def programs(words: list[str]) -> list[str]:
    """Names of the programs that a command runs; raises ValueError where a line cannot be read."""
    if words[0] == "CMD-SHELL":
        return ["sh", *of_line(words[1])]
    found = [words[1].rpartition("/")[2]]
    if found[0] in SHELLS and "-c" in words[2:-1]:
        found += of_line(words[words.index("-c") + 1])
    return found


def of_line(line: str) -> list[str]:
    """Names of the programs that a line of shell runs."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    found, first, skip = [], True, 0
    for word in reader:
        if set(word) <= set(";&|()\n"):
            first = True
        elif skip:
            skip -= 1
        elif first and word not in KEYWORDS and not re.match(r"\w+=", word):
            found.append(word.rpartition("/")[2])
            first, skip = word == "timeout", int(word == "timeout")
    return found


def asked(line: str, port: str) -> Asked | None:
    """What a command asks; None where it names no address.

    Args:
        line: its words in a row.
        port: what PORT is in the container, or nothing.
    """
    line = re.sub(r"\$\{PORT:-(\d+)\}", lambda found: port or found[1], line)
    line = re.sub(r"\$\{?PORT\}?", lambda _: port, line)
    if (client := CONNECTION.search(line)) is not None:
        scheme = f"http{client['secure'].lower()}"
        return Asked(scheme, client["host"], int(client["port"] or client["apart"] or PORTS[scheme]), client["path"])
    if (url := URL.search(line)) is None:
        return None
    scheme = url["scheme"] or "http"
    return Asked(scheme, url["host"] or url["bare"], int(url["port"] or PORTS[scheme]), url["path"] or "/")
