"""Writes docs/causes.md, the table of all causes.

python -m tests.rollout.causes_table
"""

from pathlib import Path

from deploy.diagnose.cause import Cause
from deploy.diagnose.causes import container, health, image, network, placement, resources, service, start, weights

PAGE = Path(__file__).resolve().parents[2] / "docs" / "causes.md"
MODULES = (
    placement,
    image,
    resources,
    start,
    container,
    health,
    network,
    weights,
    service,
)  # in the order of a task's life
HEAD = """# What `trail why` finds
Each line is a cause: what it looks like from outside, and what to do. For those marked *at once* neither waiting nor
another attempt helps, so a rollout stops as soon as it finds one. If there are several, the most certain and newest
comes first; what follows from another cause comes after it. `trail why CODE` explains one cause. Written by
`python -m tests.rollout.causes_table`.
"""
COLUMNS = "\n| code | cause | looks like | what to do | |\n|---|---|---|---|---|\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for module in MODULES:
        title = module.__name__.rpartition(".")[2].capitalize()
        parts += [f"\n## {title}\n{module.__doc__}\n", COLUMNS, *map(row, module.CAUSES)]
    return "".join(parts)


def row(cause: Cause) -> str:
    """A row of the table."""
    mark = "at once" if cause.deterministic else "no failure" if cause.harmless else ""
    cells = (f"`{cause.code}`", cause.title, cause.looks, cause.repair, mark)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
