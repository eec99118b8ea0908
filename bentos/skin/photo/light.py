"""The light that a photo was taken in, judged by the face: its amount, its evenness, its colour.

Dark skin is no dark photo: the amount of light is judged by what is bright on every face, the whites of the eyes, teeth
and highlights, and never by the skin. The colour of the light is judged by the skin, whose colours lie in a narrow band
under white light whatever its tone, and by the whites of the eyes. Thresholds were set on the London faces of `split`
fit, on ACNE04's and the wrinkles' valid photos, and on copies of the London faces with casts and exposures applied.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bentos.skin.findings import Unseen
from bentos.skin.photo.colour import LINEAR
from bentos.skin.photo.face_parts import FaceParts, raster

SIZE = 256  # px; the crop at half its size
SCALE = 0.5  # of the crop's pixels
ENOUGH = 200  # px; fewer say nothing of a face
MIN_SKIN_SHARE = 0.15  # of what is shown without landmarks; less tells no colour of the light
THINNED = 2  # every second row and column is enough for means and percentiles
COLOUR_CONCERNS = ("redness", "pigmentation", "shine", "tone")

CRUSHED = 20  # 8-bit value that no channel reaches; one code more is 5 % more light there, which is as much as a flush
BLOWN = 250  # 8-bit value of any channel from which colour is lost

# Unaltered London faces have 100 and more in their eyes and 110 and more on the face, Monk 7 to 9 included; two stops
# darker they have 89 and 114 at most. Of 385 other faces the darkest has 134 on the face.
MIN_WHITE = 80  # 8-bit luma of the whites of the eyes
MIN_HIGHLIGHT = 106  # 8-bit luma of the brightest hundredth of the face
MIN_HIGHLIGHT_ANYWHERE = 40  # without landmarks, of the twentieth: very dark skin alone may have 50
# Whites of open eyes of London faces, 8-bit luma: median 132, from 101 to 170; one stop darker 96, one brighter 182.
USUAL_WHITE, DIM_WHITES, GLARING_WHITES = 132, (98, 112), (168, 180)
WHITE_PERCENTILE, HIGHLIGHT_PERCENTILE, HIGHLIGHT_PERCENTILE_ANYWHERE = 85.0, 99.0, 95.0

# One stop up, redness of London faces stays within 8 points for 97 % of those below it; no photo of ACNE04 has it.
MAX_BLOWN_SHARE = 0.2  # of the face

# London faces reach 0.4 across, 99 % of ACNE04's (one lamp beside the camera) 0.9; a shadow of 1.5 stops over half of
# a face has 1.25, one of 2 stops 1.6. All 30 faces of the wrinkles' valid photos that lie above
# were looked at: one side is in the shade, or the sun shines below a brim.
MAX_FALL = 1.3  # stops that the light falls by over the distance between the pupils
CELL = 8  # px; side of the squares whose mean light is compared
CELL_SHARE = 0.6  # of a square that must count
ENOUGH_CELLS = 30

# See `_colourfulness`. London faces have 0.014 and more, ACNE04's 0.018; black and white, sepia and tinted prints have
# 0.008 (95 %), saved as JPEG at quality 60 or with noise on top too. Half the colour is left with 0.012, the median.
MIN_COLOUR = 0.0095
MIN_COLOUR_ANYWHERE = 4.0  # without landmarks: chroma of the most colourful twentieth, 8-bit Cb and Cr
COLOUR_CELL = 16  # px; side of squares whose mean colours are compared: JPEG keeps finer colour badly
CHROMA_FLOOR = 16.0  # added to the luma that chroma is divided by, so that noise in the dark is not colour

# Colours are natural logarithms of ratios of linear light: warmth, R/B, and magenta, RB/G². Skin is the warmer the
# darker it is; lesions and flushes are magenta, so the calmer half of the face is measured.
MAX_WARMTH = 1.95  # orange light: London faces have 0.4 to 1.1, lamplight at home up to 1.9
MIN_WARMTH = 0.15  # the light of the sky: London faces have 0.47 and more
MIN_MAGENTA = -0.4  # green light: London faces have 0.05 and more
# Blue light raises magenta and lowers warmth. London faces have 0.05 at most, but a flushed one 0.15.
MAX_BLUE, WARMTH_SHARE = 0.22, 0.4  # magenta less so much of the warmth
MAX_BLUE_ANYWHERE = 0.30  # without landmarks: inflamed cheeks that fill the photo reach 0.25
# Whites of open eyes confirm a cast that skin alone leaves in doubt: those of London faces have magenta -0.1 to 0.25,
# warmth -0.04 to 0.37; a flushed face has white eyes.
RED_WHITE, RED_SKIN, BLUE_SKIN = 0.25, 0.44, 0.12  # red or blue light: magenta of the whites and of the skin, or blue
YELLOW_WHITE, YELLOW_SKIN = -0.18, 0.10  # yellow or green light: magenta of both below
BLUE_WHITE, COOL_SKIN = -0.07, 0.5  # blue light, of the sky for example: warmth of both below
# Eyes are open where their whites are much less warm than the skin; else lids are measured.
OPEN_WARMTH, OPEN_CONTRAST = 0.65, 0.3
LIT = (40.0, 90.0)  # percentiles of luma: skin without shade and highlights
IRIS = 0.11  # radius about the middle of the eye that is left out, in distances between the pupils
DIM_WHITE = 0.35  # of the skin's light; whites of London faces have 0.6 and more of it, sunglasses less
WHITE_LUMA, WHITE_CHROMA = 60.0, 30.0  # percentiles in an eye: the brighter pixels, and of those the least colourful
ENOUGH_IN_EYE = 12  # px
LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # of linear light (ITU-R BT.709)

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Light:
    """The light on a face.

    Attributes:
        ratios: too_dark, too_bright, uneven_light, tinted, no_colour → how far the photo is from that issue, 0 to 2:
            below 1 it has it.
        crushed: bool (256, 256), pixels whose colour is lost in the dark.
        blown: bool (256, 256), pixels whose colour is lost in the light.
        exposure: what linear light must be multiplied by to be that of a well exposed photo; 1 where that is not known.
    """

    ratios: Mapping[str, float]
    crushed: Mask
    blown: Mask
    exposure: float


@dataclass(frozen=True, slots=True)
class _Eye:
    """What is between the lids, and that without the iris, were it in the middle; bool (256, 256)."""

    whole: Mask
    white: Mask


@dataclass(frozen=True, slots=True)
class _Colour:
    """Colour of light from a surface: natural logarithms of R/B and of RB/G²."""

    warmth: float
    magenta: float


def measure_light(pixels: Pixels, skin: Mask, parts: FaceParts | None, shown: Mask) -> Light:
    """Measure the light on a face; without landmarks, on the skin, or on the whole photo where none is seen.

    Args:
        pixels: uint8 (256, 256, 3), sRGB: the crop at half its size.
        skin: bool (256, 256), skin that is seen.
        parts: of the face, in pixels of the crop.
        shown: bool (256, 256), the part that shows the photo.
    """
    peak = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    blown, crushed = peak >= BLOWN, peak < CRUSHED
    whole, face = _areas(skin, parts, shown)
    eyes = [] if parts is None else _eyes(parts, shown)
    ycc = Image.fromarray(pixels).convert("YCbCr")
    luma = np.asarray(ycc.getchannel(0))
    no_colour = _colourfulness(ycc, whole, has_face=parts is not None)
    clear = ~(blown | crushed)
    surface = skin if np.count_nonzero(skin & clear) >= ENOUGH or parts is None else face
    if parts is None and np.count_nonzero(skin) < MIN_SKIN_SHARE * np.count_nonzero(shown):
        surface = np.zeros_like(skin)  # pixels that look like skin by chance have no light
    whites = [eye.white & clear for eye in eyes]
    tinted, eyes_are_open = _whiteness(pixels, surface & clear, whites, has_face=parts is not None)
    ratios = {
        "too_dark": _brightness(luma, whole, eyes, has_face=parts is not None),
        "too_bright": MAX_BLOWN_SHARE / max(_share(blown, face), 1e-6),
        "uneven_light": 2.0 if parts is None else MAX_FALL / max(_fall(pixels, skin, face, parts), 1e-6),
        "tinted": 2.0 if no_colour < 1 else tinted,
        "no_colour": no_colour,
    }
    for mask in (crushed, blown):
        mask.setflags(write=False)
    exposure = _exposure(luma, eyes) if eyes_are_open else 1.0
    clipped = {issue: float(np.clip(ratio, 0.0, 2.0)) for issue, ratio in ratios.items()}
    return Light(clipped, crushed, blown, exposure)


def _exposure(luma: NDArray[np.uint8], eyes: list[_Eye]) -> float:
    """What linear light must be multiplied by, so that the whites of open eyes are as bright as in good light.

    1 where they nearly are: whites differ between people by half a stop.
    """
    code = max(_percentile(luma[eye.whole], WHITE_PERCENTILE) for eye in eyes)
    factor = float(LINEAR[USUAL_WHITE] / LINEAR[int(code)]) if code > 0 else 1.0
    (dark, dim), (bright, glaring) = DIM_WHITES, GLARING_WHITES
    weight = np.interp(code, (dark, dim, bright, glaring), (1.0, 0.0, 0.0, 1.0))
    return float(factor ** float(weight))


def unjudged(light: Light) -> dict[str, Unseen]:
    """The concerns that cannot be judged in this light, each with its reason.

    The colours of a tinted photo are the lamp's, not the skin's: its concerns have no colour either.
    """
    reasons: tuple[tuple[str, Unseen], ...] = (
        ("no_colour", "no_colour"),
        ("too_dark", "too_dark"),
        ("too_bright", "too_bright"),
        ("tinted", "no_colour"),  # the last: channels that are blown look tinted
    )
    for issue, reason in reasons:
        if light.ratios[issue] < 1:
            return dict.fromkeys(COLOUR_CONCERNS, reason)
    return {}


def _areas(skin: Mask, parts: FaceParts | None, shown: Mask) -> tuple[Mask, Mask]:
    """The whole face, and the face without its features, as far as they are shown.

    Without landmarks both are the skin, or all that is shown where there is no skin.
    """
    if parts is None:
        area = skin if np.count_nonzero(skin) >= ENOUGH else shown
        return area, area
    whole = raster([(parts.outline, 0.0)], SIZE, SCALE) & shown
    face = whole & ~raster(parts.features, SIZE, SCALE)
    return (whole, face) if np.count_nonzero(face) >= ENOUGH else (shown, shown)


def _eyes(parts: FaceParts, shown: Mask) -> list[_Eye]:
    """The two eyes; without those of which too little is shown."""
    eyes = []
    for outline, _ in parts.features[:2]:
        whole = raster([(outline, 0.0)], SIZE, SCALE) & shown
        if np.count_nonzero(whole) < ENOUGH_IN_EYE:
            continue
        white = whole.copy()
        rows, columns = np.nonzero(whole)
        across, down = ((columns + 0.5) / SCALE, (rows + 0.5) / SCALE) - outline.mean(axis=0)[:, None]
        white[rows, columns] = np.hypot(across, down) > IRIS * parts.unit
        eyes.append(_Eye(whole, white))
    return eyes


def _brightness(luma: NDArray[np.uint8], whole: Mask, eyes: list[_Eye], *, has_face: bool) -> float:
    """Brightness of what is bright on any face, over the least that there must be, in linear light."""
    if not has_face:
        return _light_ratio(_percentile(luma[whole], HIGHLIGHT_PERCENTILE_ANYWHERE), MIN_HIGHLIGHT_ANYWHERE)
    highlight = _percentile(luma[whole], HIGHLIGHT_PERCENTILE)
    white = max((_percentile(luma[eye.whole], WHITE_PERCENTILE) for eye in eyes), default=0.0)
    return max(_light_ratio(highlight, MIN_HIGHLIGHT), _light_ratio(white, MIN_WHITE))


def _light_ratio(code: float, limit: int) -> float:
    return float(LINEAR[int(code)] / LINEAR[limit])


def _fall(pixels: Pixels, skin: Mask, face: Mask, parts: FaceParts) -> float:
    """How steeply the light falls over the face, in stops a distance between the pupils.

    Skin in deep shade does not look like skin: across, where hair and beards darken both sides alike, the whole face
    is measured too.
    """
    light = LINEAR[pixels[::THINNED, ::THINNED]] @ LUMA
    across, down = _slopes(light, skin[::THINNED, ::THINNED], parts)
    across_face, _ = _slopes(light, face[::THINNED, ::THINNED], parts)
    return max(abs(across), abs(across_face), abs(down))


def _slopes(light: NDArray[np.float32], area: Mask, parts: FaceParts) -> tuple[float, float]:
    """Slopes of the plane through log2 of light, across and down the face."""
    squares, side = SIZE // CELL, CELL // THINNED
    shape = squares, side, squares, side
    count = area.reshape(shape).sum(axis=(1, 3))
    counts = count >= CELL_SHARE * side**2
    if np.count_nonzero(counts) < ENOUGH_CELLS:
        return 0.0, 0.0
    stops = np.log2((light * area).reshape(shape).sum(axis=(1, 3))[counts] / count[counts] + 1e-3)
    rows, columns = np.nonzero(counts)
    centres = (np.stack([columns, rows]) + 0.5) * (CELL / SCALE)
    own = np.linalg.inv(parts.axes[:, :2]) @ (centres - parts.axes[:, 2:])
    plane = np.linalg.lstsq(np.column_stack([own.T, np.ones(len(stops))]), stops, rcond=None)[0]
    return float(plane[0]), float(plane[1])


def _colourfulness(ycc: Image.Image, whole: Mask, *, has_face: bool) -> float:
    """Colour over the least of a colour photo.

    In a sepia print, and in any other that has been tinted, chroma depends on lightness alone. Lips, cheeks, eyes and
    hair of a face differ in colour where they are equally light: measured is the chroma, over luma, that a cubic
    polynomial of luma does not explain.
    """
    if not has_face:
        chroma = np.asarray(ycc)[::THINNED, ::THINNED, 1:][whole[::THINNED, ::THINNED]] - 128.0
        return _percentile(np.hypot(*chroma.T), 95.0) / MIN_COLOUR_ANYWHERE
    cells = np.asarray(ycc.reduce(COLOUR_CELL), dtype=np.float64)
    squares = SIZE // COLOUR_CELL
    inside = whole.reshape(squares, COLOUR_CELL, squares, COLOUR_CELL).mean(axis=(1, 3)) > 0.5
    luma, chroma = cells[inside][:, 0], cells[inside][:, 1:] - 128.0
    if len(luma) < ENOUGH // COLOUR_CELL:
        return 2.0
    powers = np.vander(luma / 128.0 - 1.0, 4)
    rest = chroma - powers @ np.linalg.lstsq(powers, chroma, rcond=None)[0]
    spread = np.sqrt(np.mean(np.sum(rest**2, axis=1) / (luma + CHROMA_FLOOR) ** 2))
    return float(spread) / MIN_COLOUR


def _whiteness(pixels: Pixels, surface: Mask, whites: list[Mask], *, has_face: bool) -> tuple[float, bool]:
    """How far the light is from being coloured, 1 at the threshold of the nearest colour; and whether eyes are open."""
    thinned = pixels[::THINNED, ::THINNED][surface[::THINNED, ::THINNED]]
    if len(thinned) < ENOUGH // THINNED**2:
        return 2.0, False
    lit = _lit(LINEAR[thinned])
    skin = _colour(_calm(lit))
    blue = skin.magenta - WARMTH_SHARE * skin.warmth
    ratios = [
        MAX_WARMTH / max(skin.warmth, 1e-6),
        skin.warmth / MIN_WARMTH,
        MIN_MAGENTA / min(skin.magenta, -1e-6),
        (MAX_BLUE if has_face else MAX_BLUE_ANYWHERE) / max(blue, 1e-6),
    ]
    white = _white(pixels, whites, DIM_WHITE * float(np.median(lit @ LUMA)))
    is_open = bool(white and white.warmth < OPEN_WARMTH and skin.warmth - white.warmth > OPEN_CONTRAST)
    if white and is_open:
        reddest = min(RED_SKIN / max(skin.magenta, 1e-6), BLUE_SKIN / max(blue, 1e-6))
        ratios.append(max(RED_WHITE / max(white.magenta, 1e-6), reddest))
        ratios.append(max(YELLOW_WHITE / min(white.magenta, -1e-6), skin.magenta / YELLOW_SKIN))
    if white:
        ratios.append(max(BLUE_WHITE / min(white.warmth, -1e-6), skin.warmth / COOL_SKIN))
    return min(ratios), is_open


def _lit(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The pixels (n, 3) that are neither in shade nor shine."""
    luma = light @ LUMA
    low, high = np.percentile(luma, LIT)
    return np.asarray(light[(luma >= low) & (luma <= high)])


