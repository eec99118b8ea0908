// Client of Shine, a self-hosted skin-analysis service: for browsers and Node 18 or newer, without dependencies.
//
//   const shine = new ShineClient("https://host/prefix", { apiKey });
//   const analysis = await shine.analyze(photo, { include: ["outlines"] });
//
// Answers are the service's JSON, unchanged. Types of all answers and options are in shine-client.d.ts.

const REQUEST_OPTIONS = ["signal", "onProgress"];
const BATCH_OPTIONS = ["require", "minConfidence"];
const ANALYZE_OPTIONS = [...BATCH_OPTIONS, "include"];
const OVERLAY_OPTIONS = [...ANALYZE_OPTIONS, "layers", "legend", "width"];
const CLIENT_OPTIONS = ["apiKey", "timeoutMs", "retries", "fetch"];

const MAX_TIMEOUT_MS = 999_999_999; // the most that X-Request-Deadline-Ms can say
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 8_000;
// Sending again is safe: the service keeps nothing. 502 and 504 are also those of a load balancer.
const RETRIED_STATUSES = [429, 502, 503, 504];
// What is the same for every photo: a wrong option, key or address.
const FATAL_STATUSES = [400, 401, 404, 405];
const END_OF_PHOTOS = Symbol("end of photos");

/**
 * Why there is no answer.
 *
 * `code` is the service's (`error.code` in its JSON), or one of the client's own: `connection_failed`, `timeout`,
 * `unexpected_answer` (something else than the service answered), `photo_unreadable` (the file cannot be read here).
 */
export class ShineError extends Error {
  constructor(code, message, { status = null, hint = "", requestId = null, retryAfter = null, cause } = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.name = "ShineError";
    this.code = code;
    this.status = status; // of HTTP; null where none came
    this.hint = hint; // what the caller can do, one sentence
    this.requestId = requestId;
    this.retryAfter = retryAfter; // seconds; null where the service did not say
  }
}

/**
 * One service.
 *
 * `base` is its URL; in browsers also an address relative to the page. Options: `apiKey`; `timeoutMs` (60,000) for a
 * call with all its attempts and waits; `retries` (3) after the first attempt; `fetch` in place of the global one.
 * A photo is a Blob, File, ArrayBuffer or typed array with the bytes of its file; in Node also the path of a file.
 * Calls reject with a ShineError, with the signal's reason after an abort, or with a TypeError where they are misused.
 */
export class ShineClient {
  #base;
  #headers;
  #timeoutMs;
  #retries;
  #fetch;

  constructor(base = ".", options = {}) {
    refuseUnknownOptions(options, CLIENT_OPTIONS);
    const { apiKey, timeoutMs = 60_000, retries = 3, fetch } = options;
    if (!(timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS)) {
      throw new TypeError(`timeoutMs is ${timeoutMs}; it must be a number from 1 to ${MAX_TIMEOUT_MS}.`);
    }
    if (!(Number.isInteger(retries) && retries >= 0)) {
      throw new TypeError(`retries is ${retries}; it must be a whole number from 0 on.`);
    }
    this.#base = baseAddress(base);
    this.#headers = apiKey ? { "X-API-Key": checkedKey(apiKey) } : {};
    this.#timeoutMs = timeoutMs;
    this.#retries = retries;
    this.#fetch = fetch;
  }

  /** Findings on one photo, an Analysis. Options: require, minConfidence, include, signal, onProgress. */
  async analyze(photo, options = {}) {
    return this.#post("analyze", "image", [photo], options, ANALYZE_OPTIONS, "concerns");
  }

  /** How fit a photo is and what would make it so, a QualityAnswer. Options: signal, onProgress. */
  async quality(photo, options = {}) {
    return this.#post("quality", "image", [photo], options, [], "quality");
  }

  /** The photo with findings drawn in, a Blob (image/png). Options: those of `analyze`, layers, legend, width. */
  async overlay(photo, options = {}) {
    return this.#post("overlay", "image", [photo], options, OVERLAY_OPTIONS, "image/png");
  }

