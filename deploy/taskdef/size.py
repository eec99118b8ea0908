"""Reads the size of a task as AWS does: CPU units and MiB, or text such as ".25 vCPU" and "2 GB"."""

import re

UNITS = 1024  # CPU units of one vCPU, and MiB of one GB
SIZE = re.compile(r"(\d{1,6})|(\d{1,3}(?:\.\d{0,3})?|\.\d{1,3}) ?(vcpu|gb)", re.ASCII)


def read(text: str, key: str) -> int | None:
    """CPU units or MiB; None where the text is no size.

    Args:
        text: as a task definition has it.
        key: "cpu" or "memory".
    """
    parts = SIZE.fullmatch(text.strip().lower())
    if parts is None or (parts[3] and (parts[3] == "vcpu") != (key == "cpu")):
        return None
    return int(parts[1]) if parts[1] else round(float(parts[2]) * UNITS)
