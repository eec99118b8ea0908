"""`current.json`: which of the version folders beside it is live."""

import json
from typing import Annotated

from pydantic import Field, ValidationError

from bentos.skin.model.bundle import BundleError, Strict

CURRENT = "current.json"
MAX_POINTER_BYTES = 1 << 16
PIN_SHOWN = 12  # digits of the manifest's sha256 in a version folder's name


class Pointer(Strict):
    """`current.json`: which version folder beside it is live; `previous` was before."""

    format_version: Annotated[int, Field(ge=1, le=1)]
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    version: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    previous: str | None = None


def version_folder(version: str, sha256: str) -> str:
    """The name of a version's folder: `1.0.0-0123456789ab`."""
    return f"{version}-{sha256[:PIN_SHOWN]}"


def pointer(data: bytes, where: str) -> Pointer:
    """Parse `current.json`.

    Raises:
        BundleError: weights_corrupt.
    """
    try:
        return Pointer.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError("weights_corrupt", f"{CURRENT} in {where}: {place}: {first['msg']}.") from None
    except (ValueError, RecursionError):
        raise BundleError("weights_corrupt", f"{CURRENT} in {where} is no JSON.") from None
