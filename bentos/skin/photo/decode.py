"""Bytes → upright sRGB pixels."""

from dataclasses import dataclass
from io import BytesIO
from typing import get_args

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bentos.skin.errors import BodyTooLarge, ImageFormatUnsupported, ImageTooManyPixels, ImageTooSmall, ImageUnreadable
from bentos.skin.photo import jpeg
from bentos.skin.photo.colour import is_srgb, to_srgb
from bentos.skin.photo.image_header import Format, ImageHeader, read_header

MAX_BYTES = 10 << 20  # 10 MiB a photo
MAX_PIXELS = 40_000_000  # 40 megapixels
MIN_SIDE = 64  # px; below, not even the face detector's 128 px input is half filled
ENOUGH_SIDE = 2048  # px of short side: four times the 512 px crop, so that a face a quarter as wide still fills it
ENOUGH_PIXELS = 2 * ENOUGH_SIDE**2  # for panoramas, whose short side alone would keep everything
BACKGROUND = (127, 127, 127)  # shown through transparent pixels: neutral, and not skin to any measure

# The classes themselves and not Image.open: no registry of other formats, and no warnings about size, which is
# checked before (warnings cannot be silenced safely when several threads decode).
_DECODERS: dict[str, type[ImageFile]] = {"PNG": PngImageFile, "WEBP": WebPImageFile, "AVIF": AvifImageFile}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FULL_RANGE = [round(min(max(level - 16, 0), 219) * 255 / 219) for level in range(256)]  # of samples from 16 to 235


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright photo.

    Attributes:
        pixels: uint8 (height, width, 3), sRGB, upright (EXIF orientation applied), read-only. May be smaller than the
            photo: very large ones are decoded at half, a quarter or an eighth.
        width: of the upright photo as sent, in px.
        height: of the upright photo as sent, in px.
        format: judged by content.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: Format


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decodes one photo; its content decides the format, not its name or declared type.

    Args:
        data: the whole file: JPEG (a phone's MPO too), PNG, WebP, HEIC or AVIF; of an animation the first frame is
            taken.
        max_bytes: largest file.
        max_pixels: largest width × height, checked in the header, before anything is decoded.

    Raises:
        BodyTooLarge: more than max_bytes.
        ImageFormatUnsupported: another format, or another kind of these, named in the message.
        ImageTooManyPixels: more than max_pixels.
        ImageTooSmall: a side below MIN_SIDE.
        ImageUnreadable: empty, truncated, corrupt or of no size.
    """
    if len(data) > max_bytes:
        raise BodyTooLarge(f"The photo has more than {max_bytes:,} bytes, which is the most that is accepted.")
    header = read_header(data)
    width, height = header.width, header.height
    _check_size(width, height, header.frame_pixels, max_pixels)
    try:
        pixels = _pixels(header)
    except ImageFormatUnsupported:
        raise
    except Exception as error:  # Pillow raises nearly every built-in exception for some broken file
        raise ImageUnreadable(f"The {header.format} is corrupt or truncated: it cannot be decoded.") from error
    if header.orientation >= 5:  # stored on its side
        width, height = height, width
    return Photo(pixels=pixels, width=width, height=height, format=header.format)


def of_image(image: Image.Image, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """A photo that is decoded already; EXIF orientation and colour profile count as in a file.

    Args:
        image: of any mode.
        max_pixels: largest width × height.

    Raises:
        ImageFormatUnsupported: its profile says that brightness follows PQ or HLG.
        ImageTooManyPixels: more than max_pixels.
        ImageTooSmall: a side below MIN_SIDE.
        ImageUnreadable: empty, or its file cannot be decoded.
    """
    width, height = image.size
    _check_size(width, height, 0, max_pixels)
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        opaque = _opaque(image, _reduction(width, height))
    except Exception as error:  # Pillow raises nearly every built-in exception for some broken file
        raise ImageUnreadable("The image is corrupt or truncated: it cannot be decoded.") from error
    upright = to_srgb(opaque, image.info.get("icc_profile"))
    turn = _UPRIGHT.get(orientation)
    if turn is not None:
        upright = upright.transpose(turn)
        width, height = (height, width) if orientation >= 5 else (width, height)
    kept: Format = next((known for known in get_args(Format) if known == image.format), "PNG")
    return Photo(pixels=np.asarray(upright), width=width, height=height, format=kept)


def _check_size(width: int, height: int, frame_pixels: int, max_pixels: int) -> None:
    """Refuse what is too large or too small by its header; raises as `decode`."""
    if min(width, height) == 0:
        raise ImageUnreadable(f"The photo has no size: its header says {width}×{height} pixels.")
    if width * height > max_pixels:
        raise ImageTooManyPixels(f"The photo has {width}×{height} pixels; at most {max_pixels:,} are accepted.")
    if frame_pixels > max_pixels:
        raise ImageTooManyPixels(f"The photo's data hold {frame_pixels:,} pixels; at most {max_pixels:,} are accepted.")
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(f"The photo has {width}×{height} pixels; its short side must have {MIN_SIDE} at least.")


def _pixels(header: ImageHeader) -> NDArray[np.uint8]:
    """Decoded, reduced, without transparency, in sRGB, upright: uint8 (height, width, 3)."""
    factor = _reduction(header.width, header.height)
    turn = _UPRIGHT.get(header.orientation)
    if header.format == "JPEG":
        pixels = jpeg.decode(header.stream, header.width, header.height, factor)
        if turn is None and header.full_range and pixels.shape[2:] == (3,) and is_srgb(header.profile):
            pixels.setflags(write=False)
            return pixels  # most photos: each copy of a large one takes milliseconds
        image = Image.fromarray(pixels, "CMYK") if pixels.shape[2:] == (4,) else Image.fromarray(pixels)
    else:
        image = _decoded(header, factor)
    if not header.full_range:
        image = image.point(_FULL_RANGE * len(image.getbands()))
    image = to_srgb(image, header.profile)
    return np.asarray(image if turn is None else image.transpose(turn))


def _decoded(header: ImageHeader, factor: int) -> Image.Image:
    """What is not JPEG, decoded to mode L, RGB or CMYK, reduced by `factor`."""
    image = _heic(header.stream) if header.format == "HEIC" else _DECODERS[header.format](BytesIO(header.stream))
    if image.size != (header.width, header.height):
        raise ValueError("two sizes in one file")
    image.load()
    return _opaque(image, factor)


def _heic(data: bytes) -> Image.Image:
    """A HEIC's primary picture, 8 bits a channel, turned as the container says.

    Raises:
        ImageFormatUnsupported: its pictures are encoded by something else than HEVC.
    """
    try:
        image: Image.Image = pi_heif.open_heif(BytesIO(data)).to_pillow()
    except RuntimeError as error:
        if "not been built in" in str(error) or "Unsupported codec" in str(error):
            hint = "Send a HEIC as iPhones write it (HEVC), or a JPEG."
            raise ImageFormatUnsupported("The HEIF's pictures are in a coding that is not supported.", hint) from error
        raise
    return image


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
