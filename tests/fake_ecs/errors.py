"""Errors of ECS, with its own codes and messages."""


class Refused(Exception):
    """A response with status 400; `code` is the exception's name in ECS's model."""

    code = "ClientException"


class InvalidParameter(Refused):
    code = "InvalidParameterException"


class ClusterNotFound(Refused):
    code = "ClusterNotFoundException"


class ServiceNotFound(Refused):
    code = "ServiceNotFoundException"


class ServiceNotActive(Refused):
    code = "ServiceNotActiveException"


class ServiceDeploymentNotFound(Refused):
    code = "ServiceDeploymentNotFoundException"


class Conflict(Refused):
    code = "ConflictException"


class StartFailed(Exception):
    """A task that ends before its process starts; the message is ECS's stoppedReason."""
