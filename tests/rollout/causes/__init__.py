"""Examples of every cause, in ECS's own words, and near misses that look like one and are none; rooms as in deploy."""

from tests.rollout.causes import (
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
from tests.rollout.causes.made import Example, Miss

ROOMS = (health, image, memory, network, placing, resources, service, start, stopped_by_others, traffic, weights)
EXAMPLES: list[Example] = [one for room in ROOMS for one in room.EXAMPLES]
MISSES: list[Miss] = [one for room in ROOMS for one in room.MISSES]
