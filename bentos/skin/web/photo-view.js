/** The photo with its layers: lesions, zones, and one heat map at a time. */

import { el, oneTabStop, svg } from "./elements.js";
import { lesionName } from "./lesions.js";

const CANVAS_SIDE = 1400; // px of the canvas, whatever it shows of the photo
const FACE_MARGIN = 1.7; // side of what is shown over that of the face, where there are no maps to say
const MOST_OF_PHOTO = 0.7; // where the face fills more, both views would be the same
const RING = 1.6; // side of the ring around a lesion in focus over that of the lesion
const LEAST_TARGET = 0.03; // of the view's long side: what a finger or pointer can hit
// Cividis (Nuñez, Anderton and Renslow, PLoS ONE 2018), read alike by all kinds of colour vision.
const RAMP = [
  [0, 32, 76],
  [0, 50, 110],
  [124, 123, 120],
  [200, 180, 90],
  [255, 233, 69],
];

/** The zone of the findings that a part of the face belongs to: of crow's feet and folds there are two. */
export function zoneOf(part) {
  return part.replace(/^(crows_feet|nasolabial)_(left|right)$/, "$1");
}

/** Whether a mark or line, `own`, is meant by a target: {lesion}, {zone}, or {concern} with its lesions or zones. */
export function isMeant(own, target) {
  if (!target) return false;
  if (own.lesion !== undefined) return own.lesion === target.lesion || target.concern === "acne";
  return own.zone === target.zone || Boolean(target.zones?.includes(own.zone));
}

/** A canvas for the photo, heat over it, marks over both; with the choice of layers. */
export class PhotoView {
  #analysis;
  #words;
  #photo;
  #map = null; // concern
  #whole = false;
  #marks = [];
  #renewTabStop;
  #canvas = el("canvas", { role: "img" });
  #heat = el("canvas", { class: "heat", "aria-hidden": "true" });
  #svg = svg("svg", { role: "presentation", preserveAspectRatio: "none" });
  #list = el("div", { class: "marks", role: "listbox", "aria-multiselectable": "true" }, this.#svg);
  #caption = el("p", { class: "caption small muted" });
  #maps = new Map();

  /**
   * @param {Object} analysis an Analysis.
   * @param {ImageBitmap|null} photo upright; null where it cannot be drawn.
   * @param {Words} words
   * @param {{onTarget: function(Object|null), onMap: function(string|null)}} told which mark is under the pointer or
   *   in focus, and which heat map is chosen.
   */
  constructor(analysis, photo, words, told) {
    [this.#analysis, this.#photo, this.#words, this.told] = [analysis, photo, words, told];
    this.#canvas.setAttribute("aria-label", words.say("photo_described"));
    this.#list.setAttribute("aria-label", words.say("marks"));
    this.#addMarks();
    this.element = el(
      "section",
      { class: "picture", "aria-labelledby": "picture" },
      el("h2", { id: "picture", class: "hidden" }, words.say("photo")),
      photo ? this.#stage() : el("div", { class: "stage" }, el("p", {}, words.say("photo_missing"))),
    );
    this.#draw();
    this.highlight(null);
  }

  #stage() {
    const marks = this.#marks.length ? this.#list : null;
    return [
      el("div", { class: "stage" }, this.#canvas, this.#heat, marks),
      marks ? this.#caption : null,
      this.#analysis.outlines ? el("p", { class: "sides small muted" }, this.#words.say("sides")) : null,
      this.#choices(),
    ];
  }

  /** Makes the marks of a target conspicuous, also those of a layer that is switched off. */
  highlight(target) {
    const lit = this.#marks.filter((mark) => isMeant(mark, target));
    for (const mark of this.#marks) {
      mark.node.classList.toggle("lit", lit.includes(mark));
      mark.node.setAttribute("aria-selected", String(lit.includes(mark)));
    }
    const single = lit.length === 1 || target?.zone !== undefined;
    this.#caption.textContent = single && lit.length ? lit[0].label : this.#words.say("marks_hint");
  }

  /** Shows the heat map of a concern, or none. */
  showMap(concern) {
    this.#map = concern;
    for (const input of this.element.querySelectorAll("input[name=map]"))
      input.checked = input.value === (concern ?? "");
    this.element.querySelector(".ramp")?.toggleAttribute("hidden", concern === null);
    this.#drawHeat();
  }

  #addMarks() {
    for (const [part, points] of Object.entries(this.#analysis.outlines ?? {})) {
      if (points && part !== "face") this.#addZone(part, points);
    }
    this.#analysis.concerns.acne.boxes.forEach((lesion, i) => this.#addLesion(lesion, i));
    this.#renewTabStop = oneTabStop(this.#list);
    for (const type of ["pointerleave", "focusout"]) this.#list.addEventListener(type, () => this.told.onTarget(null));
  }

  #addZone(part, points) {
    const path = { points: points.map((point) => point.join(",")).join(" ") };
    const shapes = ["hit", "rim", "ink"].map((layer) => svg("polygon", { class: layer, ...path }));
    this.#addMark({ zone: zoneOf(part), label: this.#words.code("zones", part) }, "zone", shapes);
  }