  /** Findings on up to 16 photos by one request: of each an Analysis or {error}. Options: of `analyze`, no include. */
  async analyzeBatch(photos, options = {}) {
    refuseNoList(photos);
    return (await this.#post("analyze_batch", "images", [...photos], options, BATCH_OPTIONS, "results")).results;
  }

  /**
   * Findings on any number of photos, an async iterator in their order: of each an Analysis, or {error: ShineError}.
   *
   * `photos` is an iterable or async iterable, read as its photos are needed. Options: those of `analyze` but
   * onProgress, and `concurrency` (4), the most photos that are analysed at the same time. Each photo has `timeoutMs`.
   * What concerns all photos is thrown: a wrong option, key or address, and an abort.
   */
  analyzeMany(photos, options = {}) {
    refuseUnknownOptions(options, [...ANALYZE_OPTIONS, "signal", "concurrency"]);
    const { concurrency = 4, ...each } = options;
    if (!(Number.isInteger(concurrency) && concurrency >= 1)) {
      throw new TypeError(`concurrency is ${concurrency}; it must be a whole number from 1 on.`);
    }
    refuseNoList(photos);
    return this.#inOrder((photos[Symbol.asyncIterator] ?? photos[Symbol.iterator]).call(photos), concurrency, each);
  }

  /** What the service says about its model, an MlStatus. Option: signal. */
  async status(options = {}) {
    return this.#get("ml/status", options, "state");
  }

  /** What runs there, a Version. Option: signal. */
  async version(options = {}) {
    return this.#get("version", options, "service");
  }

  /** Whether the process answers, a Health. Option: signal. */
  async health(options = {}) {
    return this.#get("health", options, "status");
  }

  /** Whether requests are answered as the phase demands, a Readiness: also where they are not. Option: signal. */
  async ready(options = {}) {
    return this.#get("ready", options, "ready");
  }

  #get(path, options, wanted) {
    refuseUnknownOptions(options, ["signal"]);
    return this.#call(path, wanted, options);
  }

