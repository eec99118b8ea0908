"""The legend of the overlay: an Analysis as a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import get_args

from PIL import Image, ImageDraw, ImageFont

from bentos.skin.options import USUAL_LAYERS
from bentos.skin.schema import Acne, Analysis, Measurement, ToneGroup, Wrinkles

Colour = tuple[int, int, int]

BACKGROUND: Colour = (17, 20, 26)
INK: Colour = (242, 244, 248)
FAINT: Colour = (158, 168, 182)
TRACK: Colour = (50, 56, 67)

FACE: Colour = (255, 255, 255)
LESION: Colour = (255, 77, 109)
WRINKLE_ZONE: Colour = (255, 200, 87)
COLOUR_ZONE: Colour = (104, 196, 255)

HEAT: dict[str, Colour] = {  # of each concern's heat map; none is a colour of skin
    "acne": (255, 60, 140),
    "wrinkles": (255, 214, 0),
    "redness": (255, 20, 20),
    "pigmentation": (150, 70, 255),
    "shine": (40, 150, 255),
    "texture": (0, 220, 180),
}

MODEL: Colour = (52, 211, 153)
HEURISTIC: Colour = (148, 170, 205)
DEGRADED: Colour = (255, 138, 48)
WARNING: Colour = (255, 200, 87)

SCORE_STOPS: tuple[Colour, Colour, Colour] = ((52, 211, 153), (255, 200, 87), (255, 77, 109))  # at 0, 50 and 100
TONE_SAMPLES: dict[str, Colour] = {  # skin of the middle of each ITA group, for the scale only
    "very_light": (246, 222, 206),
    "light": (232, 196, 170),
    "intermediate": (212, 166, 130),
    "tan": (182, 132, 96),
    "brown": (134, 90, 62),
    "dark": (78, 52, 40),
}

MARGIN = 22  # all lengths here are in units, which `draw_legend` takes in px
COLUMN = 380  # units, the width everything is laid out for
SMOOTHING = 4  # supersampling of round shapes; FreeType smooths text

_NAMES = {"crows_feet": "crow's feet", "cheek_left": "left cheek", "cheek_right": "right cheek"}


@dataclass(slots=True)
class _Pen:
    """A position in the picture; `y` moves down as blocks are drawn. Lengths are in units, positions in px."""

    image: Image.Image
    x: float
    y: float
    width: float
    unit: float

    def text(self, text: str, size: float, colour: Colour = INK, *, bold: bool = False, right: bool = False) -> None:
        """One line at the cursor, cut to the width; does not move on."""
        font = _font(round(size * self.unit))
        line = _fitting(_clean(text), font, self.width)
        x = self.x + self.width - font.getlength(line) if right else self.x
        stroke = 0.022 * size * self.unit if bold else 0  # the built-in font has one weight
        ImageDraw.Draw(self.image).text((x, self.y), line, colour, font, stroke_width=stroke)

    def paragraph(self, text: str, size: float, colour: Colour) -> None:
        """Text broken at the width; moves on below it."""
        font = _font(round(size * self.unit))
        line = ""
        for word in _clean(text).split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > self.width:
                self.text(line, size, colour)
                self.down(size * 1.35)
                line = word
            else:
                line = longer
        self.text(line, size, colour)
        self.down(size * 1.35)

    def pill(
        self, x: float, y: float, width: float, height: float, colour: Colour, radius: float | None = None
    ) -> None:
        """A rounded box; px, from the cursor."""
        left, top = round(self.x + x), round(self.y + y)
        size = max(1, round(width)), max(1, round(height))
        mask = Image.new("L", (size[0] * SMOOTHING, size[1] * SMOOTHING))
        limit = min(mask.size) / 2
        corner = limit if radius is None else min(radius * SMOOTHING, limit)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), corner, fill=255)
        self.image.paste(colour, (left, top), mask.reduce(SMOOTHING))

    def bar(self, share: float, colour: Colour, height: float = 8) -> None:
        """A gauge over the whole width; moves on below it."""
        tall = height * self.unit
        self.pill(0, 0, self.width, tall, TRACK)
        if share > 0:
            self.pill(0, 0, max(min(share, 1.0) * self.width, tall), tall, colour)
        self.down(height)

    def down(self, units: float) -> None:
        self.y += units * self.unit


Block = Callable[[_Pen, Analysis], None]


def draw_legend(
    analysis: Analysis, width: int, unit: float, columns: int, layers: Sequence[str] = USUAL_LAYERS
) -> Image.Image:
    """The legend, as high as its content needs.

    Args:
        analysis: shown.
        width: of the picture, in px.
        unit: px per unit; text is 12 to 24 units high.
        columns: 1 (beside a photo, or below a narrow one) or 3 (below a wide one).
        layers: that are drawn into the photo.
    """
    concerns: list[Block] = [_acne, _wrinkles]
    measurements: list[Block] = [_measurement(name) for name in ("redness", "pigmentation", "shine", "texture")]
    key = _key(layers)
    layout: list[list[Block]] = [[_source, *concerns, *measurements, _quality, _tone, key, _notice]]
    if columns == 3:
        layout = [[_source, _quality, _tone], [*concerns, key, _notice], measurements]
    margin = MARGIN * unit
    column = (width - margin * (columns + 1)) / columns
    canvas = Image.new("RGB", (width, round((1400 if columns == 1 else 800) * unit)), BACKGROUND)
    bottom = 0.0
    for i, blocks in enumerate(layout):
        pen = _Pen(canvas, margin + i * (column + margin), margin, column, unit)
        for block in blocks:
            block(pen, analysis)
        bottom = max(bottom, pen.y)
    return canvas.crop((0, 0, width, min(round(bottom + margin * 0.5), canvas.height)))


def source_colour(analysis: Analysis) -> Colour:
    """The colour that marks the runner that answered."""
    if analysis.degraded:
        return DEGRADED
    return MODEL if analysis.source == "model" else HEURISTIC


def _source(pen: _Pen, analysis: Analysis) -> None:
    """Which runner found acne and wrinkles; conspicuous when the model should have answered and did not."""
    colour = source_colour(analysis)
    reason = _label(analysis.reason) if analysis.reason else ""
    if analysis.degraded:
        title, detail = f"DEGRADED: {analysis.source.upper()}", f"The model did not answer: {reason or 'unknown'}"
    elif analysis.source == "model":
        title, detail = "MODEL", f"{analysis.model.name} {analysis.model.version}" if analysis.model else ""
    else:
        title, detail = "HEURISTIC", reason
    unit = pen.unit
    pen.pill(0, 0, pen.width, (62 if detail else 42) * unit, colour, 10 * unit)
    inner = replace(pen, x=pen.x + 16 * unit, y=pen.y + 9 * unit, width=pen.width - 32 * unit)
    inner.text(title, 20, BACKGROUND, bold=True)
    inner.down(27)
    inner.text(detail, 14, BACKGROUND)
    pen.down((62 if detail else 42) + 20)


def _concern(pen: _Pen, name: str, finding: Acne | Wrinkles | Measurement, detail: str) -> None:
    pen.text(name, 18, bold=True)
    if finding.score is None:
        pen.text("not judged", 15, FAINT, right=True)
        pen.down(26)
        pen.text(_label(finding.reason) if finding.reason else "", 12.5, FAINT)
        pen.down(28)
        return
    pen.text(str(finding.score), 18, right=True, bold=True)
    pen.down(26)
    pen.bar(finding.score / 100, _score_colour(finding.score))
    pen.down(6)
    pen.text(detail, 12.5, FAINT)
    unseen = "" if isinstance(finding, Acne) else _unseen(finding)
    if unseen:
        pen.down(17)
        pen.text(unseen, 12.5, FAINT)
    pen.down(28)


def _acne(pen: _Pen, analysis: Analysis) -> None:
    acne = analysis.concerns.acne
    lesions = f"{acne.count} lesion" + ("" if acne.count == 1 else "s")
    severity = _label(acne.severity) if acne.severity else ""
    _concern(pen, "Acne", acne, f"{severity} · {lesions} · {acne.source}{_sure(acne)}")


def _wrinkles(pen: _Pen, analysis: Analysis) -> None:
    wrinkles = analysis.concerns.wrinkles
    _concern(pen, "Wrinkles", wrinkles, f"{_strongest(wrinkles)} · {wrinkles.source}{_sure(wrinkles)}")


def _measurement(name: str) -> Block:
    def block(pen: _Pen, analysis: Analysis) -> None:
        measurement: Measurement = getattr(analysis.concerns, name)
        _concern(pen, name.capitalize(), measurement, _strongest(measurement))

    return block


def _quality(pen: _Pen, analysis: Analysis) -> None:
    quality = analysis.quality
    pen.text("Photo quality", 15)
    if quality.score is None:
        pen.text("not assessed", 15, FAINT, right=True)
        pen.down(36)
        return
    pen.text(f"{quality.score:.2f}", 15, right=True)
    pen.down(22)
    pen.bar(quality.score, _score_colour(100 - 100 * quality.score), 6)
    pen.down(8)
    if quality.issues:
        font = _font(round(12.5 * pen.unit))
        x, row, gap = 0.0, 22 * pen.unit, 6 * pen.unit
        for issue in quality.issues:
            label = _label(issue)
            chip = min(font.getlength(label) + 18 * pen.unit, pen.width)
            if x and x + chip > pen.width:
                x = 0.0
                pen.y += row + gap
            pen.pill(x, 0, chip, row, WARNING)
            inner = replace(pen, x=pen.x + x + 9 * pen.unit, y=pen.y + 3 * pen.unit)
            inner.text(label, 12.5, BACKGROUND)
            x += chip + gap
        pen.y += row
        pen.down(16)
    else:
        pen.text("no issues", 12.5, FAINT)
        pen.down(28)


def _tone(pen: _Pen, analysis: Analysis) -> None:
    tone = analysis.tone
    pen.text("Skin tone", 15)
    pen.text(_label(tone.group) if tone else "not judged", 15, right=True)
    pen.down(24)
    groups = get_args(ToneGroup)
    gap = 5 * pen.unit
    step = (pen.width + gap) / len(groups)
    for i, group in enumerate(groups):
        if tone and tone.group == group:
            pen.pill(
                i * step - 3 * pen.unit, -3 * pen.unit, step - gap + 6 * pen.unit, 20 * pen.unit, INK, 6 * pen.unit
            )
            pen.pill(i * step - pen.unit, -pen.unit, step - gap + 2 * pen.unit, 16 * pen.unit, BACKGROUND, 5 * pen.unit)
        pen.pill(i * step, 0, step - gap, 14 * pen.unit, TONE_SAMPLES[group], 4 * pen.unit)
    pen.down(21)
    if tone:
        pen.text(f"ITA {tone.ita_degrees:.0f}° in this photo, uncalibrated", 12.5, FAINT)
        pen.down(28)
    else:
        pen.down(8)


def _key(layers: Sequence[str]) -> Block:
    """The meaning of the lines and colours in the photo."""
    entries: list[tuple[str, Colour]] = []
    if "boxes" in layers:
        entries += [("face", FACE), ("lesion, bold: sure", LESION)]
    if "zones" in layers:
        entries += [("wrinkle zone", WRINKLE_ZONE), ("skin zone", COLOUR_ZONE)]
    entries += [(f"map of {name}", HEAT[name]) for name in layers if name in HEAT]

    def block(pen: _Pen, _: Analysis) -> None:
        half = replace(pen, x=pen.x, width=pen.width / 2)
        for i, (label, colour) in enumerate(entries):
            half.x = pen.x + (i % 2) * pen.width / 2
            half.pill(0, 6 * pen.unit, 18 * pen.unit, 3.5 * pen.unit, colour)
            half.x += 26 * pen.unit
            half.text(label, 12.5, FAINT)
            if i % 2 or i == len(entries) - 1:
                half.down(20)
        pen.y = half.y
        pen.down(10)

    return block


def _notice(pen: _Pen, analysis: Analysis) -> None:
    pen.paragraph(analysis.notice, 11.5, FAINT)


def _strongest(finding: Wrinkles | Measurement) -> str:
    """The two zones with the highest values, of those that are seen."""
    seen = [(name, share) for name, share in finding.zones.model_dump().items() if share is not None]
    if not seen:
        return "all skin that is seen"
    zones = sorted(seen, key=lambda item: -item[1])
    strongest = [f"{_label(name)} {share:.2f}" for name, share in zones[:2] if share >= 0.005]
    return ", ".join(strongest) or "no zone stands out"


def _unseen(finding: Wrinkles | Measurement) -> str:
    """The zones that are not seen, by why; nothing where there is no face to have zones."""
    by_reason: dict[str, list[str]] = {}
    for zone, reason in finding.unseen.items():
        if reason != "no_face":
            by_reason.setdefault(_label(reason), []).append(_label(zone))
    return "; ".join(f"{reason}: {', '.join(zones)}" for reason, zones in by_reason.items())


def _sure(finding: Acne | Wrinkles) -> str:
    return "" if finding.confidence is None else f" · confidence {finding.confidence:.2f}"


def _score_colour(score: float) -> Colour:
    low, middle, high = SCORE_STOPS
    start, end, share = (low, middle, score / 50) if score < 50 else (middle, high, score / 50 - 1)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
    return red, green, blue


def _label(code: str) -> str:
    return _NAMES.get(code, code.replace("_", " "))


def _clean(text: str) -> str:
    """One line of text that can be encoded, whatever a manifest or a client has sent."""
    return " ".join(text.encode("utf-8", "replace").decode().replace("\0", " ").split())


def _fitting(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The line, cut with an ellipsis where it is too long."""
    if font.getlength(line[:400]) <= width and len(line) <= 400:
        return line
    fits: Sequence[str] = [line[:n] for n in range(min(len(line), 400)) if font.getlength(line[:n] + "…") <= width]
    return f"{fits[-1].rstrip()}…" if fits else ""


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font (Aileron), which is always there."""
    font = ImageFont.load_default(max(size, 1))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font
