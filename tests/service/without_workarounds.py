"""The service without some of its workarounds: `bentoml serve tests.service.without_workarounds:Gateway`.

WITHOUT names items of bentos.skin.runtime.compat, separated by commas: functions become no-ops, options BentoML's own
defaults, and methods (Class.method) those of BentoML's base class. With FAKE_ENGINE_BEHAVIOUR the engine is that of
`fake_engine`.
"""

import os
from typing import Any

from bentos.skin.runtime import compat

DEFAULTS: dict[str, Any] = {"RUNNER_PROBE": {"enabled": True}}


def nothing(*_: object) -> None:
    """Stands in for a workaround."""


for name in filter(None, os.environ.get("WITHOUT", "").split(",")):
    owner, _, method = name.partition(".")
    workaround = getattr(compat, owner)  # a name that no longer exists must not pass for one that has been removed
    if method:
        delattr(workaround, method)
    else:
        setattr(compat, name, DEFAULTS.get(name, nothing))

if "FAKE_ENGINE_BEHAVIOUR" in os.environ:
    from tests.service.fake_engine import Gateway, HeuristicFallback, SkinModel
else:
    from service import Gateway, HeuristicFallback, SkinModel

__all__ = ["Gateway", "HeuristicFallback", "SkinModel"]
