// The JavaScript client against a service that fails in every way. Each test has a service of its own.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { ShineClient, ShineError } from "../../bentos/client/shine-client.js";
import { ANALYSIS, CUT, CUT_INSIDE, NodeXMLHttpRequest, PHOTO, SILENT } from "./scripted.mjs";
import { json, page, problem, scripted } from "./scripted.mjs";

globalThis.XMLHttpRequest = NodeXMLHttpRequest; // the client uses it where progress is asked for
const OK = json(ANALYSIS);
const BUSY = problem(429, "overloaded", { "retry-after": "0" });

async function failure(promise) {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (error) => error,
  );
  assert.ok(error instanceof ShineError, String(error?.stack));
  return error;
}

/** Waits until no request is open: a test that leaves one runs into its time limit. */
async function closed(service) {
  while (!service.requests.every((request) => request.closed)) await sleep(10);
}

describe("one photo", { concurrency: true }, () => {
  // Both ways to send a photo behave the same.
  for (const [transport, how] of Object.entries({ fetch: {}, XMLHttpRequest: { onProgress() {} } })) {
    const start = async (t, answers, options = {}) => {
      const service = await scripted(t, ...answers);
      const shine = new ShineClient(`${service.url}/skin`, { timeoutMs: 20_000, ...options });
      return { service, shine, analyze: (more = {}) => shine.analyze(PHOTO, { ...how, ...more }) };
    };

    it(`${transport}: passes the answer on unchanged, and sends photo, options, key and deadline`, async (t) => {
      const { service, analyze } = await start(t, [OK], { apiKey: " k1\n" });
      const asked = { require: "model", minConfidence: 0, include: ["outlines", "maps"] };
      assert.deepEqual(await analyze(asked), ANALYSIS);
      const [{ method, path, headers, form }] = service.requests;
      assert.deepEqual([method, path, headers["x-api-key"]], ["POST", "/skin/analyze", "k1"]);
      const left = Number(headers["x-request-deadline-ms"]);
      assert.ok(Number.isInteger(left) && left > 10_000 && left <= 20_000, String(left));
      const { image, ...options } = Object.fromEntries(form);
      assert.deepEqual(options, { require: "model", min_confidence: "0", include: "outlines,maps" });
      assert.deepEqual(new Uint8Array(await image.arrayBuffer()), PHOTO);
      assert.equal(image.name, "photo");
    });

    it(`${transport}: waits as long as Retry-After says, in seconds or until a date`, async (t) => {
      const date = () => new Date(Date.now() + 2000).toUTCString(); // whole seconds: one to two of them
      const { service, analyze } = await start(t, [
        problem(429, "rate_limited", { "retry-after": "1" }),
        () => problem(503, "shutting_down", { "retry-after": date() }),
        OK,
      ]);
      assert.deepEqual(await analyze(), ANALYSIS);
      const left = service.requests.map(({ headers }) => Number(headers["x-request-deadline-ms"]));
      assert.ok(left[0] - left[1] >= 990 && left[1] - left[2] >= 900, String(left));
    });

    it(`${transport}: gives up at once when Retry-After is longer than the time left`, async (t) => {
      const { service, analyze } = await start(t, [problem(503, "model_unavailable", { "retry-after": "21" })]);
      const error = await failure(analyze());
      const { name, code, status, message, hint, requestId, retryAfter } = error;
      assert.deepEqual(
        [name, code, status, message, hint, requestId, retryAfter],
        ["ShineError", "model_unavailable", 503, "It is model_unavailable.", "Do this.", "r1", 21],
      );
      assert.equal(service.requests.length, 1);
    });

    it(`${transport}: ends with the last error when its retries are used up`, async (t) => {
      const { service, analyze } = await start(t, [CUT, problem(504, "timeout"), BUSY], { retries: 2 });
      assert.equal((await failure(analyze())).code, "overloaded");
      assert.equal(service.requests.length, 3);
    });

    for (const [status, code] of Object.entries({
      400: "bad_request",
      401: "api_key_wrong",
      408: "request_timeout",
      413: "body_too_large",
      415: "image_format_unsupported",
      422: "image_unreadable",
      500: "internal_error",
    })) {
      it(`${transport}: does not send again what was answered with ${status}`, async (t) => {
        const { service, analyze } = await start(t, [problem(Number(status), code, { "retry-after": "0" })]);
        const error = await failure(analyze());
        assert.deepEqual([error.code, error.status, service.requests.length], [code, Number(status), 1]);
      });
    }

    it(`${transport}: sends again when the connection was cut before or within the answer`, async (t) => {
      const { service, analyze } = await start(t, [CUT, CUT_INSIDE, OK]);
      assert.deepEqual(await analyze(), ANALYSIS);
      assert.equal(service.requests.length, 3);
    });

    it(`${transport}: names a connection that fails each time`, async (t) => {
      const { service, analyze } = await start(t, [CUT], { retries: 1 });
      const error = await failure(analyze());
      assert.deepEqual([error.code, error.status, error.retryAfter], ["connection_failed", null, null]);
      assert.ok(error.message.includes(service.url) && error.hint);
      assert.equal(service.requests.length, 2);
    });

    it(`${transport}: ends when the time for all attempts is over`, async (t) => {
      const { service, analyze } = await start(t, [BUSY, SILENT], { timeoutMs: 2_500 });
      const error = await failure(analyze());
      assert.deepEqual([error.code, error.status], ["timeout", null]);
      assert.match(error.message, /2\.5 seconds/);
      await closed(service);
    });

    it(`${transport}: knows what is no answer of the service, and sends again what a proxy answers for it`, async (t) => {
      const other = json({ error: "no such thing" }, 404);
      const { service, analyze } = await start(t, [page(502), page(200), json([]), other], { retries: 1 });
      const error = await failure(analyze());
      assert.deepEqual([error.code, error.status], ["unexpected_answer", 200]);
      assert.match(error.message, /status 200 and text\/html,/);
      assert.equal(service.requests.length, 2);
      assert.deepEqual([(await failure(analyze())).code, service.requests.length], ["unexpected_answer", 3]);
      const last = await failure(analyze());
      assert.deepEqual([last.code, last.status, service.requests.length], ["unexpected_answer", 404, 4]);
    });

    it(`${transport}: does not follow a redirect`, async (t) => {
      const { analyze } = await start(t, [
        ({ path }) => {
          const headers = { location: "/elsewhere" };
          return path === "/elsewhere" ? OK : { status: 307, headers };
        },
      ]);
      const error = await failure(analyze());
      assert.equal(error.code, "unexpected_answer");
      assert.match(error.message, /redirect/);
    });

    it(`${transport}: aborts before, within and between requests, with the signal's reason`, async (t) => {
      const { service, analyze } = await start(t, [SILENT, problem(429, "overloaded", { "retry-after": "15" })]);
      const gone = new Error("gone");
      await assert.rejects(analyze({ signal: AbortSignal.abort(gone) }), gone);
      assert.equal(service.requests.length, 0);
      for (const count of [1, 2]) {
        const within = new AbortController();
        const answer = assert.rejects(analyze({ signal: within.signal }), gone);
        while (service.requests.length < count || (count === 2 && !service.requests[1].closed)) await sleep(10);
        await sleep(100); // the second answer has been read, and the wait has begun
        within.abort(gone);
        assert.equal(await Promise.race([answer, sleep(8_000, "too late", { ref: false })]), undefined);
      }
      await closed(service);
      await assert.rejects(analyze({ signal: AbortSignal.abort() }), { name: "AbortError" });
      assert.equal(service.requests.length, 2);
    });
  }
});

