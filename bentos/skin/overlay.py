"""Analysis + photo → picture: the findings drawn into the photo, with a legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bentos.skin.layers import HeatMaps
from bentos.skin.layers import Point as PhotoPoint
from bentos.skin.legend import (
    BACKGROUND,
    COLOUR_ZONE,
    COLUMN,
    FACE,
    HEAT,
    LESION,
    MARGIN,
    WRINKLE_ZONE,
    Colour,
    draw_legend,
    source_colour,
)
from bentos.skin.options import MAX_WIDTH, Options
from bentos.skin.photo.decode import Photo
from bentos.skin.schema import Analysis

MAX_SIDE = 1600  # px, the photo's long side in the picture
MIN_SIDE = 1200  # px; a smaller photo is magnified, so that lines and text keep their proportion to it
WIDE = 1.3  # width over height from which the legend goes below the photo
LEGEND_HEIGHT = 870  # units of the legend's one-column form, lines of unseen zones included; it fits beside a photo
MIN_UNIT, MAX_UNIT = 0.95, 2.0  # px; below, text is hard to read, above, it is clumsy
NARROW_UNIT = 0.5  # px; in a picture whose width was asked for, where less is too little for the legend
MAX_HEIGHT = 2 * MAX_WIDTH  # px; of a photo whose picture's width was asked for
SUPERSAMPLING = 2  # lines are drawn so many times larger and averaged
LINE = 1 / 500  # width over the photo's long side, ...
FACE_LINE = 1 / 140  # ... and at most this over the face's, or small faces vanish behind their boxes
HALO = 0.55  # opacity of the dark rim that sets every line off from light skin
FRAME = 8  # px, around a degraded answer
ZONE_OPACITY, TINT_OPACITY, HEAT_OPACITY = 0.8, 0.35, 0.8

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A closed outline to draw: line width in px, 0 to fill it; opacity 0..1."""

    points: Points
    width: float
    opacity: float


class _Layer:
    """The part of a picture that marks may cover; marks are smoothed by supersampling.

    Args:
        picture: painted into.
        outlines: all that will be drawn, px.
        margin: how far lines may extend beyond them, px.
    """

    def __init__(self, picture: Image.Image, outlines: list[Points], margin: float) -> None:
        self._picture = picture
        corners = np.array([point for points in outlines for point in points]).reshape(-1, 2)
        if not len(corners):
            corners = np.zeros((1, 2))
        low = np.clip(corners.min(axis=0) - margin - 1, 0, picture.size).astype(int)
        high = np.clip(corners.max(axis=0) + margin + 2, 0, picture.size).astype(int)
        self._left, self._top = int(low[0]), int(low[1])
        self._size = int(high[0] - low[0]), int(high[1] - low[1])

    def paint(self, colour: Colour, marks: list[_Mark]) -> None:
        """Paints marks in one colour; where they overlap, the last one's opacity counts."""
        width, height = self._size
        if not marks or not width or not height:
            return
        mask = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
        pen = ImageDraw.Draw(mask)
        for mark in marks:
            points = [((x - self._left) * SUPERSAMPLING, (y - self._top) * SUPERSAMPLING) for x, y in mark.points]
            shade = round(255 * mark.opacity)
            if mark.width:
                closed = [*points, *points[:2]]  # once more along the first side, so that the last corner is round too
                pen.line(closed, shade, max(1, round(mark.width * SUPERSAMPLING)), joint="curve")
            else:
                pen.polygon(points, shade)
        self._picture.paste(colour, (self._left, self._top), mask.reduce(SUPERSAMPLING))


Outlines = Mapping[str, Sequence[PhotoPoint] | None]


