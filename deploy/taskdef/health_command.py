"""Reads a container's health command: its form, the programs that it runs, the address that it requests."""

import re
import shlex
from typing import NamedTuple

from deploy.text import shown

PORTS = {"http": 80, "https": 443}
SHELLS = {"sh", "bash", "dash"}
# In the image (Debian with Python), and built into every shell.
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
SEPARATOR = re.compile(r"(\|\||&&|;|\n)")  # of the commands of a line
SUCCESS = re.compile(r"(?:/bin/)?(?:true|:|exit 0|exit|echo(?: .*)?)", re.DOTALL)
FAILURE = re.compile(r"\b(?:exit|return) ++(?!0\b)|\bfalse\b")
URL = re.compile(
    rf"(?:(?P<scheme>https?)://(?P<host>[^/\s:'\"?#]+|\[[^\]\s]*\])|(?<![\w.-])(?P<bare>{LOOPBACK})(?=[:/]))"
    r"(?::(?P<port>\d{0,6}))?(?P<path>/[^\s'\"?#;|&)]*)?"
)
CONNECTION = re.compile(  # http.client, where host, port and path are separate arguments
    r"HTTP(?P<secure>S?)Connection\(\s*['\"](?P<host>[^'\":\s]+)(?::(?P<port>\d{1,6}))?['\"]"
    r"(?:\s*,\s*(?:port\s*=\s*)?(?P<apart>\d{1,6}))?.*?['\"](?P<path>/[^'\"\s]*)['\"]"
)


class Request(NamedTuple):
    """The address that a health command requests."""

    scheme: str
    host: str
    port: int
    path: str


def form_error(words: list[str], *, windows: bool = False) -> str | None:
    """What is wrong with the form of a command; None where nothing is.

    Args:
        words: of the command, CMD or CMD-SHELL first.
        windows: whether a Windows container runs it, whose paths have spaces and whose shell has quotes of its own.
    """
    if not words or words[0] not in ("CMD", "CMD-SHELL"):
        return f"begins with {shown(words[0]) if words else 'nothing'}; ECS takes CMD or CMD-SHELL first"
    if len(words) < 2 or not words[1].strip():
        return f"is {words[0]} alone, with nothing to run"
    if words[0] == "CMD" and " " in words[1].strip() and not windows:
        return (
            f"has the whole line {shown(words[1])} as the name of a program; CMD takes one word each, CMD-SHELL a line"
        )
    if words[0] == "CMD-SHELL" and len(words) > 2:
        return "has several words after CMD-SHELL, which takes one line; the rest would be ignored"
    try:
        programs(words)
    except ValueError:
        if windows:
            return None
        return f"is {shown(words[-1])}, which has a quotation mark without its other half"
    return None


def programs(words: list[str]) -> list[str]:
    """Names of the programs that a command runs.

    Raises:
        ValueError: a line of shell cannot be parsed.
    """
    if words[0] == "CMD-SHELL":
        return ["sh", *shell_programs(words[1])]
    names = [words[1].rpartition("/")[2]]
    if names[0] in SHELLS and "-c" in words[2:-1]:
        names += shell_programs(words[words.index("-c") + 1])
    return names


def shell_programs(line: str) -> list[str]:
    """Names of the programs that a line of shell runs."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    names, first, skip = [], True, 0
    for word in reader:
        if set(word) <= set(";&|()\n"):
            first = True
        elif skip:
            skip -= 1
        elif first and word not in KEYWORDS and not re.match(r"\w+=", word):
            names.append(word.rpartition("/")[2])
            first, skip = word == "timeout", int(word == "timeout")
    return names


def always_passes(words: list[str]) -> bool:
    """Whether a command of valid form ends with 0 whatever the container does."""
    line = words[1] if words[0] == "CMD-SHELL" else ""
    if words[0] == "CMD" and words[1].rpartition("/")[2] in SHELLS and "-c" in words[2:-1]:
        line = words[words.index("-c") + 1]
    if not line:
        return words[1].rpartition("/")[2] in ("true", "echo")
    parts = [part.strip() for part in SEPARATOR.split(line) if part.strip()]
    while parts and SEPARATOR.fullmatch(parts[-1]):
        parts.pop()
    commands = [part for part in parts if not SEPARATOR.fullmatch(part)]
    if not commands or FAILURE.search(line):
        return False
    ends_well = SUCCESS.fullmatch(commands[-1]) is not None
    return ends_well and (len(commands) == 1 or parts[-2] != "&&" or all(map(SUCCESS.fullmatch, commands)))


def request(line: str, port: str) -> Request | None:
    """The address that a command requests; None where it names none.

    Args:
        line: the words of the command, joined.
        port: value of PORT in the container, or empty.
    """
    line = re.sub(r"\$\{PORT:-(\d+)\}", lambda match: port or match[1], line)
    line = re.sub(r"\$\{?PORT\}?", lambda _: port, line)
    if (client := CONNECTION.search(line)) is not None:
        scheme = f"http{client['secure'].lower()}"
        return Request(scheme, client["host"], int(client["port"] or client["apart"] or PORTS[scheme]), client["path"])
    if (url := URL.search(line)) is None:
        return None
    scheme = url["scheme"] or "http"
    return Request(scheme, url["host"] or url["bare"], int(url["port"] or PORTS[scheme]), url["path"] or "/")