describe("photos and options", { concurrency: true }, () => {
  it("tells how much is sent, for each attempt anew", async (t) => {
    const service = await scripted(t, BUSY, OK);
    const told = [];
    await new ShineClient(service.url).analyze(new Uint8Array(1000), { onProgress: (progress) => told.push(progress) });
    const total = told[0].total;
    assert.ok(total > 1000);
    const half = Math.ceil(total / 2);
    assert.deepEqual(
      told.map(({ loaded }) => loaded),
      [half, total, half, total],
    );
  });

  it("uses the fetch that it is given, for photos too", async () => {
    const fetched = [];
    const fetch = async (url, { method }) => {
      fetched.push([method, url]);
      return new Response(method === "GET" ? '{"status": "ok"}' : JSON.stringify(ANALYSIS));
    };
    const shine = new ShineClient("https://host/skin/?query#part", { fetch });
    await shine.health();
    await shine.analyze(PHOTO, { onProgress: () => assert.fail("there is none") });
    assert.deepEqual(fetched, [
      ["GET", "https://host/skin/health"],
      ["POST", "https://host/skin/analyze"],
    ]);
  });

  it("takes addresses relative to the page, and refuses what is none", async () => {
    const requested = (base) =>
      new Promise((resolve) => {
        const fetch = async (url) => resolve(url) ?? new Response('{"status": "ok"}');
        new ShineClient(base, { fetch }).health();
      });
    globalThis.document = { baseURI: "https://host/skin/demo?x" };
    const addresses = [undefined, ".", "", "/", "../other", "https://api.test"].map(requested);
    delete globalThis.document;
    const [skin, other] = ["https://host/skin/health", "https://host/other/health"];
    assert.deepEqual(await Promise.all(addresses), [
      skin,
      skin,
      skin,
      "https://host/health",
      other,
      "https://api.test/health",
    ]);
    for (const base of ["/skin", undefined, "localhost:5000", "ftp://host", "http://user:secret@host"])
      assert.throws(
        () => new ShineClient(base),
        (error) => error instanceof TypeError && !/secret/.test(error.message),
      );
  });

  it("refuses what is no photo, no option or no number, and says what would be right", async () => {
    const shine = new ShineClient("http://127.0.0.1:9");
    await assert.rejects(shine.analyze({}), { name: "TypeError", message: /Blob, File, ArrayBuffer or typed array/ });
    await assert.rejects(shine.quality(PHOTO, { require: "model" }), { name: "TypeError", message: /signal/ });
    await assert.rejects(shine.analyze(PHOTO, { min_confidence: 1 }), { name: "TypeError", message: /minConfidence/ });
    await assert.rejects(shine.status({ onProgress() {} }), TypeError);
    const { process } = globalThis;
    globalThis.process = undefined; // as in a browser, where a path means nothing
    const named = shine.analyze("face.jpg");
    globalThis.process = process;
    await assert.rejects(named, { name: "TypeError", message: /\(await fetch\(address\)\)\.blob\(\)/ });
    for (const options of [{ timeoutMs: 0 }, { timeoutMs: Infinity }, { retries: -1 }, { retries: 1.5 }, { key: "k" }])
      assert.throws(() => new ShineClient("http://host", options), TypeError);
    for (const apiKey of ["ключ", "a\nb"])
      assert.throws(() => new ShineClient("http://host", { apiKey }), /^TypeError: apiKey/);
    for (const concurrency of [0, 1.5, "2"]) assert.throws(() => shine.analyzeMany([], { concurrency }), TypeError);
    for (const photos of [undefined, "face.jpg", 3]) {
      assert.throws(() => shine.analyzeMany(photos), { name: "TypeError", message: /list of photos/ });
      await assert.rejects(shine.analyzeBatch(photos), { name: "TypeError", message: /list of photos/ });
    }
  });

  it("tells a photo that cannot be read from a connection that fails", async () => {
    const shine = new ShineClient("http://127.0.0.1:9");
    const missing = await failure(shine.analyze("/no/such/face.jpg"));
    assert.deepEqual([missing.code, missing.status], ["photo_unreadable", null]);
    assert.match(missing.message, /"\/no\/such\/face\.jpg" cannot be read \(ENOENT\)/);
    const changed = new Blob([PHOTO]);
    changed.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError")) });
    assert.match((await failure(shine.quality(changed))).message, /cannot be read \(NotReadableError\)/);
  });

  it("is ready or not by the answer, and no error", async (t) => {
    const waiting = { ready: false, state: "loading", reason: "model_loading" };
    const service = await scripted(t, json(waiting, 503), page(503), problem(503, "shutting_down"));
    const shine = new ShineClient(service.url, { retries: 0 });
    assert.deepEqual(await shine.ready(), waiting);
    assert.equal((await failure(shine.ready())).code, "unexpected_answer");
    assert.equal((await failure(shine.ready())).code, "shutting_down");
    assert.equal(service.requests[0].headers["x-request-deadline-ms"], undefined);
  });

  it("takes a picture for a picture alone", async (t) => {
    const picture = { status: 200, headers: { "content-type": "image/png" }, body: "PNG" };
    const service = await scripted(t, picture, OK, page(200));
    const shine = new ShineClient(service.url);
    const drawn = await shine.overlay(PHOTO, { layers: ["zones", "acne"], legend: false, width: 64 });
    assert.deepEqual([drawn.type, await drawn.text()], ["image/png", "PNG"]);
    const { image, ...options } = Object.fromEntries(service.requests[0].form);
    assert.deepEqual(options, { layers: "zones,acne", legend: "false", width: "64" });
    assert.equal(image.size, 3);
    for (const _ of [1, 2]) assert.equal((await failure(shine.overlay(PHOTO))).code, "unexpected_answer");
  });
});

