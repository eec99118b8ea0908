"""The layout of the picture of the trail: a sign for each phase, and a snail whose position shows the progress.

The template trail.svg.j2 draws it, in the colours of page.css. There are two shapes, one for wide screens and one for
phones; the page shows one of them.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.record.phases import PhaseProgress

Point = tuple[float, float]
STEPS, FINE_STEPS = 60, 600  # points of the curve between two signs: drawn, and computed
MAX_WITHOUT_PROOF = 0.78  # of the way to a sign
MAX_WITH_PROOF = 0.9  # the snail's head is at the post, and the sign stays visible
MIN_WHEN_STARTED = 0.12
STONE = 0.93  # of the way to a sign: where the stone of a failed phase lies
MAX_SLOPE = 24.0  # degrees


@dataclass(frozen=True)
class Shape:
    """The layout of a picture, in its own units.

    Attributes:
        name: CSS class.
        width, height: of the picture.
        points: the start of the trail and the four signs, on the ground.
        sway: how far the trail runs level past a sign before it turns.
        lift: how much it rises on that way.
        aside: how far signs stand outward, where the trail turns under them.
    """

    name: str
    width: int
    height: int
    points: tuple[Point, ...]
    sway: float
    lift: float
    aside: float

    def direction(self, number: int) -> float:
        """Where the trail goes at a point: 1 to the right, -1 to the left."""
        before, after = (number - 1, number) if number else (0, 1)
        return math.copysign(1, self.points[after][0] - self.points[before][0])

    def post(self, number: int) -> Point:
        """Where the post of a sign stands; the last one stands on the top."""
        x, y = self.points[number]
        return (x, y) if number == len(self.points) - 1 else (x + self.direction(number) * self.aside, y)


WIDE = Shape("wide", 1080, 330, ((36, 292), (250, 258), (500, 222), (750, 180), (1000, 128)), 92, 0, 0)
TALL = Shape("tall", 400, 430, ((56, 408), (268, 356), (126, 276), (258, 196), (168, 116)), 74, 12, 38)


@dataclass(frozen=True)
class Drawing:
    """The picture of one record.

    Attributes:
        shape: its layout.
        trail: points of the whole trail.
        walked: those that the snail has passed.
        posts: where the sign of each phase stands.
        stone: what blocks the snail; None if its phase did not fail.
        snail: where it is.
        slope: of the ground under the snail, degrees.
        mirrored: whether the snail goes to the left.
    """

    shape: Shape
    trail: list[Point]
    walked: list[Point]
    posts: list[Point]
    stone: Point | None
    snail: Point
    slope: float
    mirrored: bool


def draw(phases: Sequence[PhaseProgress], shape: Shape) -> Drawing:
    """Compute the picture of the four phases in one shape."""
    curves = [_curve(shape, leg) for leg in range(len(phases))]
    leg, share = _position(phases)
    curve = curves[leg]
    trail = [point for points in curves for point in points]
    step = round(min(share, MAX_WITH_PROOF) * STEPS)
    x, y = curve[step]
    (left, low), (right, high) = curve[max(0, step - 2)], curve[min(STEPS, step + 2)]
    slope = math.degrees(math.atan2(high - low, abs(right - left)))
    return Drawing(
        shape=shape,
        trail=trail,
        walked=trail[: leg * (STEPS + 1) + 1 + round(share * STEPS)],
        posts=[shape.post(phase.number) for phase in phases],
        stone=curve[round(STONE * STEPS)] if phases[leg].state == "failed" else None,
        snail=(x, y - 2),
        slope=max(-MAX_SLOPE, min(MAX_SLOPE, slope)),
        mirrored=right < left,
    )


def _position(phases: Sequence[PhaseProgress]) -> tuple[int, float]:
    """The leg that the snail is on and the share of it, by the gates of the first phase that is not proven."""
    for leg, phase in enumerate(phases):
        if phase.state != "proven":
            share = phase.passed / phase.gates if phase.gates else 0.0
            least = MIN_WHEN_STARTED if phase.state != "not begun" or leg == 0 else 0.0
            return (leg, max(least, share * MAX_WITHOUT_PROOF)) if least or share else (leg - 1, 1.0)
    return len(phases) - 1, 1.0


def _curve(shape: Shape, leg: int) -> list[Point]:
    """Points of one leg: a cubic Bézier that leaves a sign in the direction in which it came."""
    start, end = shape.points[leg], shape.points[leg + 1]
    first = (start[0] + shape.direction(leg) * shape.sway, start[1] - shape.lift)
    second = (end[0] - shape.direction(leg + 1) * shape.sway, end[1] + shape.lift)
    fine = [_bezier(step / FINE_STEPS, (start, first, second, end)) for step in range(FINE_STEPS + 1)]
    lengths = [0.0, *itertools.accumulate(math.dist(point, other) for point, other in itertools.pairwise(fine))]
    # At even distances, so that half of the gates is half of the way.
    return [fine[bisect.bisect_left(lengths, lengths[-1] * step / STEPS, 0, FINE_STEPS)] for step in range(STEPS + 1)]


def _bezier(t: float, corners: tuple[Point, Point, Point, Point]) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (sum(weight * corner[axis] for weight, corner in zip(weights, corners, strict=True)) for axis in (0, 1))
    return x, y
