/** Two photos side by side: of each score the difference, where it is more than the same face gives by itself. */

import { el } from "./shine-analysis.js";

const SIDE = 900; // px of a picture
const FACE_MARGIN = 1.8; // side of what is shown over that of the face

/**
 * What two findings of one concern differ by.
 *
 * @param {Object} left, right the concern in either Analysis.
 * @param {string} key "score" or "count".
 * @param {string} name of the figure in `repeatability`.
 * @param {Object|null} repeatability of /ml/status: of each source the least difference that means something.
 * @returns {{text: string, by: number|null, least: number|null}} the key of a text, the difference, and that least one.
 */
export function difference(left, right, key, name, repeatability) {
  const none = { by: null, least: null };
  if (left[key] === null || right[key] === null) return { text: "diff_unseen", ...none };
  if (left.source !== right.source) return { text: "diff_sources", ...none };
  const least = repeatability?.[left.source]?.[name];
  if (typeof least !== "number") return { text: "diff_unknown", ...none };
  const by = right[key] - left[key];
  if (Math.abs(by) <= least) return { text: "diff_none", by: null, least };
  return { text: by > 0 ? "diff_more" : "diff_less", by, least };
}

/**
 * The photos and a table of their scores.
 *
 * @param {Photo[]} photos all that have findings; two at least.
 * @param {Photo[]} pair the two that are compared.
 * @param {Object|null} repeatability of /ml/status.
 * @param {Object} words {say(key, values), code(section, code), number(value)}.
 * @param {function(number, Photo)} onChoose told of the side, 0 or 1, and its new photo.
 */
export function comparison(photos, pair, repeatability, words, onChoose) {
  const concerns = pair.map(({ analysis }) => analysis.concerns);
  const row = (concern, key, name, label) => {
    const [left, right] = concerns.map((of) => of[concern]);
    const result = difference(left, right, key, name, repeatability);
    const by = result.by === null ? null : words.number(Math.abs(result.by));
    const least = result.least === null ? null : words.number(result.least);
    return el(
      "tr",
      { class: result.by === null ? null : "differs" },
      el("th", { scope: "row" }, label),
      [left, right].map((finding) => el("td", {}, cell(finding, key, words))),
      el("td", { class: "difference" }, words.say(result.text, { by, least })),
    );
  };
  const names = Object.keys(concerns[0]);
  const rows = names.map((concern) => row(concern, "score", concern, words.code("concerns", concern)));
  rows.splice(1, 0, row("acne", "count", "count", words.say("lesions")));
  const heads = ["concern", "left", "right", "difference"].map((key) => el("th", { scope: "col" }, words.say(key)));
  return [
    el("h2", { id: "compare-title", tabindex: "-1" }, words.say("compare_title")),
    el("div", { class: "pair" }, pair.map((photo, side) => figure(photos, photo, side, words, onChoose))),
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows))),
    el("p", { class: "small" }, words.say("compare_note")),
  ];
}

function figure(photos, photo, side, words, onChoose) {
  const names = photos.map((other, i) => el("option", { value: i, selected: other === photo }, other.name));
  const onchange = ({ target }) => onChoose(side, photos[target.value]);
  const [id, label] = [`side-${side}`, words.say(side ? "right" : "left")];
  return el(
    "figure",
    {},
    el("figcaption", {}, el("label", { for: id }, label), el("select", { id, onchange }, names)),
    closeUp(photo),
  );
}

/** The face in a photo, or all of it where there is none, as a square. */
function closeUp({ shown, name, analysis }) {
  const canvas = el("canvas", { role: "img", "aria-label": name, width: SIDE, height: SIDE });
  const { face, image } = analysis;
  const [x, y, width, height] = face?.box ?? [0, 0, image.width, image.height];
  const side = face ? FACE_MARGIN * Math.max(width, height) : Math.max(width, height);
  const scale = SIDE / side;
  createImageBitmap(shown).then((picture) => {
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    const [left, top] = [x + width / 2 - side / 2, y + height / 2 - side / 2];
    pen.drawImage(picture, -left * scale, -top * scale, image.width * scale, image.height * scale);
    picture.close();
  });
  return canvas;
}

function cell(finding, key, words) {
  const value = finding[key];
  if (value === null) return finding.reason ? words.code("unseen", finding.reason) : words.say("not_judged");
  if (key === "count") return words.number(value);
  const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("i"));
  bar.firstChild.style.width = `${value}%`;
  return [el("b", {}, words.number(value)), bar];
}
