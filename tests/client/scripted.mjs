// A service that answers what it is told to, one answer after the other, and keeps what it was sent.
import { createServer } from "node:http";

export const ANALYSIS = { schema_version: 1, request_id: "a", concerns: { acne: { score: 3, new_field: [1] } } };
export const PHOTO = new Uint8Array([0xff, 0xd8, 0xff]);

/** JSON as the service sends it. */
export function json(body, status = 200, headers = {}) {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** An error in the contract's shape. */
export function problem(status, code, headers = {}) {
  return json({ error: { code, message: `It is ${code}.`, hint: "Do this.", request_id: "r1" } }, status, headers);
}

/** A page, as a proxy answers. */
export function page(status) {
  return { status, headers: { "content-type": "text/html; charset=utf-8" }, body: "<h1>Bad Gateway</h1>" };
}

export const CUT = "cut"; // the connection ends instead of an answer
export const CUT_INSIDE = "cut inside"; // or within it
export const SILENT = "silent"; // it stays open, and nothing comes

/**
 * Starts it; it is stopped after the test `t`.
 *
 * The last answer is given again and again. Answers are those above, or functions from a request to one of them.
 * `requests` are {method, path, headers, form, closed}; `most` is how many of them were open at the same time.
 */
export async function scripted(t, ...answers) {
  const service = { requests: [], most: 0, url: "" };
  let open = 0;
  const server = createServer(async (incoming, outgoing) => {
    service.most = Math.max(service.most, ++open);
    const request = { method: incoming.method, path: incoming.url, headers: incoming.headers, closed: false };
    outgoing.on("close", () => {
      open -= 1;
      request.closed = true;
    });
    const number = service.requests.push(request) - 1;
    const chunks = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk);
    } catch {
      return; // the client has gone
    }
    if (chunks.length > 0) {
      const headers = { "content-type": incoming.headers["content-type"] };
      request.form = await new Response(Buffer.concat(chunks), { headers }).formData();
    }
    let answer = answers[Math.min(number, answers.length - 1)];
    if (typeof answer === "function") answer = await answer(request);
    if (answer === SILENT) return;
    if (answer === CUT) return void incoming.socket.destroy();
    if (answer === CUT_INSIDE) {
      outgoing.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      outgoing.write("{", () => incoming.socket.destroy());
      return;
    }
    outgoing.writeHead(answer.status, answer.headers);
    outgoing.end(answer.body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  service.url = `http://127.0.0.1:${server.address().port}`;
  return service;
}

/** A browser's XMLHttpRequest, as far as the client uses it, by Node's fetch. */
export class NodeXMLHttpRequest {
  upload = {};
  status = 0;
  response = null;
  responseURL = "";
  #request = { headers: {} };
  #stopper = new AbortController();
  #answer;

  open(method, url) {
    this.#request.method = method;
    this.#request.url = url;
  }

  setRequestHeader(name, value) {
    this.#request.headers[name] = value;
  }

  getAllResponseHeaders() {
    return [...this.#answer.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  }

  abort() {
    this.#stopper.abort();
  }

  async send(form) {
    const body = await new Response(form).blob();
    const headers = { ...this.#request.headers, "content-type": body.type };
    const total = body.size;
    try {
      this.upload.onprogress({ loaded: Math.ceil(total / 2), total, lengthComputable: true });
      const { url, method } = this.#request;
      this.#answer = await fetch(url, { method, headers, body, signal: this.#stopper.signal });
      this.upload.onprogress({ loaded: total, total, lengthComputable: true });
      this.response = await this.#answer.arrayBuffer();
      this.status = this.#answer.status;
      this.responseURL = this.#answer.url;
      this.onload();
    } catch {
      this.#stopper.signal.aborted ? this.onabort() : this.onerror();
    }
    this.onloadend();
  }
}
