"""AWS as it is, compared with what the rollout needs; read only."""

from deploy.verify.account.codes import CODES
from deploy.verify.account.run import SUBJECTS, look

__all__ = ["CODES", "SUBJECTS", "look"]
