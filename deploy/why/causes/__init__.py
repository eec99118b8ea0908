"""The causes, by kind. Importing this room fills the table; rooms that come first are asked first."""

from deploy.why.causes import (  # noqa: F401
    health,
    image,
    memory,
    network,
    placing,
    resources,
    service,
    start,
    traffic,
    weights,
)
