"""What goes between gateway and runners: BentoML makes dicts of dataclasses whose fields it is not told.

It could not be told: pydantic describes no arrays. Tuples, numbers and arrays arrive as they are.
"""

from typing import Any

from bentos.skin.findings import Graded, Lesion, LesionsAndWrinkles, Measured, Tone
from bentos.skin.model.status import ModelAnswer
from bentos.skin.photo.crop import Crop
from bentos.skin.photo.face_parts import FaceParts
from bentos.skin.photo.view import FaceView
from bentos.skin.schema import ModelInfo

Fields = dict[str, Any]


def view_from(fields: Fields) -> FaceView:
    """The view that the gateway sent."""
    parts = fields["parts"]
    built = {"crop": Crop(**fields["crop"]), "parts": None if parts is None else FaceParts(**parts)}
    return FaceView(**{**fields, **built})


def measured_from(fields: Fields) -> Measured:
    """What the heuristic runner measured."""
    graded = {name: Graded(**fields[name]) for name in ("redness", "pigmentation", "shine", "texture")}
    tone = fields["tone"]
    return Measured(tone=None if tone is None else Tone(**tone), **graded)


def answer_from(fields: Fields) -> ModelAnswer:
    """What the model runner answered."""
    return ModelAnswer(found_from(fields["lesions_and_wrinkles"]), ModelInfo.model_validate(fields["model"]))


def found_from(fields: Fields) -> LesionsAndWrinkles:
    """The acne and wrinkles that a runner found."""
    return LesionsAndWrinkles(**{**fields, "lesions": [Lesion(**lesion) for lesion in fields["lesions"]]})