describe("any number of photos", { concurrency: true }, () => {
  const numbered = (count) => Array.from({ length: count }, (_, number) => new Uint8Array([number]));
  const numberOf = async ({ form }) => new Uint8Array(await form.get("image").arrayBuffer())[0];
  const echo = (number) => json({ concerns: {}, number });

  it("keeps their order and its bound, and gives an error for a bad one", async (t) => {
    const service = await scripted(t, async (request) => {
      const number = await numberOf(request);
      while (service.most < 3) await sleep(5);
      await sleep([60, 5, 30][number % 3]);
      return number === 4 ? problem(422, "image_unreadable") : echo(number);
    });
    const photos = [...numbered(10), "/no/such/face.jpg"];
    const items = [];
    for await (const item of new ShineClient(service.url).analyzeMany(photos, { concurrency: 3 })) items.push(item);
    const seen = items.map((item) => ("error" in item ? item.error.code : item.number));
    assert.deepEqual(seen, [0, 1, 2, 3, "image_unreadable", 5, 6, 7, 8, 9, "photo_unreadable"]);
    assert.ok(items[4].error instanceof ShineError);
    assert.equal(service.most, 3);
  });

  it("gives results while its source is still waiting for more, and reads no further than needed", async (t) => {
    const service = await scripted(t, async (request) => echo(await numberOf(request)));
    let read = 0;
    const source = (async function* () {
      for (const photo of numbered(100)) {
        if (++read === 4) await new Promise(() => {}); // it comes never
        yield photo;
      }
    })();
    const items = new ShineClient(service.url).analyzeMany(source, { concurrency: 2 });
    assert.equal((await items.next()).value.number, 0);
    while (read < 3) await sleep(5); // the next photo does not wait until the result has been dealt with
    for (const number of [1, 2]) assert.equal((await items.next()).value.number, number);
    await items.return();
    assert.equal(read, 4);
  });

  it("closes its source when it is left", async (t) => {
    const service = await scripted(t, echo(0));
    let left = false;
    const list = numbered(100)[Symbol.iterator]();
    list.return = () => ((left = true), { done: true });
    for await (const item of new ShineClient(service.url).analyzeMany(list, { concurrency: 2 })) {
      assert.equal(item.number, 0);
      break;
    }
    assert.ok(left);
    assert.ok(service.requests.length <= 3, String(service.requests.length));
  });

  it("ends what still runs when it is left, or aborted", async (t) => {
    const service = await scripted(t, async (request) => ((await numberOf(request)) === 0 ? echo(0) : SILENT));
    const shine = new ShineClient(service.url);
    const stopper = new AbortController();
    const aborted = shine.analyzeMany(numbered(9), { concurrency: 2, signal: stopper.signal });
    assert.equal((await aborted.next()).value.number, 0);
    const next = assert.rejects(aborted.next(), { name: "AbortError" });
    while (service.requests.length < 3) await sleep(10);
    stopper.abort();
    await next;
    assert.equal((await aborted.next()).done, true);
    for await (const { number } of shine.analyzeMany(numbered(9), { concurrency: 3 })) {
      assert.equal(number, 0);
      while (service.requests.length < 7) await sleep(10);
      break;
    }
    await closed(service);
  });

  for (const [status, code] of Object.entries({ 400: "bad_request", 401: "api_key_missing", 404: "not_found" })) {
    it(`throws what every photo would be answered with: ${code}`, async (t) => {
      const service = await scripted(t, problem(Number(status), code));
      const error = await failure(new ShineClient(service.url).analyzeMany(numbered(50), { concurrency: 2 }).next());
      assert.equal(error.code, code);
      assert.ok(service.requests.length <= 4);
    });
  }

  it("throws what its source throws, and ends on an empty one", async () => {
    const shine = new ShineClient("http://127.0.0.1:9");
    const broken = (function* () {
      throw new RangeError("broken");
    })();
    await assert.rejects(shine.analyzeMany(broken).next(), RangeError);
    assert.deepEqual(await shine.analyzeMany([]).next(), { value: undefined, done: true });
    await assert.rejects(shine.analyzeMany([7]).next(), TypeError);
  });
});
