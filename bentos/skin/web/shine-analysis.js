/**
 * <shine-analysis>: a photo and the findings on it.
 *
 *   <script type="module" src="https://host/prefix/demo/shine-analysis.js"></script>
 *   <shine-analysis src="photo.jpg" endpoint="https://host/prefix" lang="de"></shine-analysis>
 *
 * Attributes:
 *   src       address of a photo, which is sent to the service and shown.
 *   endpoint  address of the service, prefix included; by default that of the service which this file came from.
 *   lang      language of the texts, en or de; by default that of the page around it, or the browser's.
 * Properties:
 *   photo     Blob, File, canvas or address (URL or string): as src, of which it takes the place.
 *   analysis  an Analysis: shown as it is, with `photo`, without a request. Set both in one go, before the next await.
 *   apiKey    sent to the service.
 *   status    the answer of /ml/status, for the accuracy of model and heuristics and the repeatability of scores;
 *             by default it is asked for, unless `analysis` is given without an endpoint.
 * Events, which bubble out of shadow trees:
 *   shine-analysis  a photo was analysed; detail: the Analysis.
 *   shine-error     it was not; detail: a ShineError.
 * What the custom properties --shine-… change is at the head of style.js.
 */

import { el } from "./elements.js";
import { Words, languageOf } from "./words.js";
import { STYLES } from "./style.js";
import { PhotoView } from "./photo-view.js";
import { Findings } from "./findings.js";
import { about, banner, bannerTitle, errorTexts, fault, nothingSeen, working } from "./notices.js";
import { blobOf, pictureOf } from "./photo-source.js";
import { ShineClient, ShineError } from "./shine-client.js";

const SERVICE = new URL("..", import.meta.url).href;
const STATUS_TIMEOUT_MS = 3000; // findings do not wait longer for what is known about the model
const PROPERTIES = ["photo", "analysis", "apiKey", "status"];
let sheet; // made once for all elements

export class ShineAnalysis extends HTMLElement {
  static observedAttributes = ["src", "endpoint", "lang"];

  #given = { photo: null, analysis: null, apiKey: null, status: null };
  #root = this.attachShadow({ mode: "open" });
  #said = el("p", { class: "hidden", role: "status", "aria-live": "polite" });
  #body = el("div", { tabindex: "-1" });
  #stopper = null; // of the run in progress
  #step = null; // of that run: {say(words), share} as of `working`
  #isPlanned = false;
  #map = null; // concern whose heat map was chosen
  #shown = null; // what the last run ended with: {analysis, photo, status} or {error}
  #languageWatch = new MutationObserver(() => this.#render());

  constructor() {
    super();
    sheet ??= styleSheet();
    this.#root.adoptedStyleSheets = [sheet];
    this.#root.append(this.#said, this.#body);
  }

  connectedCallback() {
    for (const name of PROPERTIES) this.#takeOver(name);
    this.#languageWatch.observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
    if (this.#shown) this.#render();
    else this.#plan();
  }

  disconnectedCallback() {
    this.#languageWatch.disconnect();
    this.#stop();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "lang") this.#render();
    else this.#plan();
  }

  get src() {
    return this.getAttribute("src");
  }

  set src(address) {
    setOrRemove(this, "src", address);
  }

  get endpoint() {
    return this.getAttribute("endpoint");
  }

  set endpoint(address) {
    setOrRemove(this, "endpoint", address);
  }

  get photo() {
    return this.#given.photo;
  }

  set photo(photo) {
    this.#give("photo", photo);
  }

  /** The Analysis that was given, or else the one that is shown. */
  get analysis() {
    return this.#given.analysis ?? this.#shown?.analysis ?? null;
  }

  set analysis(analysis) {
    this.#give("analysis", analysis);
  }

  get apiKey() {
    return this.#given.apiKey;
  }

  set apiKey(key) {
    this.#give("apiKey", key);
  }

  get status() {
    return this.#given.status ?? this.#shown?.status ?? null;
  }

  set status(status) {
    if (this.#given.status === (status ?? null)) return;
    this.#given.status = status ?? null;
    if (!this.#shown?.analysis) return; // the run in progress will show it
    this.#shown.status = this.#given.status;
    this.#render();
  }

  /** Analyses the photo again. */
  retry() {
    this.#plan();
  }

  /** The button goes; the focus stays here. */
  #retryByHand() {
    this.#body.focus();
    this.retry();
  }

  /** A property that was set before the element was defined hides the one of the class. */
  #takeOver(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  #give(name, value) {
    if (this.#given[name] === (value ?? null)) return;
    this.#given[name] = value ?? null;
    this.#plan();
  }

  #stop() {
    this.#stopper?.abort();
    this.#stopper = null;
  }

  /** Runs once, after all that is set in one go; what runs is stopped at once. */
  #plan() {
    this.#stop();
    this.#shown = this.#map = null;
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(() => {
      this.#isPlanned = false;
      if (this.isConnected) this.#run();
    });
  }