  #addLesion({ box }, i) {
    const [x, y, width, height] = box;
    const radius = Math.min(width, height) / 4;
    const shapes = ["rim", "ink"].map((layer) => svg("rect", { class: layer, x, y, width, height, rx: radius }));
    shapes.unshift(...["hit", "halo", "ring"].map((layer) => svg("rect", { class: layer })));
    this.#addMark({ lesion: i, box, label: lesionName(this.#analysis, i, this.#words) }, "lesion", shapes);
  }

  #addMark(mark, kind, shapes) {
    const target = mark.lesion === undefined ? { zone: mark.zone } : { lesion: mark.lesion };
    const tell = () => this.told.onTarget(target);
    const attributes = {
      class: kind,
      role: "option",
      tabindex: "-1",
      "aria-label": mark.label,
      "aria-selected": "false",
    };
    mark.node = svg("g", { ...attributes, onpointerenter: tell, onfocus: tell, onclick: tell }, shapes);
    this.#marks.push(mark);
    this.#svg.append(mark.node);
  }

  #choices() {
    return el("div", { class: "layers" }, this.#markChoices(), this.#mapChoices(), this.#viewChoices());
  }

  #markChoices() {
    const kinds = ["lesion", "zone"].filter((kind) => this.#marks.some(({ node }) => node.classList.contains(kind)));
    const boxes = kinds.map((kind) => {
      const onchange = ({ target }) => this.#switchLayer(kind, target.checked);
      return choice("checkbox", { name: kind, checked: true, onchange }, this.#words.say(`layer_${kind}s`));
    });
    return boxes.length ? group(this.#words.say("layer_marks"), boxes) : null;
  }

  #mapChoices() {
    const { maps, concerns } = this.#analysis;
    if (!Object.keys(concerns).some((name) => maps?.[name])) return null;
    const radios = ["", ...Object.keys(concerns)].map((name) => {
      const onchange = () => this.told.onMap(name || null);
      const attributes = { name: "map", value: name, checked: !name, disabled: Boolean(name) && !maps[name], onchange };
      return choice("radio", attributes, name ? this.#words.code("concerns", name) : this.#words.say("map_none"));
    });
    return [group(this.#words.say("layer_map"), radios), this.#ramp()];
  }

  #viewChoices() {
    if (!this.#faceRect()) return null;
    const radios = ["face", "whole"].map((name) => {
      const onchange = () => this.#show(name === "whole");
      const attributes = { name: "view", value: name, checked: name === "face", onchange };
      return choice("radio", attributes, this.#words.say(`view_${name}`));
    });
    return group(this.#words.say("layer_view"), radios);
  }

  #ramp() {
    const [low, high] = [this.#words.say("ramp_low"), this.#words.say("ramp_high")];
    const said = el("span", { class: "hidden" }, this.#words.say("ramp"));
    const hide = { "aria-hidden": "true" };
    const shown = [el("span", hide, low), el("i", hide), el("span", hide, high)];
    return el("p", { class: "ramp small muted", hidden: true }, said, shown);
  }

  #switchLayer(kind, on) {
    for (const { node } of this.#marks) if (node.classList.contains(kind)) node.classList.toggle("off", !on);
    this.#renewTabStop();
  }

  #show(whole) {
    this.#whole = whole;
    this.#draw();
  }

  /** The part of the photo around the face, [x, y, width, height]; null where that is no closer look. */
  #faceRect() {
    const { face, maps, image } = this.#analysis;
    if (!face) return null;
    const [x, y, width, height] = maps?.box ?? grown(face.box, FACE_MARGIN);
    const [left, top] = [Math.max(0, x), Math.max(0, y)];
    const rect = [left, top, Math.min(image.width, x + width) - left, Math.min(image.height, y + height) - top];
    return rect[2] * rect[3] < MOST_OF_PHOTO * image.width * image.height ? rect : null;
  }

  #rect() {
    const { width, height } = this.#analysis.image;
    return (!this.#whole && this.#faceRect()) || [0, 0, width, height];
  }

  #draw() {
    const [x, y, width, height] = this.#rect();
    const scale = CANVAS_SIDE / Math.max(width, height);
    for (const canvas of [this.#canvas, this.#heat]) {
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
    }
    this.#svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
    for (const { node, box } of this.#marks) {
      if (!box) continue;
      const least = LEAST_TARGET * Math.max(width, height);
      setTarget(node.querySelector(".hit"), box, least);
      for (const rect of node.querySelectorAll(".halo, .ring")) setTarget(rect, grown(box, RING), RING * least);
    }
    if (this.#photo)
      this.#paint(this.#canvas, this.#photo, [0, 0, this.#analysis.image.width, this.#analysis.image.height]);
    this.#drawHeat();
  }

  /** Draws a picture that covers `box` of the photo, as far as it is in view. */
  #paint(canvas, picture, box) {
    const [x, y, width] = this.#rect();
    const scale = canvas.width / width;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, (box[0] - x) * scale, (box[1] - y) * scale, box[2] * scale, box[3] * scale);
  }

  async #drawHeat() {
    const { maps } = this.#analysis;
    const concern = this.#map;
    const heat = concern && maps?.[concern] ? await this.#heatOf(concern) : null;
    if (concern !== this.#map) return; // another one was chosen meanwhile
    this.#heat.width = this.#canvas.width; // empties it
    this.#heat.height = this.#canvas.height;
    if (heat) this.#paint(this.#heat, heat, maps.box);
  }

  #heatOf(concern) {
    if (!this.#maps.has(concern)) this.#maps.set(concern, coloured(this.#analysis.maps[concern]));
    return this.#maps.get(concern);
  }
}

function choice(type, attributes, label) {
  return el("label", { class: "choice" }, el("input", { type, ...attributes }), el("span", {}, label));
}

function group(legend, choices) {
  return el("fieldset", {}, el("legend", {}, legend), el("div", {}, choices));
}

function grown([x, y, width, height], factor) {
  const side = Math.max(width, height) * factor;
  return [x + (width - side) / 2, y + (height - side) / 2, side, side];
}

function setTarget(rect, [x, y, width, height], least) {
  const [wide, high] = [Math.max(width, least), Math.max(height, least)];
  const place = { x: x + (width - wide) / 2, y: y + (height - high) / 2, width: wide, height: high };
  for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
}

/** A grey heat map, a data: URL, in colours: transparent at 0. Read without a request, which a policy may refuse. */
async function coloured(url) {
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  const grey = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = el("canvas", { width: grey.width, height: grey.height });
  const pen = canvas.getContext("2d");
  pen.drawImage(grey, 0, 0);
  const pixels = pen.getImageData(0, 0, grey.width, grey.height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data.set(heatColour(pixels.data[i] / 255), i);
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

function heatColour(share) {
  const at = share * (RAMP.length - 1);
  const [low, high] = [RAMP[Math.floor(at)], RAMP[Math.ceil(at)]];
  const colour = low.map((value, i) => value + (high[i] - value) * (at % 1));
  return [...colour, 255 * Math.min(1, share * 3)];
}
