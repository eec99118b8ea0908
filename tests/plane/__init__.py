"""A stand-in for AWS on loopback in which a whole rollout runs in seconds; see README.md beside this file."""

from tests.plane.plane import Plane

__all__ = ["Plane"]