  async #run() {
    const stopper = (this.#stopper = new AbortController());
    this.#step = null;
    let shown;
    try {
      shown = await this.#result(stopper.signal);
    } catch (error) {
      shown = { error: asShineError(error) };
    }
    if (stopper.signal.aborted) return;
    this.#stopper = null;
    this.#shown = shown;
    this.#render();
    if (shown?.error) this.#tell("shine-error", shown.error);
    else if (shown && !this.#given.analysis) this.#tell("shine-analysis", shown.analysis);
  }

  /** What is to be shown; null where there is neither a photo nor an Analysis. */
  async #result(signal) {
    const { analysis, photo, apiKey } = this.#given;
    const source = photo ?? this.src;
    if (!analysis && !source) return null;
    const mayAsk = !analysis || this.endpoint !== null;
    const address = this.#address();
    const client = new ShineClient(address, { apiKey });
    if (!analysis) this.#work((words) => words.say("working_photo"), null);
    const blob = source ? await blobOf(source, signal).catch((error) => nullIf(analysis, error)) : null;
    const found = analysis ?? (await client.analyze(blob, this.#request(signal)));
    const [picture, status] = await Promise.all([
      blob ? pictureOf(blob, mayAsk ? client : null, signal) : null,
      mayAsk && !this.#given.status ? statusOf(address, apiKey, signal) : null,
    ]);
    return { analysis: found, photo: picture, status: this.#given.status ?? status };
  }

  #request(signal) {
    const onProgress = ({ loaded, total }) => {
      if (signal.aborted) return;
      const share = loaded / total;
      if (share < 1) this.#work((words) => words.say("working_upload", { percent: words.percent(share) }), share);
      else this.#work((words) => words.say("working_analysis"), null);
    };
    return { include: ["outlines", "maps"], signal, onProgress };
  }

  #words() {
    return new Words(languageOf(this));
  }

  #address() {
    return this.endpoint ?? SERVICE;
  }

  #work(say, share) {
    this.#step = { say, share };
    this.#showStep(this.#words());
  }

  #showStep(words) {
    const { say, share } = this.#step;
    this.#body.replaceChildren(working(say(words), share));
    // Each percent read out would be too much.
    if (share === null) this.#announce(say(words));
  }

  /** Says something to a screen reader, unless it was said last. */
  #announce(text) {
    if (this.#said.textContent !== text) this.#said.textContent = text;
  }

  /** What is shown now, in a sentence or two. */
  #summary(words) {
    const { analysis, error } = this.#shown ?? {};
    const { message, hint } = error ? errorTexts(error, words, this.#address()) : {};
    const warning = analysis ? bannerTitle(analysis, words) : null;
    return [message, hint, analysis && words.say("done"), warning].filter(Boolean).join(" ");
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  #render() {
    if (!this.isConnected || this.#isPlanned) return;
    const words = this.#words();
    this.#said.setAttribute("lang", words.lang);
    this.#body.setAttribute("lang", words.lang);
    this.#announce(this.#summary(words));
    const { error } = this.#shown ?? {};
    if (error) this.#body.replaceChildren(fault(error, words, this.#address(), () => this.#retryByHand()));
    else if (this.#shown) this.#body.replaceChildren(...this.#resultOf(words));
    else if (!this.#stopper) this.#body.replaceChildren();
    else if (this.#step) this.#showStep(words);
  }

  #resultOf(words) {
    const { analysis, photo, status } = this.#shown;
    const views = [];
    const told = {
      onTarget: (target) => views.forEach((view) => view.highlight(target)),
      onMap: (concern) => {
        this.#map = concern;
        views.forEach((view) => view.showMap(concern));
      },
    };
    views.push(new PhotoView(analysis, photo, words, told));
    views.push(new Findings(analysis, words, status?.repeatability ?? null, told));
    if (this.#map) told.onMap(this.#map);
    const parts = [banner(analysis, words, status?.accuracy ?? null), nothingSeen(analysis, words)];
    const layout = el(
      "div",
      { class: "layout" },
      views.map((view) => view.element),
    );
    return [...parts, layout, about(analysis, words)].filter(Boolean);
  }
}

function setOrRemove(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

function styleSheet() {
  const made = new CSSStyleSheet();
  made.replaceSync(STYLES);
  return made;
}

/** A photo that cannot be read is no error where there are findings already. */
function nullIf(analysis, error) {
  if (!analysis) throw error;
  return null;
}

/** What the service says of its model; null where it does not answer: the findings do not need it. */
function statusOf(address, apiKey, signal) {
  const client = new ShineClient(address, { apiKey, timeoutMs: STATUS_TIMEOUT_MS, retries: 0 });
  return client.status({ signal }).catch(() => null);
}

/** An error of this browser keeps its own message, for no text has its code. */
function asShineError(error) {
  if (error instanceof ShineError) return error;
  return new ShineError("browser_error", String(error?.message ?? error), { cause: error });
}

if (!customElements.get("shine-analysis")) customElements.define("shine-analysis", ShineAnalysis);
