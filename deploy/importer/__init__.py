"""Writes a plan from a service that already runs: `trail init --from-service CLUSTER/SERVICE`."""

from deploy.importer.page import written
from deploy.importer.report import summarize
from deploy.importer.service import read

__all__ = ["read", "summarize", "written"]
