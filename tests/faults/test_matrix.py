"""Each fault of the matrix on the real service: everybody answered, all fallbacks marked, healed without a restart."""

from collections.abc import Callable

import pytest

from tests.faults import outcomes
from tests.faults.rows import ROWS, Row
from tests.faults.service_under_fault import ServiceUnderFault

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=() if row.quick else pytest.mark.long, id=row.name) for row in ROWS],
)
def test_weights_that_cannot_be_had_cost_nobody_an_answer(row: Row, ward: Callable[[bool], ServiceUnderFault]) -> None:
    place = ward(False)
    row.hurt(place)
    place.start(**row.env(place))
    with place.load():
        status = place.until_state("degraded", row.reason)
        assert status["last_error"]["code"] == row.reason
        assert status["next_retry_s"] is not None
        place.until_answered_by("heuristic")
        before = place.usage()
        row.heal(place)
        healed = place.until_answered_by("model")
        after = place.usage()
    assert place.status()["state"] == "ready"
    assert place.reasons() <= {row.reason, "model_loading", None}
    assert row.reason in place.reasons()
    assert place.counted(row.reason)
    assert place.logged(row.reason)
    outcomes.note(row.number, row.fault, place, [row.reason], healed)
    outcomes.is_back(before, after)
