/** The findings of an Analysis as a list: concerns with their zones and lesions, skin tone, quality of the photo. */

import { el, oneTabStop, svg } from "./elements.js";
import { lesionCount, lesionName } from "./lesions.js";
import { isMeant } from "./photo-view.js";

const TONES = {
  // skin of the middle of each group, for the scale only
  very_light: "#f6dece",
  light: "#e8c4aa",
  intermediate: "#d4a682",
  tan: "#b68460",
  brown: "#865a3e",
  dark: "#4e3428",
};

/** The list; what is under the pointer or in focus is told, and lines of a target can be highlighted. */
export class Findings {
  #analysis;
  #words;
  #lines = [];
  #cards = new Map(); // concern → its card
  #buttons = new Map(); // concern → the button of its heat map

  /**
   * @param {Object} analysis an Analysis.
   * @param {Words} words
   * @param {Object|null} repeatability of /ml/status: by how much each score must differ to mean something.
   * @param {{onTarget: function(Object|null), onMap: function(string|null)}} told what is under the pointer or in
   *   focus, and which heat map is asked for.
   */
  constructor(analysis, words, repeatability, told) {
    [this.#analysis, this.#words, this.repeatability, this.told] = [analysis, words, repeatability, told];
    const cards = Object.keys(analysis.concerns).map((name) => this.#concern(name));
    this.element = el(
      "section",
      { class: "findings", "aria-labelledby": "findings" },
      el("h2", { id: "findings" }, words.say("findings")),
      el("div", { class: "concerns" }, cards),
      el("div", { class: "concerns" }, this.#quality(), this.#tone()),
    );
  }

  /** Makes the lines of a target conspicuous, and its concern. */
  highlight(target) {
    for (const line of this.#lines) {
      const lit = !target?.concern && isMeant(line, target);
      line.node.classList.toggle("lit", lit);
      line.node.setAttribute("aria-selected", String(lit));
      if (lit && line.lesion !== undefined) scrollWithin(line.node.parentElement, line.node);
    }
    for (const [name, card] of this.#cards) card.classList.toggle("lit", target?.concern === name);
  }

  /** Presses the button of the heat map that is shown. */
  showMap(concern) {
    for (const [name, button] of this.#buttons) button.setAttribute("aria-pressed", String(name === concern));
  }

  #concern(name) {
    const finding = this.#analysis.concerns[name];
    const target = { concern: name, zones: Object.keys(finding.zones ?? {}) };
    const card = el(
      "article",
      { class: "card concern", "aria-labelledby": `of-${name}`, ...this.#pointing(target) },
      finding.score === null ? this.#unjudged(name, finding) : this.#judged(name, finding),
    );
    this.#cards.set(name, card);
    return card;
  }

  #unjudged(name, finding) {
    const words = this.#words;
    const reason = finding.reason ? words.code("unseen", finding.reason) : words.say("unknown");
    return [
      el("div", { class: "head" }, this.#title(name), el("span", { class: "tag" }, words.say("not_judged"))),
      el("p", { class: "muted" }, words.say("not_judged_because", { reason })),
    ];
  }

  #judged(name, finding) {
    const words = this.#words;
    const score = words.number(finding.score);
    const said = words.say("score", { score });
    return [
      el(
        "div",
        { class: "head" },
        this.#title(name),
        el("p", { class: "score" }, score, el("small", {}, ` / ${words.number(100)}`)),
      ),
      el(
        "div",
        {},
        meter(finding.score, 100, { "aria-labelledby": `of-${name}`, "aria-valuetext": said }),
        el("div", { class: "scale" }, el("span", {}, words.say("scale_low")), el("span", {}, words.say("scale_high"))),
      ),
      "severity" in finding ? this.#acne(finding) : null,
      finding.zones ? this.#zones(name, finding) : null,
      el("p", { class: "small muted" }, this.#origin(name, finding)),
      this.#mapButton(name),
    ];
  }

  #title(name) {
    return el("h3", { id: `of-${name}` }, this.#words.code("concerns", name));
  }

  /** Who found it, how sure that is, and what difference means something. */
  #origin(name, finding) {
    const words = this.#words;
    const source = words.say(finding.source === "model" ? "by_model" : "by_heuristic");
    const limit = this.repeatability?.[finding.source]?.[name];
    const repeats = typeof limit === "number" ? words.count("repeats", limit) : "";
    return [source, this.#sureness(name, finding), repeats].filter(Boolean).join(" ");
  }

  /** What the figures of how sure something is were measured on: good photos, which not every photo is. */
  #measured() {
    return this.#words.say(this.#analysis.quality.issues.length ? "measured_on_better" : "measured_on_labelled");
  }

  /** How sure a finding is: of acne, that of its severity. */
  #sureness(name, { confidence, severity }) {
    const words = this.#words;
    if (confidence === null || confidence === undefined)
      return words.say(name === "acne" || name === "wrinkles" ? "sure_unknown" : "measurement");
    const values = { percent: words.percent(confidence), measured: this.#measured() };
    if (!severity) return words.say("sure_measured", values);
    return words.say("sure_of_severity", { ...values, severity: words.code("severities", severity) });
  }

  #acne({ severity, count, boxes }) {
    const words = this.#words;
    const line = el(
      "p",
      {},
      severity ? el("span", { class: "tag" }, words.code("severities", severity)) : null,
      ` ${lesionCount({ count, boxes }, words)}`,
    );
    if (!boxes.length) return line;
    const caption = words.say("lesion_caption", { measured: this.#measured() });
    return [line, el("p", { class: "small muted" }, caption), this.#lesions(boxes)];
  }

  #lesions(boxes) {
    const words = this.#words;
    const list = el("ul", {
      class: "chips",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": words.say("lesion_list"),
    });
    boxes.forEach(({ confidence }, lesion) => {
      const shown = `${words.number(lesion + 1)} · ${words.percent(confidence)}`;
      list.append(this.#line({ lesion }, { "aria-label": lesionName(this.#analysis, lesion, words) }, shown));
    });
    oneTabStop(list);
    return list;
  }

  #zones(name, { zones, unseen = {} }) {
    const words = this.#words;
    const seen = Object.values(zones).some((value) => value !== null);
    const reasons = new Set(Object.values(unseen));
    if (!seen) {
      const reason = reasons.size ? words.code("unseen", [...reasons][0]) : words.say("unknown");
      return el("p", { class: "small muted" }, words.say("no_zones", { reason }));
    }
    const label = words.say("zones_of", { concern: words.code("concerns", name) });
    const list = el("ul", { class: "rows", role: "listbox", "aria-multiselectable": "true", "aria-label": label });
    for (const [zone, value] of Object.entries(zones)) list.append(this.#zone(zone, value, unseen[zone]));
    oneTabStop(list);
    return list;
  }

  #zone(zone, value, unseen) {
    const words = this.#words;
    const name = el("span", {}, words.code("zones", zone));
    if (value === null) {
      const reason = unseen ? words.code("unseen", unseen) : words.say("unknown");
      return this.#line({ zone }, { class: "row" }, name, " ", el("span", { class: "why" }, reason));
    }
    return this.#line({ zone }, { class: "row" }, name, " ", bar(value), el("b", {}, words.number(value, 2)));
  }

  #line(target, attributes, ...children) {
    const node = el("li", { role: "option", tabindex: "-1", "aria-selected": "false", ...attributes }, ...children);
    const tell = (event) => {
      event.stopPropagation();
      this.told.onTarget(target);
    };
    for (const type of ["pointerover", "focusin", "click"]) node.addEventListener(type, tell);
    this.#lines.push({ node, ...target });
    return node;
  }

  #pointing(target) {
    const tell = () => this.told.onTarget(target);
    const end = () => this.told.onTarget(null);
    return { onpointerover: tell, onfocusin: tell, onpointerleave: end, onfocusout: end };
  }

  #mapButton(name) {
    if (!this.#analysis.maps?.[name]) return null;
    const words = this.#words;
    const onclick = () => this.told.onMap(button.getAttribute("aria-pressed") === "true" ? null : name);
    const label = words.say("map_of", { concern: words.code("concerns", name) });
    const button = el(
      "button",
      { type: "button", "aria-pressed": "false", "aria-label": label, onclick },
      words.say("map"),
    );
    this.#buttons.set(name, button);
    return el("div", {}, button);
  }

  #quality() {
    const words = this.#words;
    const { quality, advice = [] } = this.#analysis;
    const title = el("h3", { id: "quality" }, words.say("quality"));
    if (quality.score === null)
      return el("article", { class: "card concern" }, title, el("p", {}, words.say("quality_off")));
    const percent = words.percent(quality.score);
    const sentences = quality.issues.map(
      (issue, i) => words.known("issues", issue) ?? advice[i] ?? words.code("issues", issue),
    );
    return el(
      "article",
      { class: "card concern" },
      el("div", { class: "head" }, title, el("p", { class: "score" }, percent)),
      meter(quality.score, 1, { "aria-labelledby": "quality", "aria-valuetext": percent }),
      sentences.length
        ? el(
            "ul",
            { class: "advice" },
            sentences.map((sentence) => el("li", {}, sentence)),
          )
        : el("p", { class: "muted" }, words.say("quality_good")),
    );
  }

  #tone() {
    const words = this.#words;
    const { tone } = this.#analysis;
    const group = tone ? words.code("tones", tone.group) : words.say("not_judged");
    return el(
      "article",
      { class: "card concern" },
      el("div", { class: "head" }, el("h3", {}, words.say("tone")), el("span", { class: "tag" }, group)),
      el(
        "ul",
        { class: "swatches", "aria-hidden": "true" },
        Object.entries(TONES).map(([name, colour]) => swatch(colour, name === tone?.group)),
      ),
      el(
        "p",
        { class: "small muted" },
        tone ? words.say("tone_measured", { degrees: words.number(tone.ita_degrees) }) : words.say("tone_unknown"),
      ),
    );
  }
}

function bar(share, attributes = { "aria-hidden": "true" }) {
  const filled = el("i");
  filled.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  return el("div", { class: "bar", ...attributes }, filled);
}

function meter(value, max, attributes) {
  const values = { "aria-valuemin": 0, "aria-valuemax": max, "aria-valuenow": value };
  return bar(value / max, { role: "meter", ...values, ...attributes });
}

function swatch(colour, isChosen) {
  const square = svg("rect", { width: "100%", height: "100%", rx: 6, fill: colour });
  return el("li", { class: isChosen ? "chosen" : null }, svg("svg", {}, square));
}

/** Scrolls a list to one of its lines, and nothing else. */
function scrollWithin(list, line) {
  const [top, bottom] = [line.offsetTop, line.offsetTop + line.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}
