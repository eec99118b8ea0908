"""Each fault of the matrix on the real service: all are answered, fallbacks marked, recovery needs no restart."""

from collections.abc import Callable

import pytest

from tests.faults import outcomes
from tests.faults.rows import ROWS, Row
from tests.faults.service_under_fault import ServiceUnderFault

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_weights_that_cannot_be_had_cost_nobody_an_answer(
    row: Row, make_service: Callable[[bool], ServiceUnderFault]
) -> None:
    service = make_service(False)
    row.hurt(service)
    service.start(**row.env(service))
    with service.load():
        status = service.until_state("degraded", row.reason)
        assert status["last_error"]["code"] == row.reason
        assert status["next_retry_s"] is not None
        service.until_answered_by("heuristic")
        before = service.usage()
        row.heal(service)
        healed = service.until_answered_by("model")
        after = service.usage()
    assert service.status()["state"] == "ready"
    assert service.reasons() <= {row.reason, "model_loading", None}
    assert row.reason in service.reasons()
    assert service.counted(row.reason)
    assert service.logged(row.reason)
    outcomes.note(row.number, row.fault, service, [row.reason], healed)
    outcomes.is_back(before, after)
