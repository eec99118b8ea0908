/** The page: photos are chosen or taken, sent, shown by <shine-analysis>, compared, saved and printed. */

import { TEXTS, el, oneTabStop } from "./shine-analysis.js";
import { Camera } from "./camera.js";
import { comparison } from "./compare.js";
import { takePhotos } from "./intake.js";
import { KeyForm } from "./key.js";
import { EMPTY, Queue } from "./queue.js";

const KEY = "shine-api-key"; // in the session's storage: it ends with the tab
const LANGUAGE = "shine-language"; // in the browser's
const SMALLER = ["body_too_large", "image_too_many_pixels"]; // errors that a smaller copy of the photo mends
const LOADING_MS = 2000; // until a model that is loading is asked for again

const get = (id) => document.getElementById(id);
const items = new Map(); // photo → its item in the strip
const said = new WeakMap(); // photo → the state of it that was announced
let lang = languageAtStart();
let service = { version: null, status: null }; // answers of /version and /ml/status
let selected = null; // photo whose findings are shown
let pair = null; // the two photos that are compared
let message = null; // key of a text
const built = new Map(); // part of the page → what it was last built from

const words = {
  say: (key, values = {}) => TEXTS[lang].page[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? ""),
  code: (section, code) => TEXTS[lang][section][code] ?? code.replaceAll("_", " "),
  error: ({ code, message, hint }) => {
    if (code === EMPTY) return { message: say("empty"), hint: say("empty_hint") };
    return TEXTS[lang].errors[code] ?? { message, hint };
  },
  number: (value) => new Intl.NumberFormat(lang, { maximumFractionDigits: 0 }).format(value),
};
const { say } = words;
const queue = new Queue({ onChange, onLocked: askForKey });
const keyForm = new KeyForm(get("key"), {
  textOf: (code) => Object.values(words.error({ code })).join(" "),
  onKey: useKey,
});
const renewStop = oneTabStop(get("thumbnails"), "button");
const camera = new Camera(get("camera"), {
  say,
  judge: (frame) => queue.client.quality(frame),
  onPhoto: (photo) => add([photo], say("camera_photo", { n: queue.photos.length + 1 })),
  onFault: showMessage,
});

// --- words ----------------------------------------------------------------------------------------------------------

function languageAtStart() {
  const wanted = [read("localStorage", LANGUAGE), ...navigator.languages].filter(Boolean);
  return wanted.map((tag) => tag.slice(0, 2)).find((tag) => tag in TEXTS) ?? "en";
}

/** What a storage of the browser holds; it may refuse even to be named. */
function read(storage, name) {
  try {
    return window[storage].getItem(name);
  } catch {
    return null;
  }
}

function write(storage, name, value) {
  try {
    window[storage].setItem(name, value);
  } catch {
    // It is kept as long as the page is open.
  }
}

function translate() {
  document.documentElement.lang = lang;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", say(node.dataset.label));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === lang));
  }
  camera.translate();
  render();
}

/** Has a screen reader say a sentence. */
function announce(text) {
  get("live").textContent = text;
}

// --- what is shown --------------------------------------------------------------------------------------------------

function render() {
  renderMessage();
  keyForm.render();
  renderStrip();
  renderResult();
  renderCompare();
  renderService();
  document.body.classList.toggle("busy", selected !== null);
  const name = pair ? say("compare_title") : selected?.name;
  document.title = name ? `${name} – Shine` : say("page_title");
}

/** Whether a part of the page is to be built anew; what is focused or was read out stays otherwise. */
function isNew(part, ...from) {
  const before = built.get(part);
  built.set(part, from);
  return !before || from.some((value, i) => value !== before[i]);
}

function renderMessage() {
  if (!isNew("message", message, lang)) return;
  get("message").hidden = message === null;
  get("message").replaceChildren(...(message ? [el("p", {}, say(message)), dismissal()] : []));
}

function dismissal() {
  return el("button", { type: "button", class: "quiet", onclick: () => showMessage(null) }, say("close"));
}

function showMessage(key) {
  message = key;
  renderMessage();
}

function renderStrip() {
  const { photos } = queue;
  get("strip").hidden = photos.length < 2;
  for (const [photo, item] of items) {
    if (photos.includes(photo)) continue;
    items.delete(photo);
    item.remove();
  }
  for (const photo of photos) {
    if (!items.has(photo)) items.set(photo, get("thumbnails").appendChild(thumbnail(photo)));
    renderThumbnail(photo);
  }
  renewStop(items.get(selected)?.firstChild);
  get("open-compare").hidden = photos.filter(isDone).length < 2;
  get("open-compare").setAttribute("aria-expanded", String(pair !== null));
}

function thumbnail(photo) {
  const onclick = () => select(photo);
  const texts = [el("span", { class: "name" }, photo.name), el("span", { class: "of-state small" })];
  return el("li", {}, el("button", { type: "button", onclick }, picture(photo.url, ""), ...texts));
}

/** A picture that stays decent where the browser cannot draw it. */
function picture(src, alt, attributes = {}) {
  return el("img", { ...attributes, src, alt, onerror: ({ target }) => target.classList.add("blank") });
}