  #post(path, field, photos, options, known, wanted) {
    refuseUnknownOptions(options, [...known, ...REQUEST_OPTIONS]);
    return this.#call(path, wanted, options, () => photoForm(field, photos, options, known));
  }

  async *#inOrder(source, concurrency, options) {
    const stopper = new AbortController();
    const unlink = forwardAbort(options.signal, stopper);
    const { signal } = stopper;
    let turn = Promise.resolve(); // the source is asked for one photo after the other
    const start = () => {
      const next = turn.then(() => source.next());
      turn = next.catch(() => {});
      const result = next.then(({ done, value }) => (done ? END_OF_PHOTOS : this.#item(value, { ...options, signal })));
      result.catch(() => {}); // it is thrown when its turn has come
      return result;
    };
    const running = Array.from({ length: concurrency }, start);
    try {
      for (;;) {
        const item = await orAborted(running.shift(), signal);
        if (item === END_OF_PHOTOS) return;
        running.push(start());
        yield item;
      }
    } finally {
      unlink();
      stopper.abort();
      Promise.resolve(source.return?.()).catch(() => {});
    }
  }

  async #item(photo, options) {
    try {
      return await this.analyze(photo, options);
    } catch (error) {
      if (!(error instanceof ShineError) || FATAL_STATUSES.includes(error.status)) throw error;
      return { error };
    }
  }

  /** One call with all its attempts: `form` makes the body, `wanted` is what the answer must have. */
  async #call(path, wanted, { signal: callersSignal, onProgress }, form) {
    const stopper = new AbortController();
    const { signal } = stopper;
    const endsAt = performance.now() + this.#timeoutMs;
    let failure;
    const timer = setTimeout(() => stopper.abort(timeoutError(this.#timeoutMs, failure)), this.#timeoutMs);
    const unlink = forwardAbort(callersSignal, stopper);
    try {
      const body = form && (await orAborted(form(), signal));
      for (let attempt = 0; ; attempt++) {
        try {
          return await orAborted(this.#attempt(path, wanted, body, signal, onProgress, endsAt), signal);
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          failure = error;
        }
        const waitMs = backoffMs(failure, attempt);
        if (attempt === this.#retries || !isTemporary(failure) || waitMs >= endsAt - performance.now()) throw failure;
        await pause(waitMs, signal);
      }
    } finally {
      clearTimeout(timer);
      unlink();
    }
  }

  async #attempt(path, wanted, body, signal, onProgress, endsAt) {
    const url = this.#base + path;
    const headers = { ...this.#headers };
    if (body) headers["X-Request-Deadline-Ms"] = String(Math.max(1, Math.floor(endsAt - performance.now())));
    // A redirect is not followed: it would carry the key to another host, and make a GET of a POST.
    const request = { method: body ? "POST" : "GET", headers, body, signal, redirect: "manual", cache: "no-store" };
    const byXhr = onProgress && !this.#fetch && globalThis.XMLHttpRequest;
    const send = byXhr ? sendByXhr : (this.#fetch ?? globalThis.fetch);
    let response, content;
    try {
      response = await send(url, request, onProgress);
      content = await response.blob();
    } catch (error) {
      throw connectionError(url, error);
    }
    return readAnswer(response, content, wanted);
  }
}

/** The answer, where it is one of the contract's; `wanted` is a key that its JSON has, or image/png. */
async function readAnswer(response, content, wanted) {
  const { status, headers } = response;
  const type = (headers.get("content-type") ?? "").split(";")[0].trim();
  if (status === 200 && wanted === "image/png" && type === wanted) return content;
  const answer = await new Response(content).json().catch(() => null);
  const requestId = answer?.error?.request_id ?? headers.get("x-request-id");
  const retryAfter = retryAfterSeconds(headers.get("retry-after"));
  if (typeof answer?.error?.code === "string") {
    const { code, message, hint } = answer.error;
    throw new ShineError(code, message, { status, hint, requestId, retryAfter });
  }
  const answered = status === 200 || (status === 503 && wanted === "ready");
  if (answered && answer?.[wanted] !== undefined) return answer;
  const redirected = status === 0 || (status >= 300 && status < 400);
  const what = redirected ? "a redirect" : `status ${status} and ${type || "no content type"}`;
  const hint = redirected
    ? "Use the address that it leads to, with https where it begins with http."
    : "Check the address of the service, prefix included, and the proxy before it.";
  const message = `The address answered with ${what}, which is no answer of Shine.`;
  throw new ShineError("unexpected_answer", message, { status: status || null, hint, requestId, retryAfter });
}

/** Retry-After in seconds: it is a number of them or a date; null where it is neither. */
function retryAfterSeconds(value) {
  if (value === null) return null;
  if (/^\s*\d+(\.\d+)?\s*$/.test(value)) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, (at - Date.now()) / 1000);
}

/** Like fetch, but tells how much of the body has been sent: XMLHttpRequest alone can. */
function sendByXhr(url, { method, headers, body, signal }, onProgress) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const abort = () => xhr.abort();
    xhr.open(method, url);
    xhr.responseType = "arraybuffer";
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = ({ loaded, total }) => onProgress({ loaded, total });
    xhr.onload = () => resolve(responseOf(xhr, url));
    xhr.onerror = () => reject(new TypeError("XMLHttpRequest failed"));
    xhr.onabort = () => reject(signal.reason);
    xhr.onloadend = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort);
    xhr.send(body);
  });
}

function responseOf(xhr, url) {
  // XMLHttpRequest follows redirects; this is what fetch gives where it does not.
  if (xhr.responseURL && xhr.responseURL !== url) return Response.error();
  const lines = xhr.getAllResponseHeaders().split("\r\n").filter(Boolean);
  const headers = new Headers(lines.map((line) => line.split(/:(.*)/).slice(0, 2)));
  return new Response(xhr.response?.byteLength ? xhr.response : null, { status: xhr.status, headers });
}

async function photoForm(field, photos, options, known) {
  const form = new FormData();
  // A file's name may be a person's: it is not sent.
  for (const photo of photos) form.append(field, await photoBlob(photo), "photo");
  for (const name of known) {
    const formName = name === "minConfidence" ? "min_confidence" : name;
    if (options[name] !== undefined && options[name] !== null) form.append(formName, String(options[name]));
  }
  return form;
}

