"""Writes a plan from a service that already runs: `trail init --from-service CLUSTER/SERVICE`."""

from deploy.begin.page import written
from deploy.begin.running import read
from deploy.begin.told import told

__all__ = ["read", "told", "written"]
