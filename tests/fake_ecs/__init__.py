"""A stand-in for AWS on loopback in which a whole rollout runs in seconds; see README.md beside this file."""

from tests.fake_ecs.fake_ecs import FakeEcs

__all__ = ["FakeEcs"]
