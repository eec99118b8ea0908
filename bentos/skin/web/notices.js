/** What stands around the findings: the banner of heuristics, progress, errors, and what the answer came from. */

import { el } from "./elements.js";

// Figures of /ml/status that mean something to a reader, each with how it is written.
const ACCURACY = [
  ["accuracy_severity", (of) => of?.acne?.severity_accuracy?.value, (value, words) => words.percent(value)],
  ["accuracy_count", (of) => of?.acne?.count_mae?.value, (value, words) => words.number(value, 1)],
  ["accuracy_wrinkles", (of) => of?.wrinkles?.accuracy?.value, (value, words) => words.percent(value)],
];

/**
 * Says that the heuristics answered, why, and how good they are beside the model.
 *
 * @param {Object} analysis an Analysis.
 * @param {Words} words
 * @param {Object|null} accuracy of /ml/status.
 * @returns {HTMLElement|null} null where the model answered.
 */
export function banner(analysis, words, accuracy) {
  const title = bannerTitle(analysis, words);
  if (!title) return null;
  return el(
    "aside",
    { class: "banner", "aria-labelledby": "banner" },
    el("h2", { id: "banner" }, title),
    el("p", {}, analysis.reason ? `${words.code("reasons", analysis.reason)} ` : "", words.say("banner_meaning")),
    accuracy ? accuracyTable(accuracy, words) : null,
  );
}

/** The banner in one sentence; null where the model answered. */
export function bannerTitle(analysis, words) {
  if (analysis.degraded) return words.say("banner_degraded");
  return analysis.source === "heuristic" ? words.say("banner_heuristic") : null;
}

function accuracyTable({ model, heuristic }, words) {
  const isKnown = (value) => typeof value === "number";
  const sources = [
    ["accuracy_model", model],
    ["accuracy_heuristic", heuristic],
  ].filter(([, of]) => ACCURACY.some(([, figure]) => isKnown(figure(of))));
  const rows = ACCURACY.map(([key, figure, written]) => {
    const figures = sources.map(([, of]) => figure(of));
    if (!figures.some(isKnown)) return null;
    const cells = figures.map((value) => el("td", {}, isKnown(value) ? written(value, words) : words.say("unknown")));
    return el("tr", {}, el("th", { scope: "row" }, words.say(key)), cells);
  }).filter(Boolean);
  if (!rows.length) return null;
  const heads = ["accuracy_figure", ...sources.map(([key]) => key)];
  return el(
    "table",
    {},
    el("caption", {}, words.say("accuracy")),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        heads.map((key) => el("th", { scope: "col" }, words.say(key))),
      ),
    ),
    el("tbody", {}, rows),
  );
}

/** Says that there is nothing to see in the photo; null where a concern was judged. */
export function nothingSeen(analysis, words) {
  const concerns = Object.values(analysis.concerns);
  if (concerns.some((concern) => concern.score !== null)) return null;
  return el(
    "aside",
    { class: "empty" },
    el("p", {}, el("b", {}, words.say("nothing"))),
    el("p", {}, words.say("nothing_hint")),
  );
}

/**
 * Progress of a request.
 *
 * @param {string} text of the step.
 * @param {number|null} share of the bytes that are sent, 0..1; null where it is not known.
 */
export function working(text, share) {
  const value = share === null ? {} : { value: share, max: 1 };
  return el("div", { class: "working" }, el("p", {}, text), el("progress", { ...value, "aria-label": text }));
}

/**
 * The sentence and the hint of an error; a browser does not say whether a service that it cannot reach is there and
 * does not allow the page's origin.
 *
 * @param {ShineError} error
 * @param {Words} words
 * @param {string} service its address, which may be relative to the page.
 */
export function errorTexts(error, words, service) {
  const { message, hint } = words.error(error);
  const { origin } = location;
  if (error.code !== "connection_failed" || new URL(service, document.baseURI).origin === origin)
    return { message, hint };
  return { message, hint: `${hint} ${words.say("other_origin", { origin })}` };
}

/** An error as a sentence and a way on, with a button that tries again. */
export function fault(error, words, service, onRetry) {
  const { message, hint } = errorTexts(error, words, service);
  const wait = error.retryAfter ? words.count("retry_after", Math.ceil(error.retryAfter)) : null;
  return el(
    "div",
    { class: "fault" },
    el("p", {}, el("b", {}, message), ` ${[hint, wait].filter(Boolean).join(" ")}`),
    error.requestId ? el("p", { class: "small" }, `${words.say("request_id")}: ${error.requestId}`) : null,
    el("button", { type: "button", class: "main", onclick: onRetry }, words.say("retry")),
  );
}

/** What the answer came from, and what it is not. */
export function about(analysis, words) {
  const { model, request_id: requestId, notice, image } = analysis;
  const facts = [
    model && [words.say("model"), `${model.name} ${model.version}`],
    model && [words.say("checksum"), model.sha256.slice(0, 12)],
    [words.say("request_id"), requestId],
  ].filter(Boolean);
  const turned = image.turned_degrees ? words.say("turned", { degrees: words.number(image.turned_degrees) }) : null;
  return el(
    "footer",
    { class: "about" },
    el("p", {}, el("b", {}, words.say("not_medical")), ` ${words.translated(notice, ["notice", "notice_weights"])}`),
    turned ? el("p", {}, turned) : null,
    el(
      "dl",
      {},
      facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    ),
  );
}
