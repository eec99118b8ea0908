"""The causes, by kind. Importing this room fills the table."""

from deploy.why.causes import (  # noqa: F401
    health,
    image,
    memory,
    network,
    placing,
    resources,
    service,
    start,
    taken,
    traffic,
    weights,
)
