"""How tests of workarounds are run with and without them."""

import pytest


def with_and_without(workaround: str) -> pytest.MarkDecorator:
    """Every day with the workaround; among the long tests without it, for only another BentoML changes that."""
    return pytest.mark.parametrize("without", ["", pytest.param(workaround, marks=pytest.mark.long)])
