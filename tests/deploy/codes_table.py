"""Writes docs/finding-codes.md, the table of all codes.

python -m tests.deploy.codes_table
"""

from pathlib import Path

from deploy.cli import explain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finding-codes.md"
HEAD = """# What preflight finds
Each line is a rule, as it should be; a finding under its code says where it is broken, with both values and the repair.
The last column counts the points of the incident that this tool answers. `trail explain CODE` says what happens where
the rule is broken. Written by `python -m tests.deploy.codes_table`.

| code | rule | point |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = (f"| `{one.code}` | {one.title} | {one.incident or ''} |" for one in explain.finding_codes().values())
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