function renderThumbnail(photo) {
  const button = items.get(photo).firstChild;
  const image = button.querySelector("img");
  if (image.getAttribute("src") !== photo.url) image.replaceWith(picture(photo.url, ""));
  button.querySelector(".of-state").textContent = stateOf(photo);
  button.dataset.state = photo.state;
  button.setAttribute("aria-current", String(photo === selected && pair === null));
}

function isDone(photo) {
  return photo.state === "done";
}

/** What becomes of a photo, in a few words. */
function stateOf(photo) {
  const { concerns } = photo.analysis ?? {};
  if (concerns && Object.values(concerns).every(({ score }) => score === null)) return say("state_nothing");
  const seconds = Math.max(1, Math.ceil((photo.until - Date.now()) / 1000));
  return say(`state_${photo.state}`, { percent: words.number(100 * photo.progress), seconds: words.number(seconds) });
}

function renderResult() {
  get("result").hidden = selected === null || pair !== null;
  const component = get("analysis");
  component.hidden = !selected?.analysis;
  get("actions").hidden = !selected?.analysis;
  if (!selected) return;
  get("result-title").textContent = selected.name;
  const { state, error, url } = selected;
  if (isNew("state", selected, state, error, url, lang)) get("state").replaceChildren(...stateParts(selected));
  get("printed").textContent = printedLine(selected);
  component.status = service.status;
  if (selected.analysis) Object.assign(component, { photo: selected.shown, analysis: selected.analysis });
}

function stateParts(photo) {
  if (isDone(photo)) return [];
  if (photo.state === "failed") return [failure(photo)];
  const value = photo.state === "sending" ? photo.progress : null;
  const reason = ["busy", "lost"].includes(photo.state) ? el("p", {}, words.error(photo.error).message) : null;
  const again = photo.state === "lost" ? action("try_now", () => queue.again((other) => other === photo)) : null;
  const line = el("p", { class: "of-state" }, stateOf(photo));
  // A photo that waits for a key waits for a person: nothing goes on.
  const bar = photo.state === "locked" ? null : el("progress", { value, max: 1, "aria-label": say("progress") });
  const preview = picture(photo.url, photo.name, { class: "preview" });
  return [el("div", { class: "card working" }, preview, reason, line, bar, again)];
}

function failure(photo) {
  const { message, hint } = words.error(photo.error);
  const { code, requestId } = photo.error;
  const shrink = async () => (await queue.shrink(photo)) || showMessage("not_drawable");
  const again = () => queue.again((other) => other === photo);
  return el(
    "div",
    { class: "fault" },
    el("h3", {}, message),
    el("p", {}, hint),
    code === "quality_too_low" ? el("ul", {}, adviceIn(photo.error.message)) : null,
    el(
      "div",
      { class: "row" },
      SMALLER.includes(code) ? action("shrink", shrink) : isOfPhoto(code) ? null : action("again", again),
      action("another", () => get("files").click()),
    ),
    requestId ? el("p", { class: "small" }, say("request_id", { id: requestId })) : null,
  );
}

/** Advice on the issues that a message names by their codes. */
function adviceIn(message) {
  const codes = message.match(/[a-z_]+/g).filter((code) => code in TEXTS[lang].issues);
  return codes.map((code) => el("li", {}, words.code("issues", code)));
}

/** Whether an error is of the photo itself, which another attempt cannot mend. */
function isOfPhoto(code) {
  return code.startsWith("image_") || code === "quality_too_low";
}

function action(key, onclick) {
  return el("button", { type: "button", onclick }, say(key));
}

function printedLine({ analysis, name }) {
  if (!analysis) return "";
  const date = new Intl.DateTimeFormat(lang, { dateStyle: "long", timeStyle: "short" }).format(new Date());
  return say("printed", { name, date, version: service.version?.version ?? "", id: analysis.request_id });
}

function renderCompare() {
  get("compare").hidden = pair === null;
  const done = queue.photos.filter(isDone);
  const repeatability = service.status?.repeatability ?? null;
  if (!pair || !isNew("compare", ...pair, done.length, JSON.stringify(repeatability), lang)) return;
  const focused = document.activeElement?.id;
  const choose = (side, photo) => {
    pair = pair.map((other, i) => (i === side ? photo : other));
    render();
  };
  get("comparison").replaceChildren(...comparison(done, pair, repeatability, words, choose));
  if (focused) get(focused)?.focus();
}

function renderService() {
  const { version, status } = service;
  const model = version?.model ? `${version.model.name} ${version.model.version}` : say("no_model");
  const values = { ...version, model, state: say(`model_${status?.state ?? "unknown"}`) };
  get("service").textContent = version ? say("service", values) : say("service_unknown");
}

// --- what happens ---------------------------------------------------------------------------------------------------

/** Takes photos and shows the first of them; the focus goes there, before several, or to a key that is missing. */
function add(files, name) {
  const added = files.map((file) => queue.add(file, name ?? file.name));
  showMessage(null);
  select(added[0]);
  (keyForm.isOpen ? keyForm : get(added.length > 1 ? "strip-title" : "result-title")).focus();
}

