/** Sends photos to the service, a few at a time, waits as it says, and keeps what became of each. */

import { ShineClient } from "./shine-analysis.js";

const LANES = 3; // photos that are sent at the same time
const MAX_BYTES = 10 * 2 ** 20; // of a photo, by the contract
export const EMPTY = "image_empty"; // code of a file without a byte, beside those of the service
const MAX_WIDTH = 2048; // px of a picture that the service draws
const BUSY_S = 2; // until a busy service that does not say when is asked again
const POLL_MS = 2000; // between two questions whether the service is back
const MAX_CUTS = 3; // connections lost with the same photo before it is given up
const PROXY_STATUSES = [502, 503, 504]; // of a proxy whose service is gone

/**
 * One photo. Its `state` is
 *
 *   queued     it waits for its turn
 *   sending    `progress` of it, 0..1, has been sent
 *   analysing  the service has it
 *   busy       the service asked to wait until `until`, ms of Date.now()
 *   lost       the service cannot be reached; it is sent when it is back
 *   locked     the service wants a key
 *   done       `analysis` are the findings, `shown` is a Blob that this browser can draw
 *   failed     `error` is why
 */
export class Photo {
  state = "queued";
  progress = 0;
  until = 0;
  analysis = null;
  error = null;
  cuts = 0;
  stopper = new AbortController();

  constructor(file, name) {
    this.file = this.shown = file;
    this.name = name;
    this.url = URL.createObjectURL(file);
  }

  /** Shows another picture of it. */
  show(blob) {
    URL.revokeObjectURL(this.url);
    this.shown = blob;
    this.url = URL.createObjectURL(blob);
  }
}

export class Queue {
  photos = [];
  #running = 0;
  #isPolling = false;
  #key = null;
  #isLocked = false;

  /**
   * @param {{onChange: function(Photo), onLocked: function(string)}} told of a changed photo, and of a code of 401.
   */
  constructor(told) {
    this.told = told;
    this.use(null);
  }

  /** Uses a key from now on, and sends what waits for one; a TypeError says that it cannot be one. */
  use(key) {
    // It waits by itself, so that it can say so; addresses are relative to the page's.
    this.client = new ShineClient(".", { apiKey: key, retries: 0 });
    this.#key = key;
    this.#isLocked = false;
    this.again((photo) => photo.state === "locked");
  }

  /** Sends nothing until a key is used. */
  lock() {
    this.#isLocked = true;
    this.#fill();
  }

  add(file, name = file.name) {
    const photo = new Photo(file, name);
    this.photos.push(photo);
    const code = file.size > MAX_BYTES ? "body_too_large" : file.size ? null : EMPTY;
    if (code) this.#set(photo, { state: "failed", error: { code } });
    else this.#fill();
    return photo;
  }

  remove(photo) {
    photo.stopper.abort();
    URL.revokeObjectURL(photo.url);
    this.photos = this.photos.filter((other) => other !== photo);
  }

  /** Sends photos again. */
  again(which) {
    for (const photo of this.photos) if (which(photo)) this.#set(photo, { state: "queued", error: null, progress: 0 });
    this.#fill();
  }

  /** Sends a smaller copy of a photo in its place; false where this browser cannot draw it. */
  async shrink(photo, longSide = 2000) {
    const picture = await createImageBitmap(photo.file).catch(() => null);
    if (!picture) return false;
    const factor = Math.min(1, longSide / Math.max(picture.width, picture.height));
    const canvas = new OffscreenCanvas(Math.round(picture.width * factor), Math.round(picture.height * factor));
    const pen = canvas.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    photo.file = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
    photo.show(photo.file);
    this.again((other) => other === photo);
    return true;
  }

  #set(photo, values) {
    Object.assign(photo, values);
    this.told.onChange(photo);
  }

  #fill() {
    if (this.#isLocked)
      for (const photo of this.photos) if (photo.state === "queued") this.#set(photo, { state: "locked" });
    while (this.#running < LANES) {
      const photo = this.photos.find(({ state }) => state === "queued");
      if (!photo) return;
      this.#send(photo);
    }
  }

  async #send(photo) {
    this.#running++;
    const key = this.#key;
    const { signal } = photo.stopper;
    const onProgress = ({ loaded, total }) => {
      if (!signal.aborted) this.#set(photo, loaded < total ? { progress: loaded / total } : { state: "analysing" });
    };
    this.#set(photo, { state: "sending" });
    try {
      const analysis = await this.client.analyze(photo.file, { include: ["outlines", "maps"], signal, onProgress });
      await this.#makeDrawable(photo, analysis.image.width);
      this.#set(photo, { state: "done", analysis, cuts: 0 });
    } catch (error) {
      if (!signal.aborted) this.#failed(photo, error, key);
    } finally {
      this.#running--;
      this.#fill();
    }
  }

  /** Has the service draw a photo in a format that this browser cannot read. */
  async #makeDrawable(photo, width) {
    const { signal } = photo.stopper;
    const picture = await createImageBitmap(photo.file).catch(() => null);
    picture?.close();
    if (picture) return;
    // An empty list in JSON: nothing is drawn into it.
    const options = { layers: "[]", legend: false, width: Math.min(width, MAX_WIDTH), signal };
    const drawn = await this.client.overlay(photo.file, options).catch(() => null);
    if (drawn) photo.show(drawn); // else the findings are shown without the photo
  }

  #failed(photo, error, key) {
    if (error.status === 401) {
      // Where another key has come meanwhile, this one says nothing of it.
      if (key === this.#key) this.#isLocked = true;
      this.#set(photo, { state: this.#isLocked ? "locked" : "queued" });
      if (key === this.#key) this.told.onLocked(error.code);
    } else if (error.status === 429) {
      const seconds = error.retryAfter ?? BUSY_S;
      this.#set(photo, { state: "busy", until: Date.now() + 1000 * seconds, error });
      setTimeout(() => this.again((other) => other === photo && photo.state === "busy"), 1000 * seconds);
    } else if (isLost(error) && ++photo.cuts < MAX_CUTS) {
      this.#set(photo, { state: "lost", error });
      this.#poll();
    } else {
      this.#set(photo, { state: "failed", error, cuts: 0 });
    }
  }

  /** Asks until the service answers, then sends what was lost. */
  async #poll() {
    if (this.#isPolling) return;
    this.#isPolling = true;
    let isBack = false;
    while (!isBack && this.photos.some(({ state }) => state === "lost")) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      isBack = navigator.onLine && (await this.client.health().then(() => true, () => false));
    }
    this.#isPolling = false;
    this.again(({ state }) => state === "lost");
  }
}

function isLost({ code, status }) {
  const isOfProxy = code === "unexpected_answer" && PROXY_STATUSES.includes(status);
  return code === "connection_failed" || code === "shutting_down" || isOfProxy;
}