def _calm(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The half of the pixels (n, 3) that is the least magenta."""
    red, green, blue = np.log(light + np.float32(1e-3)).T
    magenta = red + blue - 2 * green
    return np.asarray(light[magenta <= np.median(magenta)])


def _white(pixels: Pixels, whites: list[Mask], least: float) -> _Colour | None:
    """The colour of the whites of the eyes; None where there is none as bright as `least`, in linear light."""
    found = []
    for white in whites:
        light = LINEAR[pixels[white]] + np.float32(1e-3)  # no division by zero
        if len(light) < ENOUGH_IN_EYE:
            continue
        luma = light @ LUMA
        light = light[luma >= np.percentile(luma, WHITE_LUMA)]
        chroma = light.max(axis=1) / light.min(axis=1)
        light = light[chroma <= np.percentile(chroma, WHITE_CHROMA)]
        if np.median(light @ LUMA) >= least:
            found.append(light)
    return _colour(np.concatenate(found)) if found else None


def _colour(light: NDArray[np.float32]) -> _Colour:
    """The colour of the median of pixels (n, 3)."""
    red, green, blue = np.log(np.median(light, axis=0).astype(np.float64) + 1e-4).tolist()
    return _Colour(warmth=red - blue, magenta=red + blue - 2 * green)


def _share(mask: Mask, area: Mask) -> float:
    return float(np.count_nonzero(mask & area)) / max(int(np.count_nonzero(area)), 1)


def _percentile(values: NDArray[np.uint8] | NDArray[np.float64], percent: float) -> float:
    """A percentile of one-dimensional values, without interpolation; 0 where there is none."""
    if not values.size:
        return 0.0
    rank = min(int(values.size * percent / 100), values.size - 1)
    return float(np.partition(values, rank)[rank])
