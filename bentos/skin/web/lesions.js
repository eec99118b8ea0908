/** What is said of lesions: each by its number, the part of the face that it lies in, and how sure it is. */

/**
 * The name of a lesion.
 *
 * @param {Object} analysis an Analysis.
 * @param {number} i which of its boxes, from 0.
 * @param {Words} words
 */
export function lesionName(analysis, i, words) {
  const { boxes } = analysis.concerns.acne;
  const [x, y, width, height] = boxes[i].box;
  const part = partAt(analysis.outlines ?? {}, x + width / 2, y + height / 2);
  const parts = [
    words.say("lesion", { n: words.number(i + 1), total: words.number(boxes.length) }),
    part && words.code("zones", part),
    words.say("sure", { percent: words.percent(boxes[i].confidence) }),
  ];
  return parts.filter(Boolean).join(" · ");
}

/** How many were counted, and why there are more or fewer marks; "" where nothing was counted or marked. */
export function lesionCount({ count, boxes }, words) {
  if (count === null) return boxes.length ? words.count("marked", boxes.length) : "";
  const counted = words.count("lesions", count);
  return count === boxes.length ? counted : `${counted}; ${aboutMarks(count, boxes.length, words)}`;
}

function aboutMarks(count, marked, words) {
  if (!marked) return words.say("none_marked");
  return count > marked ? words.count("unmarked", count - marked) : words.count("too_many_marked", marked);
}

/** The part of the face that a point lies in; null for none. */
function partAt(outlines, x, y) {
  const parts = Object.entries(outlines);
  return parts.find(([part, points]) => part !== "face" && points && isInside(points, x, y))?.[0] ?? null;
}

/** Whether a point lies in a polygon: the number of its sides to the right of the point is odd. */
function isInside(points, x, y) {
  let inside = false;
  points.forEach(([x1, y1], i) => {
    const [x0, y0] = points.at(i - 1);
    if (y0 > y !== y1 > y && x < x0 + ((x1 - x0) * (y - y0)) / (y1 - y0)) inside = !inside;
  });
  return inside;
}