def draw(
    photo: Photo, analysis: Analysis, outlines: Outlines, heat: HeatMaps | None = None, options: Options | None = None
) -> bytes:
    """Draws face, lesions, zones and heat maps into the photo, and the legend beside or below it.

    Args:
        photo: the upright photo.
        analysis: its findings; boxes in pixels of the upright photo.
        outlines: zone → polygon in pixels of the upright photo, or None for one that is not seen; as of
            `layers.outlines`.
        heat: the heat maps; None where no layer needs them.
        options: what to draw, whether with a legend, and how wide.

    Returns:
        A PNG, RGB. Without a width, the photo is at most MAX_SIDE px long in it; with one, the picture is as wide.
    """
    options = options or Options()
    picture = _shown(photo, options.width)
    scale = np.array([picture.width / photo.width, picture.height / photo.height])
    line = max(picture.size) * LINE
    if analysis.face and analysis.face.box[2] > 0:
        line = max(min(line, float(analysis.face.box[2] * scale[0]) * FACE_LINE), 1.0)
    for name in options.layers:
        if heat is not None and heat.pictures.get(name) is not None:
            _draw_heat(picture, heat, name, scale)
    if "zones" in options.layers:
        _draw_zones(picture, analysis, outlines, scale, line)
    if "boxes" in options.layers:
        _draw_boxes(picture, analysis, scale, line)
    if options.legend:
        picture = _with_legend(picture, analysis, options)
    elif options.width is not None and picture.width < options.width:  # a photo much higher than wide
        picture = _centred(picture, (options.width, picture.height))
    if analysis.degraded:
        ImageDraw.Draw(picture).rectangle(
            (0, 0, picture.width - 1, picture.height - 1), outline=source_colour(analysis), width=FRAME
        )
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _shown(photo: Photo, width: int | None) -> Image.Image:
    """The photo at the size it is shown: in its usual size, or `width` px wide if that is not too high."""
    if width is None:
        side = max(photo.width, photo.height)
        factor = min(max(side, MIN_SIDE), MAX_SIDE) / side
    else:
        factor = min(width / photo.width, MAX_HEIGHT / photo.height)
    size = max(1, round(photo.width * factor)), max(1, round(photo.height * factor))
    picture = Image.fromarray(photo.pixels)
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0) if size != picture.size else picture.copy()


def _draw_heat(picture: Image.Image, heat: HeatMaps, name: str, scale: NDArray[np.float64]) -> None:
    """A heat map in its concern's colour; the stronger, the denser."""
    shares = heat.pictures[name]
    corners = _rectangle(heat.box, scale, picture.size, 0.0)
    if shares is None or corners is None:
        return
    (left, top), (right, bottom) = (tuple(round(value) for value in corner) for corner in (corners[0], corners[2]))
    size = max(1, right - left + 1), max(1, bottom - top + 1)
    mask = Image.fromarray(np.ascontiguousarray(shares)).resize(size, Image.Resampling.BICUBIC)
    picture.paste(HEAT[name], (left, top), mask.point([round(HEAT_OPACITY * value) for value in range(256)]))


def _draw_zones(
    picture: Image.Image, analysis: Analysis, outlines: Outlines, scale: NDArray[np.float64], line: float
) -> None:
    """Outlines of the zones that are seen; wrinkle zones are tinted as strongly as they are wrinkled."""
    shares = analysis.concerns.wrinkles.zones.model_dump()
    layers: dict[Colour, list[Points]] = {COLOUR_ZONE: [], WRINKLE_ZONE: []}
    tints: list[tuple[Points, float]] = []
    for name, outline in outlines.items():
        zone = name.removesuffix("_left").removesuffix("_right")
        if outline is None or name == "face":
            continue
        corners = np.array(outline, dtype=np.float64) * scale
        if not np.isfinite(corners).all() or np.abs(corners).max() > 1e5:  # Pillow counts in 32 bits
            continue
        points = _rounded(corners)
        layers[WRINKLE_ZONE if zone in shares else COLOUR_ZONE].append(points)
        if share := shares.get(zone):
            tints.append((points, share))
    every = [points for found in layers.values() for points in found]
    layer = _Layer(picture, every, line)
    layer.paint(WRINKLE_ZONE, [_Mark(points, 0, share * TINT_OPACITY) for points, share in tints])
    layer.paint((0, 0, 0), [_Mark(points, 1.6 * line, HALO * 0.6) for points in every])
    for colour, found in layers.items():
        layer.paint(colour, [_Mark(points, 0.8 * line, ZONE_OPACITY) for points in found])


