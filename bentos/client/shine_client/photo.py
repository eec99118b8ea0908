"""A photo in any of the forms in which programs have it, as the bytes of a file."""

import os
import sys
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from .errors import PhotoUnreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Photo: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image | NDArray[np.uint8]"

WANTED = "A photo is a path, bytes, a binary file object, a PIL image or a numpy array"
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # of Pillow, which a PNG holds as they are
CONVERTED_MODES = ("CMYK", "YCbCr", "HSV", "RGBX")
FAST = 1  # zlib's level: a tenth of the time of Pillow's usual one, for a few per cent more bytes


def photo_bytes(photo: Photo) -> bytes:
    """The bytes of a photo's file.

    Args:
        photo: the path of a file; its bytes; a binary file object, which is read from where it stands to its end; a
            PIL image; or a numpy array of uint8, H×W×3 in RGB (OpenCV has BGR: pass `array[..., ::-1]`) or H×W. The
            last two become a PNG, the image upright by its EXIF orientation; they need Pillow.

    Raises:
        TypeError: it is something else.
        ValueError: an array of another shape, an image of another mode, an empty or closed file object.
        OSError: the file cannot be read.
        ImportError: an array, and Pillow is not installed.
    """
    if isinstance(photo, bytes | bytearray | memoryview):
        return bytes(photo)
    if isinstance(photo, str | os.PathLike):
        return Path(photo).read_bytes()
    if _is_instance(photo, "PIL.Image", "Image"):
        return _png_of_image(photo)
    if _is_instance(photo, "numpy", "ndarray"):
        return _png_of_array(photo)
    if callable(getattr(photo, "read", None)):
        return _read(photo)
    raise TypeError(f"{WANTED}; this is {type(photo).__qualname__}.")


def read_all(photos: Iterable[Photo]) -> list[bytes | PhotoUnreadable]:
    """The bytes of each photo, or why it cannot be read."""
    return [read_one(photo) for photo in photos]


def read_one(photo: Photo) -> bytes | PhotoUnreadable:
    """The bytes of a photo, or why it cannot be read."""
    try:
        return photo_bytes(photo)
    except Exception as cause:  # Pillow and file objects of others may raise anything
        error = PhotoUnreadable(f"The photo cannot be read ({cause}).", hint="Pass a photo that can be read here.")
        error.__cause__ = cause
        return error


def _is_instance(photo: Any, module: str, name: str) -> bool:
    """Whether it is of a class of an optional package, which is not imported if nobody else has."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(photo, getattr(loaded, name))


def _read(file: Any) -> bytes:
    content = file.read()
    if not isinstance(content, bytes):
        raise TypeError(f"{WANTED}; this file object reads {type(content).__qualname__}: open it with 'rb'.")
    if not content:
        raise ValueError("The file object has nothing left to read; call its seek(0) first.")
    return content


def _png_of_array(array: Any) -> bytes:
    shape = "×".join(map(str, array.shape))
    if array.dtype.name != "uint8" or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or 0 in array.shape:
        raise ValueError(
            f"An array must be uint8 and H×W×3 (RGB) or H×W; this is {array.dtype} and {shape or 'scalar'}."
        )
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("A numpy array needs Pillow: pip install 'shine-client[images]'") from None
    return _encoded(Image.fromarray(array))


def _png_of_image(image: Any) -> bytes:
    from PIL import ImageOps

    if image.mode not in (*PNG_MODES, *CONVERTED_MODES):
        raise ValueError(f"A PIL image must have 8 bits a channel; this has mode {image.mode}: convert it to RGB.")
    upright = ImageOps.exif_transpose(image)
    if image.mode in PNG_MODES:
        return _encoded(upright)
    return _encoded(upright.convert("RGB"), icc_profile=None)  # its profile was of the colours before


def _encoded(image: Any, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", compress_level=FAST, **options)
    return file.getvalue()
