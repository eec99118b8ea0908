"""Bytes → upright sRGB pixels."""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bentos.skin.errors import BodyTooLarge, ImageTooManyPixels, ImageTooSmall, ImageUnreadable
from bentos.skin.photo.image_header import ImageHeader, read_header

MAX_BYTES = 10 << 20  # 10 MiB a photo
MAX_PIXELS = 40_000_000  # 40 megapixels
MIN_SIDE = 64  # px; below, not even the face detector's 128 px input is half filled
ENOUGH_SIDE = 2048  # px of short side: four times the 512 px crop, so that a face a quarter as wide still fills it
ENOUGH_PIXELS = 2 * ENOUGH_SIDE**2  # for panoramas, whose short side alone would keep everything
BACKGROUND = (127, 127, 127)  # shown through transparent pixels: neutral, and not skin to any measure

# The classes themselves and not Image.open: no registry of other formats, and no warnings about size, which is
# checked before (warnings cannot be silenced safely when several threads decode).
_DECODERS: dict[str, type[ImageFile]] = {"JPEG": JpegImageFile, "PNG": PngImageFile, "WEBP": WebPImageFile}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright photo.

    Attributes:
        pixels: uint8 (height, width, 3), sRGB, upright (EXIF orientation applied), read-only. May be smaller than the
            photo: very large ones are decoded at half, a quarter or an eighth.
        width: of the upright photo as sent, in px.
        height: of the upright photo as sent, in px.
        format: "JPEG", "PNG" or "WEBP", judged by content.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decodes one photo; its content decides the format, not its name or declared type.

    Args:
        data: the whole file: JPEG (a phone's MPO too), PNG or WebP; of an animation the first frame is taken.
        max_bytes: largest file.
        max_pixels: largest width × height, checked in the header, before anything is decoded.

    Raises:
        BodyTooLarge: more than max_bytes.
        ImageFormatUnsupported: another format, named in the message.
        ImageTooManyPixels: more than max_pixels.
        ImageTooSmall: a side below MIN_SIDE.
        ImageUnreadable: empty, truncated, corrupt or of no size.
    """
    if len(data) > max_bytes:
        raise BodyTooLarge(f"The photo has {len(data):,} bytes; at most {max_bytes:,} are accepted.")
    header = read_header(data)
    width, height = header.width, header.height
    if min(width, height) == 0:
        raise ImageUnreadable(f"The photo has no size: its header says {width}×{height} pixels.")
    if width * height > max_pixels:
        raise ImageTooManyPixels(f"The photo has {width}×{height} pixels; at most {max_pixels:,} are accepted.")
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(f"The photo has {width}×{height} pixels; its short side must have {MIN_SIDE} at least.")
    try:
        pixels = _pixels(header)
    except Exception as error:  # Pillow raises nearly every built-in exception for some broken file
        raise ImageUnreadable(f"The {header.format} is corrupt or truncated: it cannot be decoded.") from error
    if header.orientation >= 5:  # stored on its side
        width, height = height, width
    return Photo(pixels=pixels, width=width, height=height, format=header.format)


def _pixels(header: ImageHeader) -> NDArray[np.uint8]:
    """Decoded, reduced, without transparency, in sRGB, upright: uint8 (height, width, 3)."""
    decoder = _DECODERS[header.format](BytesIO(header.stream))
    size = header.width, header.height
    if decoder.size != size:
        raise ValueError("two sizes in one file")
    factor = _reduction(*size)
    if header.format == "JPEG":
        decoder.draft(None, (size[0] // factor, size[1] // factor))
        factor = 1
    decoder.load()
    image = _to_srgb(_opaque(decoder, factor), header.profile)
    turn = _UPRIGHT.get(header.orientation)
    return np.asarray(image if turn is None else image.transpose(turn))


def _reduction(width: int, height: int) -> int:
    """1, 2, 4 or 8: the least factor after which the photo has no more pixels than are ever needed."""
    for factor in (1, 2, 4):
        if min(width, height) <= ENOUGH_SIDE * factor and width * height <= ENOUGH_PIXELS * factor**2:
            return factor
    return 8


def _opaque(image: Image.Image, factor: int) -> Image.Image:
    """Brings every mode to L, RGB or CMYK, reduced by `factor`."""
    if image.mode == "I;16":  # 16-bit grey, which convert() would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        image = image.convert("RGB")
    if factor > 1:
        image = image.reduce(factor)
    if image.mode == "RGBA":
        flat = Image.new("RGB", image.size, BACKGROUND)
        flat.paste(image, mask=image)
        image = flat
    return image


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts L, RGB or CMYK to sRGB by its profile; by the plain formula where that is missing or broken."""
    transform = _transform(profile, image.mode) if profile else None
    return image.convert("RGB") if transform is None else transform.apply(image)


@lru_cache(maxsize=4)  # one phone's photos all carry the same profile, and a transform takes 6 ms to build
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Profile → sRGB for images of `mode`; None where the profile is sRGB, broken, or another mode's."""
    try:
        source = ImageCms.getOpenProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _PROFILE_SPACES[mode]:
            return None
        if mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # Pillow raises whatever its parser of profiles does; the photo is used without its profile
        return None
