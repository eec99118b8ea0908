"""Writes docs/finding-codes.md, the table of all codes.

python -m tests.deploy.codes_table
"""

from pathlib import Path

from deploy.cli import explain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finding-codes.md"
HEAD = """# What preflight finds
Each line is a rule, as it should be; a finding under its code says where it is broken, with both values and the repair.
`trail explain CODE` says what happens where the rule is broken. The tool was written after an incident: a service stood
"99 % deployed" for days, since health checks asked the wrong port and path, the container's health waited for the
model, and no rollback was trusted. It was analysed in twelve points; the last column says which of them a check would
have shown. Written by `python -m tests.deploy.codes_table`.

| code | rule | point |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = (f"| `{code.code}` | {code.title} | {code.incident or ''} |" for code in explain.finding_codes().values())
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
