// The JavaScript client against a running service in phase simple, at SHINE_URL; PORTRAIT is the path of a photo.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

import { ShineClient, ShineError } from "../../bentos/client/shine-client.js";

const { SHINE_URL, PORTRAIT } = process.env;
const shine = new ShineClient(SHINE_URL);
const bytes = await readFile(PORTRAIT);

/** What does not change from one request to the next. */
function findings({ image, quality, face, tone, concerns }) {
  return { image, quality, face, tone, concerns };
}

async function failure(promise) {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (error) => error,
  );
  assert.ok(error instanceof ShineError, String(error?.stack));
  const { code, status } = error;
  assert.ok(error.message && error.hint && /^[0-9a-f]{32}$/.test(error.requestId), error.requestId);
  return [code, status];
}

describe("a running service", () => {
  it("answers a photo in each of its forms alike", async () => {
    const analysis = await shine.analyze(PORTRAIT);
    assert.deepEqual([analysis.schema_version, analysis.source, analysis.degraded], [1, "heuristic", false]);
    assert.deepEqual(analysis.image, { width: 512, height: 512, format: "PNG", turned_degrees: 0 });
    assert.ok(analysis.concerns.redness.score > 0 && analysis.face.box.length === 4);
    assert.ok(!("outlines" in analysis) && !("maps" in analysis));
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const longer = new Uint8Array([...bytes, 1, 2, 3]);
    for (const photo of [new Blob([bytes]), buffer, bytes, longer.subarray(0, bytes.length), new DataView(buffer)])
      assert.deepEqual(findings(await shine.analyze(photo)), findings(analysis));
  });

  it("takes every option", async () => {
    const all = await shine.analyze(bytes, { minConfidence: 0, include: ["outlines", "maps"] });
    const none = await shine.analyze(bytes, { minConfidence: 1, include: [], require: null });
    assert.ok(all.concerns.acne.boxes.length > none.concerns.acne.boxes.length);
    assert.ok(all.outlines.face.length > 2 && all.maps.redness.startsWith("data:image/png;base64,"));
    assert.ok(!("outlines" in none));
    const picture = await shine.overlay(bytes, { layers: ["zones", "redness"], legend: false, width: 64 });
    assert.equal(picture.type, "image/png");
    const header = new DataView(await picture.arrayBuffer());
    assert.deepEqual([header.getUint32(16), header.getUint32(20)], [64, 64]);
    assert.ok((await shine.overlay(bytes)).size > picture.size);
  });

  it("says how fit a photo is", async () => {
    const { quality, face, image, ...rest } = await shine.quality(bytes);
    assert.ok(quality.score > 0 && face.confidence > 0.5 && image.width === 512 && !("concerns" in rest));
  });

  it("answers a batch in its order, each bad photo by itself", async () => {
    const [first, bad, last] = await shine.analyzeBatch([bytes, new Blob(["no photo"]), PORTRAIT], {
      minConfidence: 0,
    });
    assert.equal(bad.error.code, "image_format_unsupported");
    assert.deepEqual(findings(first), findings(last));
    assert.ok(first.concerns.acne.boxes.length > 0);
  });

  it("answers any number of photos", async () => {
    const codes = [];
    for await (const item of shine.analyzeMany([bytes, new Uint8Array(9), PORTRAIT, bytes], { concurrency: 2 }))
      codes.push("error" in item ? item.error.code : item.concerns.acne.source);
    assert.deepEqual(codes, ["heuristic", "image_format_unsupported", "heuristic", "heuristic"]);
  });

  it("tells about itself", async () => {
    assert.equal((await shine.status()).state, "disabled");
    assert.equal((await shine.version()).service, "shine");
    assert.equal((await shine.health()).status, "ok");
    assert.equal((await shine.ready()).ready, true);
  });

  it("refuses by codes", async () => {
    const plain = new ShineClient(SHINE_URL, { retries: 0 });
    const [format, many] = [new Blob(["%PDF-1.7"]), Array(17).fill(bytes)];
    assert.deepEqual(await failure(shine.analyze(format)), ["image_format_unsupported", 415]);
    assert.deepEqual(await failure(shine.analyze(new Uint8Array(0))), ["image_unreadable", 422]);
    assert.deepEqual(await failure(shine.analyze(bytes, { minConfidence: 7 })), ["bad_request", 400]);
    assert.deepEqual(await failure(shine.analyze(new Uint8Array(11 * 2 ** 20))), ["body_too_large", 413]);
    assert.deepEqual(await failure(shine.analyzeBatch(many)), ["batch_too_large", 413]);
    assert.deepEqual(await failure(shine.analyzeBatch([])), ["image_missing", 400]);
    assert.deepEqual(await failure(plain.analyze(bytes, { require: "model" })), ["model_unavailable", 503]);
    assert.deepEqual(await failure(new ShineClient(`${SHINE_URL}/none`).health()), ["not_found", 404]);
  });
});