function select(photo) {
  selected = photo;
  pair = null;
  render();
}

function onChange(photo) {
  if (isDone(photo) && photo.analysis.model?.sha256 !== service.version?.model?.sha256) refresh(); // it has changed
  if (items.has(photo) && photo.state === "sending") renderNumbers(photo);
  else render();
  announceState(photo);
}

/** The same parts with other numbers, so that nothing is built anew for each of them. */
function renderNumbers(photo) {
  renderThumbnail(photo);
  if (photo !== selected) return;
  renderResult();
  const [bar, line] = ["progress", ".of-state"].map((part) => get("state").querySelector(part));
  if (photo.state === "sending") bar.value = photo.progress;
  line.textContent = stateOf(photo);
}

function announceState(photo) {
  if (photo.state === "queued" || photo.state === said.get(photo)) return;
  said.set(photo, photo.state);
  if (isDone(photo) && photo === selected && pair === null) return announce(""); // the component says it
  const text = photo.state === "failed" ? Object.values(words.error(photo.error)).join(" ") : stateOf(photo);
  announce(queue.photos.length > 1 ? `${photo.name}: ${text}` : text);
}

function remove(photo) {
  const at = queue.photos.indexOf(photo);
  queue.remove(photo);
  select(queue.photos[Math.min(at, queue.photos.length - 1)] ?? null);
  (selected ? get("result-title") : get("files")).focus();
}

function openCompare() {
  const done = queue.photos.filter(isDone);
  const first = selected && isDone(selected) ? selected : done[0];
  const second = done.find((photo) => photo !== first);
  pair = done.indexOf(second) < done.indexOf(first) ? [second, first] : [first, second];
  render();
  get("compare-title").focus();
}

function closeCompare() {
  pair = null;
  render();
  get("open-compare").focus();
}

let timer; // of a model that is loading

/** Asks the service what runs there; a key that it wants is asked for. */
async function refresh() {
  const { client } = queue;
  try {
    const [version, status] = await Promise.all([client.version(), client.status()]);
    if (client === queue.client) service = { version, status };
    clearTimeout(timer);
    if (status.state === "loading") timer = setTimeout(refresh, LOADING_MS);
  } catch (error) {
    if (client !== queue.client) return;
    if (error.status === 401) askForKey(error.code);
  }
  renderService();
  if (selected) get("analysis").status = service.status;
  renderCompare();
}

function askForKey(code) {
  queue.lock();
  keyForm.ask(code);
}

async function useKey(key) {
  try {
    queue.use(key);
  } catch {
    return askForKey("api_key_wrong"); // it has characters that no key has
  }
  await refresh();
  if (keyForm.isOpen) return; // it is wrong
  write("sessionStorage", KEY, key);
  (selected ? get("result-title") : get("files")).focus();
}

// --- saving ---------------------------------------------------------------------------------------------------------

function save(photo, blob, ending) {
  const address = URL.createObjectURL(blob);
  const name = photo.name.replace(/\.[^.]*$/, "") || "photo";
  el("a", { href: address, download: `${name}-shine.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  announce(say("saved"));
}

function saveJson(photo) {
  save(photo, new Blob([JSON.stringify(photo.analysis, null, 2)], { type: "application/json" }), "json");
}

async function savePng(photo) {
  const button = get("save-png");
  if (button.hasAttribute("aria-disabled")) return; // it is being drawn
  button.setAttribute("aria-disabled", "true");
  announce(say("drawing"));
  try {
    save(photo, await queue.client.overlay(photo.file), "png");
    showMessage(null);
  } catch (error) {
    if (error.status === 401) askForKey(error.code);
    else showMessage("not_saved");
  }
  button.removeAttribute("aria-disabled");
}

// --- start ----------------------------------------------------------------------------------------------------------

takePhotos(get("files"), { onPhotos: (files) => add(files), onNothing: (how) => showMessage(`nothing_${how}`) });
get("open-camera").addEventListener("click", () => {
  showMessage(null);
  camera.open();
});
get("sample").addEventListener("click", async () => {
  const answer = await fetch("demo/portrait.jpg").catch(() => null);
  if (answer?.ok) add([await answer.blob()], say("sample_name"));
  else showMessage("not_loaded");
});
get("open-compare").addEventListener("click", () => (pair ? closeCompare() : openCompare()));
get("close-compare").addEventListener("click", closeCompare);
get("save-json").addEventListener("click", () => saveJson(selected));
get("save-png").addEventListener("click", () => savePng(selected));
get("print").addEventListener("click", () => print());
get("remove").addEventListener("click", () => remove(selected));
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    lang = button.dataset.language;
    write("localStorage", LANGUAGE, lang);
    translate();
  });
}
addEventListener("offline", () => showMessage("offline"));
addEventListener("online", () => {
  showMessage(null);
  refresh();
});
setInterval(() => {
  for (const photo of queue.photos) if (photo.state === "busy") renderNumbers(photo);
}, 1000);

const kept = read("sessionStorage", KEY);
if (kept) queue.use(kept);
translate();
refresh();