async function photoBlob(photo) {
  const kind = Object.prototype.toString.call(photo).slice(8, -1); // also of another frame's objects
  if (kind === "Blob" || kind === "File") {
    // A file that was changed or taken away since it was chosen would look like a failed connection.
    await readPhoto("The photo", photo.slice(0, 1).arrayBuffer());
    return photo;
  }
  if (kind === "ArrayBuffer" || ArrayBuffer.isView(photo)) return new Blob([photo]);
  const inNode = Boolean(globalThis.process?.versions?.node);
  if (typeof photo === "string" && inNode) return fileBlob(photo);
  const wanted = "A photo is a Blob, File, ArrayBuffer or typed array";
  if (typeof photo !== "string") throw new TypeError(`${wanted}${inNode ? ", or a file's path" : ""}, no ${kind}.`);
  throw new TypeError(`${wanted}; of an address pass the content: await (await fetch(address)).blob().`);
}

async function fileBlob(path) {
  const module = "node:fs/promises"; // in a variable: bundlers for browsers refuse it where they see it
  const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  return new Blob([await readPhoto(`The file ${JSON.stringify(path)}`, readFile(path))]);
}

async function readPhoto(what, reading) {
  try {
    return await reading;
  } catch (cause) {
    const why = typeof cause.code === "string" ? cause.code : cause.name; // a DOMException's code is a number
    const hint = "Check that the file is still there and may be read, then choose it again.";
    throw new ShineError("photo_unreadable", `${what} cannot be read (${why}).`, { hint, cause });
  }
}

function connectionError(url, cause) {
  const why = cause?.cause?.code ? ` (${cause.cause.code})` : "";
  const hint = globalThis.document
    ? "Check the network and the address; a service of another origin must list this page's in SHINE_CORS_ORIGINS."
    : "Check the network and the address of the service.";
  const message = `The connection to ${new URL(url).origin} failed${why}.`;
  return new ShineError("connection_failed", message, { hint, cause });
}

function timeoutError(timeoutMs, cause) {
  const message = `There was no answer within ${timeoutMs / 1000} seconds.`;
  return new ShineError("timeout", message, { hint: "Try again; a smaller photo is sent faster.", cause });
}

function isTemporary(error) {
  return error.code === "connection_failed" || RETRIED_STATUSES.includes(error.status);
}

/** Milliseconds before the next attempt: at least what the service asks for, and a random part. */
function backoffMs(error, attempt) {
  const backoff = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** attempt);
  return (error.retryAfter === null ? backoff / 2 : error.retryAfter * 1000) + (Math.random() * backoff) / 2;
}

function pause(ms, signal) {
  let timer;
  const waited = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  return orAborted(waited, signal).finally(() => clearTimeout(timer));
}

/** What a promise gives, or the signal's reason as soon as it aborts. */
function orAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Aborts `stopper` with `signal`; returns what ends that. AbortSignal.any is newer than Node 18. */
function forwardAbort(signal, stopper) {
  const stop = () => stopper.abort(signal.reason);
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop);
  return () => signal?.removeEventListener("abort", stop);
}

function baseAddress(base) {
  const page = globalThis.document?.baseURI ?? globalThis.location?.href;
  let url;
  try {
    url = new URL(base || ".", page);
  } catch {
    const right = page ? "a URL or an address relative to the page" : "a URL such as http://localhost:5000";
    throw new TypeError(`The address of the service is ${JSON.stringify(base)}; it must be ${right}.`);
  }
  if (!["http:", "https:"].includes(url.protocol) || url.username || url.password) {
    throw new TypeError("The address of the service must begin with http:// or https://, without user and password.");
  }
  return url.origin + url.pathname.replace(/\/*$/, "/");
}

function checkedKey(apiKey) {
  const key = String(apiKey).trim();
  if (!/^[\x21-\x7e]+$/.test(key)) throw new TypeError("apiKey has characters that no HTTP header can have.");
  return key;
}

function refuseNoList(photos) {
  const iterable = photos?.[Symbol.iterator] ?? photos?.[Symbol.asyncIterator];
  if (!iterable || typeof photos === "string") throw new TypeError("photos must be a list of photos.");
}

function refuseUnknownOptions(options, known) {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`There is no option ${unknown}; there are ${known.join(", ")}.`);
}
