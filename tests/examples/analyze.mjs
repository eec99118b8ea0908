// Findings on one photo, with Node's own fetch (Node 18 or newer).
//   node tests/examples/analyze.mjs face.jpg [http://localhost:5000]
// A service with keys wants yours in API_KEY.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const [photo, base = "http://localhost:5000"] = process.argv.slice(2);
if (!photo) fail("usage: analyze.mjs PHOTO [BASE_URL]");

function fail(message) {
  console.error(message);
  process.exit(1);
}

async function analyze(photo, attempts = 3) {
  const form = new FormData(); // fetch sets the Content-Type, which holds the boundary
  form.append("image", new Blob([await readFile(photo)]), basename(photo));
  const headers = process.env.API_KEY ? { "X-API-Key": process.env.API_KEY } : {};
  for (let attempt = 1; ; attempt++) {
    const options = { method: "POST", body: form, headers, signal: AbortSignal.timeout(30_000) };
    const answer = await fetch(new URL("/analyze", base), options);
    if (![429, 503].includes(answer.status) || attempt === attempts) return answer;
    // Busy, or the model is away: the service says in seconds when to come back.
    await answer.arrayBuffer();
    await sleep(1000 * Number(answer.headers.get("retry-after") ?? 1));
  }
}

const answer = await analyze(photo).catch((error) => fail(String(error.cause ?? error)));
const body = await answer.json().catch(() => null);
if (!answer.ok) {
  const error = body?.error; // every error has this one shape; anything else did not come from the service
  fail(error ? `${error.code}: ${error.message} ${error.hint} (request ${error.request_id})` : `HTTP ${answer.status}`);
}
console.log(`answered by the ${body.source}${body.degraded ? `, in place of the model: ${body.reason}` : ""}`);
console.log("quality", body.quality.score, body.quality.issues.join(", "));
for (const advice of body.advice) console.log(advice);
// What cannot be judged is null, and says why.
for (const [name, { score, reason }] of Object.entries(body.concerns))
  console.log(name, score ?? `not judged: ${reason}`);
const { count, severity } = body.concerns.acne;
if (count !== null) console.log(`${count} lesions, ${severity}`);
console.log(body.notice);
