"""Examples of every cause, in ECS's own words, and near misses that look like a cause and are none.

Each module has the name of the module of deploy/diagnose/causes that it belongs to.
"""

from tests.rollout.causes import container, health, image, network, placement, resources, service, start, weights
from tests.rollout.causes.evidence import Example, Miss

MODULES = (container, health, image, network, placement, resources, service, start, weights)
EXAMPLES: list[Example] = [example for module in MODULES for example in module.EXAMPLES]
MISSES: list[Miss] = [miss for module in MODULES for miss in module.MISSES]
