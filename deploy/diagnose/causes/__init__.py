"""The table of causes; each module holds the rows of one subject."""

from deploy.diagnose.cause import table
from deploy.diagnose.causes import container, health, image, network, placement, resources, service, start, weights

MODULES = (health, image, start, container, network, placement, resources, service, weights)
CAUSES = table(cause for module in MODULES for cause in module.CAUSES)
