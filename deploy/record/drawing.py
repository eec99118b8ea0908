"""The trail as a picture: four stations up a hill, and a snail as far as the gates let it. Inline SVG, no script.

Colours are the page's (page.css), by class. Two shapes are drawn, one for wide screens and one for phones; the page
shows one of them.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bentos.skin.settings import Phase
from deploy.record.phases import PhaseProgress
from deploy.record.progress import Progress

Point = tuple[float, float]
STEPS, FINE = 60, 600  # points of a curve between two stations: drawn, and computed
NEARLY = 0.78  # of the way to a station: no nearer without a proof
ARRIVED = 0.9  # with one: the head at the post, so that the sign stays seen
SETTING_OUT = 0.12


@dataclass(frozen=True)
class Shape:
    """Where things stand, in the picture's own units.

    Attributes:
        name: class of the picture.
        width, height: of the picture.
        points: the trailhead and the four stations, on the ground.
        sway: how far the trail runs level past a station before it turns.
        lift: how much it climbs on that way.
        aside: how far signs stand outward, where the trail turns under them.
        closed: whether the ground lies under the trail; else the trail winds up a mountain of its own.
    """

    name: str
    width: int
    height: int
    points: tuple[Point, ...]
    sway: float
    lift: float
    aside: float
    closed: bool

    def out(self, number: int) -> float:
        """Where the trail goes at a point: 1 to the right, -1 to the left."""
        before, after = (number - 1, number) if number else (0, 1)
        return math.copysign(1, self.points[after][0] - self.points[before][0])

    def foot(self, number: int) -> Point:
        """Of a station's sign; the last stands on the top."""
        x, y = self.points[number]
        return (x, y) if number == len(self.points) - 1 else (x + self.out(number) * self.aside, y)


WIDE = Shape("wide", 1080, 330, ((36, 292), (250, 258), (500, 222), (750, 180), (1000, 128)), 92, 0, 0, True)
TALL = Shape("tall", 400, 430, ((56, 408), (268, 356), (126, 276), (258, 196), (168, 116)), 74, 12, 38, False)

# Each within a circle of radius 15 around 0, 0.
ICONS: dict[Phase, str] = {
    "simple": '<circle r="13" class="line"/><circle r="7.5" class="line"/><circle r="2.6" class="dot"/>',
    "hybrid": '<circle cx="-3" cy="-3" r="8.5" class="line"/><path d="M3.4 3.4 11.5 11.5" class="line thick"/>',
    "foundation": '<path d="M-13 11.5H13M-13 3.5H13M-9-4.5H9M-5-12H5M-13 11.5V3.5M0 11.5V3.5M13 11.5V3.5'
    'M-9 3.5V-4.5M9 3.5V-4.5M-5-4.5V-12M5-4.5V-12M0 3.5V-4.5" class="line"/>',
    "full": '<path d="M-7.5-11.5H7.5V-5C7.5 1 4 4.5 0 4.5S-7.5 1-7.5-5ZM-7.5-8.5H-12C-12-2.5-9.5.5-6.3.5'
    'M7.5-8.5H12C12-2.5 9.5.5 6.3.5M0 4.5V9.5M-6 11.5H6M-3.5 9.5H3.5" class="line"/>',
}
BADGES = {
    "proven": '<path d="M-4 .3-1.2 3.2 4.2-3" class="tick"/>',
    "failed": '<path d="M0-4.4V1M0 3.9V4.1" class="tick"/>',
    "running": '<path d="M-3.6 0H-3.5M0 0H.1M3.6 0H3.7" class="tick"/>',
}
SNAIL = (
    '<path class="slime" d="M-34 1.5H-20"/>'
    '<path class="skin" d="M-27 2C-25-3-17-8-8-8H13C18-8 19-13 19-19 19-28 33-29 34-19 35-8 29 2 19 2Z"/>'
    '<path class="horn" d="M24-24 21-36M30-24 34-35"/><circle class="eye" cx="21" cy="-37" r="2.6"/>'
    '<circle class="eye" cx="34.5" cy="-36" r="2.6"/><path class="smile" d="M27-15C29-13.4 31-13.6 32.4-15.2"/>'
    '<circle class="shell" cx="-4" cy="-20" r="17"/>'
    '<path class="spiral" d="M-4-20C-4-22.5-.5-23-.3-19.8 0-15-8-14-9-20-10-28 3-30 6-20 8.5-10-6-5-13-11"/>'
)


def picture(progress: Progress, shape: Shape) -> str:
    """The SVG of one shape."""
    curves = [_curve(shape, leg) for leg in range(4)]
    leg, part = _place(progress.stations)
    told = _told(progress)
    whole = [point for curve in curves for point in curve]
    walked = whole[: leg * (STEPS + 1) + 1 + round(part * STEPS)]
    parts = [
        f'<svg class="trail {shape.name}" viewBox="0 0 {shape.width} {shape.height}" role="img" '
        f'aria-label="{escape(told)}">',
        _land(shape, whole),
        f'<path class="way" d="{_path(whole)}"/>',
        f'<path class="walked" d="{_path(walked)}"/>' if len(walked) > 1 else "",
        *(_post(one, shape.foot(one.number)) for one in progress.stations),
        *(
            _stone(curves[one.number - 1])
            for one in progress.stations
            if one.state == "failed" and one.number == leg + 1
        ),
        _snail(curves[leg], part),
        "</svg>",
    ]
    return "".join(parts)


def sign(station: PhaseProgress) -> str:
    """A station's icon alone, for its card; the words beside it say the same."""
    state = station.state.replace(" ", "-")
    return (
        f'<svg class="sign {state}" viewBox="-30 -30 60 60" aria-hidden="true"><circle r="27" class="plate"/>'
        f"{ICONS[station.phase]}</svg>"
    )


