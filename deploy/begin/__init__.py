"""A plan to begin with, out of a service that runs: `trail init --from-service CLUSTER/SERVICE`."""

from deploy.begin.page import written
from deploy.begin.running import read
from deploy.begin.told import told

__all__ = ["read", "told", "written"]
