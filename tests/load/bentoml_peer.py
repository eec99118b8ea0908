"""A peer: the same functions behind BentoML as its documentation shows it, one service with one API.

bentoml serve bentoml_peer:SkinAnalysis
"""

from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from bentos.skin.schema import Analysis

if TYPE_CHECKING:
    from tests.load.functions import Functions
else:
    from functions import Functions


@bentoml.service(workers=2)
class SkinAnalysis:
    """Findings on a photo."""

    def __init__(self) -> None:
        self.functions = Functions()

    @bentoml.api  # type: ignore[untyped-decorator]
    def analyze(self, image: Path) -> Analysis:
        """Findings on one photo: multipart/form-data with the file in `image`."""
        return self.functions.analyses([image.read_bytes()])[0]