def _told(progress: Progress) -> str:
    states = ", ".join(f"{one.number} {one.phase} {one.state}" for one in progress.stations)
    return f"The trail: {states}. {progress.passed} of {progress.gates} gates passed."


def _place(stations: Sequence[PhaseProgress]) -> tuple[int, float]:
    """Leg of the way and part of it, by the gates that hold before the first station that is not proven."""
    for number, one in enumerate(stations):
        if one.state != "proven":
            share = one.passed / one.gates if one.gates else 0.0
            begun = SETTING_OUT if one.state != "not begun" or number == 0 else 0.0
            return (number, max(begun, share * NEARLY)) if number == 0 or begun or share else (number - 1, 1.0)
    return len(stations) - 1, 1.0


def _curve(shape: Shape, leg: int) -> list[Point]:
    """Points of one leg: a cubic Bézier that leaves a station in the direction in which it came."""
    start, end = shape.points[leg], shape.points[leg + 1]
    first = (start[0] + shape.out(leg) * shape.sway, start[1] - shape.lift)
    second = (end[0] - shape.out(leg + 1) * shape.sway, end[1] + shape.lift)
    fine = [_bezier(step / FINE, (start, first, second, end)) for step in range(FINE + 1)]
    lengths = [0.0]
    for one, other in itertools.pairwise(fine):
        lengths.append(lengths[-1] + math.dist(one, other))
    # At even distances, so that half of the gates is half of the way.
    return [fine[bisect.bisect_left(lengths, lengths[-1] * step / STEPS, 0, FINE)] for step in range(STEPS + 1)]


def _bezier(t: float, corners: tuple[Point, Point, Point, Point]) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (sum(weight * corner[axis] for weight, corner in zip(weights, corners, strict=True)) for axis in (0, 1))
    return x, y


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _land(shape: Shape, way: Sequence[Point]) -> str:
    """Sun or moon, hills, and the ground."""
    width, height = shape.width, shape.height
    trees: tuple[tuple[float, float, float], ...]
    if shape.closed:
        ground = f"{_path([(0, way[0][1] + 4), *way, (width, way[-1][1] - 4), (width, height), (0, height)])}Z"
        far = (
            f"M0 {height}V214C90 176 150 170 230 190S390 128 480 138 640 176 720 118 900 52 {width} 40V{height}Z",
            f"M0 {height}V262C130 226 220 232 330 214S540 178 640 170 850 128 {width} 92V{height}Z",
        )
        trees = ((128, 276, 1.0), (160, 273, 0.8), (388, 234, 0.8), (620, 205, 1.05), (650, 199, 0.75), (880, 152, 0.9))
        sun = (118, 74, 34)
    else:
        ground = f"M-10 {height}C40 396 70 300 104 236S150 96 172 96 226 116 268 196 350 372 410 {height}Z"
        far = (
            f"M0 {height}V236C50 190 90 196 130 226S250 150 310 172 370 216 400 200V{height}Z",
            f"M0 {height}V318C60 290 100 300 160 296S320 252 400 290V{height}Z",
        )
        trees = ((34, 380, 0.9), (362, 388, 1.1), (338, 376, 0.8), (66, 330, 0.7))
        sun = (330, 62, 26)
    pines = "".join(
        f'<path class="pine" transform="translate({x} {y}) scale({size})" '
        'd="M0-46 12-26H6L16-10H3V2H-3V-10H-16L-6-26H-12Z"/>'
        for x, y, size in trees
    )
    return (
        f'<rect class="sky" width="{width}" height="{height}"/><circle class="sun" cx="{sun[0]}" cy="{sun[1]}" '
        f'r="{sun[2]}"/><path class="hill far" d="{far[0]}"/><path class="hill near" d="{far[1]}"/>'
        f'{pines if shape.closed else ""}<path class="ground" d="{ground}"/>{"" if shape.closed else pines}'
    )


def _post(station: PhaseProgress, foot: Point) -> str:
    """A sign on its post, and what it says below."""
    x, y = foot
    state = station.state.replace(" ", "-")
    badge = BADGES.get(station.state)
    mark = f'<g transform="translate(20 -78)"><circle r="9" class="badge"/>{badge}</g>' if badge else ""
    return (
        f'<g class="post {state}" transform="translate({x:g} {y:g})"><path class="pole" d="M0 3V-36"/>'
        f'<g transform="translate(0 -60)"><circle r="27" class="plate"/>{ICONS[station.phase]}</g>{mark}'
        f'<text y="25">{station.number} {station.phase}</text></g>'
    )


def _stone(curve: Sequence[Point]) -> str:
    """What lies in the way."""
    x, y = curve[round(0.93 * STEPS)]
    return f'<path class="stone" transform="translate({x:.1f} {y:.1f})" d="M-13 3-10-9-2-14 8-11 13-2 12 3Z"/>'


def _snail(curve: Sequence[Point], part: float) -> str:
    step = round(min(part, ARRIVED) * STEPS)
    x, y = curve[step]
    (left, low), (right, high) = curve[max(0, step - 2)], curve[min(STEPS, step + 2)]
    away = right < left
    slope = math.degrees(math.atan2(high - low, abs(right - left)))
    slope = max(-24.0, min(24.0, slope))
    mirror = " scale(-1 1)" if away else ""
    turn = f"{mirror} rotate({slope:.1f})"
    return f'<g class="snail" transform="translate({x:.1f} {y - 2:.1f}){turn} scale(.92)">{SNAIL}</g>'