def _rounded(outline: NDArray[np.float64]) -> Points:
    """A closed outline with its corners cut twice (Chaikin, 1974): (n, 2) → 4n points."""
    for _ in range(2):
        following = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following], axis=1).reshape(
            -1, 2
        )
    return [(float(x), float(y)) for x, y in outline]


def _draw_boxes(picture: Image.Image, analysis: Analysis, scale: NDArray[np.float64], line: float) -> None:
    """The boxes of face and lesions; the higher the confidence, the bolder the line."""
    boxes = [
        (box, (0.45 + 1.1 * lesion.confidence) * line)
        for lesion in analysis.concerns.acne.boxes
        if (box := _rectangle(lesion.box, scale, picture.size, line))
    ]
    face = analysis.face and _rectangle(analysis.face.box, scale, picture.size, 0.0)
    outlines = [points for points, _ in boxes] + ([face] if face else [])
    layer = _Layer(picture, outlines, 3 * line)
    if face:
        layer.paint((0, 0, 0), [_Mark(face, 2.4 * line, HALO)])
        layer.paint(FACE, [_Mark(face, 1.2 * line, 1.0)])
    layer.paint((0, 0, 0), [_Mark(points, width + 1.2 * line, HALO) for points, width in boxes])
    layer.paint(LESION, [_Mark(points, width, 1.0) for points, width in boxes])


def _rectangle(
    box: tuple[float, float, float, float], scale: NDArray[np.float64], size: tuple[int, int], outset: float
) -> Points | None:
    """Corners in the picture of a box in photo pixels, kept inside it; None for an invalid box."""
    x, y, width, height = box
    corners = np.array([(x, y), (x + width, y + height)]) * scale + np.array([[-outset], [outset]])
    if not np.isfinite(corners).all() or width < 0 or height < 0:
        return None
    (x0, y0), (x1, y1) = np.clip(corners, 0, np.array(size) - 1).tolist()
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _with_legend(picture: Image.Image, analysis: Analysis, options: Options) -> Image.Image:
    """The picture and its legend side by side; one below the other where the photo is wide, or its width is asked for.

    A legend beside it would be as wide again, and one of a given width would leave the photo little of it.
    """
    asked, (width, height) = options.width, picture.size
    if asked is not None or width >= WIDE * height:
        full = asked or width
        columns = 3 if full >= (3 * COLUMN + 4 * MARGIN) * MIN_UNIT or asked is None else 1
        across = 3 * COLUMN + 4 * MARGIN if columns == 3 else COLUMN + 2 * MARGIN
        unit = min(max(full / across, MIN_UNIT if asked is None else NARROW_UNIT), MAX_UNIT)
        legend = draw_legend(analysis, full, unit, columns, options.layers)
        whole = _centred(picture, (full, height + legend.height))
        whole.paste(legend, (0, height))
        return whole
    unit = min(max(height / LEGEND_HEIGHT, MIN_UNIT), MAX_UNIT)
    legend = draw_legend(analysis, round((COLUMN + 2 * MARGIN) * unit), unit, 1, options.layers)
    whole = Image.new("RGB", (width + legend.width, max(height, legend.height)), BACKGROUND)
    whole.paste(picture, (0, (whole.height - height) // 2))
    whole.paste(legend, (width, 0))
    return whole


def _centred(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at the top of a larger one, in the middle of its width."""
    whole = Image.new("RGB", size, BACKGROUND)
    whole.paste(picture, ((size[0] - picture.width) // 2, 0))
    return whole
