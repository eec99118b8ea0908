"""AWS as it is, compared with what the rollout needs; read only."""

from deploy.cloud.codes import CODES
from deploy.cloud.look import SUBJECTS, look

__all__ = ["CODES", "SUBJECTS", "look"]
