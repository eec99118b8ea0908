"""The image, really run as the task definition says, and judged before anything is rolled out.

It runs as in production: the task's memory and CPU, its user, a read-only root with /tmp alone writable, no
capabilities; it is published on loopback only and always removed. Secrets are not given to it: a stand-in is.
"""

from deploy.trial.codes import CODES
from deploy.trial.listening import loopback, sockets
from deploy.trial.task import task
from deploy.trial.trying import environment, try_image

__all__ = ["CODES", "environment", "loopback", "sockets", "task", "try_image"]
