"""The rollout's reading of a contract: nothing that the image does not print, and no refusal of what it prints more."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.config import image_contract as contracts
from deploy.config.image_contract import _Part
from tests.deploy import good


def unprinted(model: _Part, printed: Any, place: str = "") -> list[str]:
    """Fields of a model that stand in no printed contract; JSON schema has its own names and keeps out most."""
    result = []
    for name in type(model).model_fields:
        value, output = getattr(model, name), printed.get(name, ...)
        if output is ...:
            result.append(f"{place}{name}")
        for one, other in zip(
            value if isinstance(value, list) else [value], output if isinstance(output, list) else [output], strict=True
        ):
            if isinstance(one, _Part) and not isinstance(one, contracts.Schema):
                result += unprinted(one, other, f"{place}{name}.")
    return result


def test_what_the_rollout_reads_the_image_prints() -> None:
    assert unprinted(contracts.own(), contracts.builtin()) == []
    assert contracts.own().egress["full"]
    assert contracts.own().egress["hybrid"] == []
    assert contracts.own().weights is not None


@pytest.mark.parametrize("place", ["", "health.", "seconds.", "minimum.", "user.", "egress.full.0.", "endpoints.0."])
def test_a_contract_that_has_grown_is_read_as_before(place: str, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(good.changed(good.contract(), {f"{place}colour": "red"})))
    assert contracts.parse(contracts.of(path)) == contracts.parse(good.contract())


def test_another_version_is_refused_by_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(good.contract(contract_version=2)))
    with pytest.raises(contracts.ContractError, match="contract_version: Input should be 1"):
        contracts.read(path)
