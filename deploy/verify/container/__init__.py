"""The image, really run as the task definition says, and judged before anything is rolled out.

It runs as in production: the task's memory and CPU, its user, a read-only root with /tmp alone writable, no
capabilities; it is published on loopback only and always removed. Secrets are not given to it: a stand-in is.
"""

from deploy.verify.container.codes import CODES
from deploy.verify.container.run import environment, try_image
from deploy.verify.container.sockets import loopback, sockets
from deploy.verify.container.task import task

__all__ = ["CODES", "environment", "loopback", "sockets", "task", "try_image"]
