"""How many examples a property is tried with: a fifth of them every day, all of them among the long tests.

`--hypothesis-profile long` chooses all. Each run repeats the same examples, and no example is held to a time: on a busy
machine that would measure the machine.
"""

from hypothesis import HealthCheck, settings

for profile, percentage in (("everyday", 20), ("long", 100)):
    settings.register_profile(
        profile,
        max_examples=percentage,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def examples(number: int) -> int:
    """The number of examples to run: a share of this number, by the profile in use."""
    assert settings.default is not None  # which hypothesis itself allows for
    return max(1, number * settings.default.max_examples // 100)
