"""The causes, by kind; importing this package registers all of them."""

from deploy.diagnose.causes import (  # noqa: F401
    health,
    image,
    memory,
    network,
    placing,
    resources,
    service,
    start,
    stopped_by_others,
    traffic,
    weights,
)
