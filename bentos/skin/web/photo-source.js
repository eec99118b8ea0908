/** A photo's bytes, from wherever it comes, and the upright picture of them. */

import { ShineError } from "./shine-client.js";

const MOST_PIXELS_A_SIDE = 3000; // more is not kept in memory

/**
 * The bytes of a photo.
 *
 * @param {Blob|HTMLCanvasElement|URL|string} source a photo, or its address, which may be relative to the page.
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>} It rejects with a ShineError `photo_unreadable`.
 */
export async function blobOf(source, signal) {
  if (source instanceof Blob) return source;
  try {
    const blob = source instanceof HTMLCanvasElement ? await fromCanvas(source) : await fromAddress(source, signal);
    if (blob) return blob;
  } catch (cause) {
    throw unreadablePhoto(cause);
  }
  throw unreadablePhoto(null);
}

function fromCanvas(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve));
}

async function fromAddress(address, signal) {
  const response = await fetch(new URL(address, document.baseURI), { signal });
  return response.ok ? response.blob() : null;
}

function unreadablePhoto(cause) {
  return new ShineError("photo_unreadable", "The photo cannot be loaded.", { hint: "Check its address.", cause });
}

/**
 * The upright picture, drawn by the service where this browser cannot read the format.
 *
 * @param {Blob} blob
 * @param {ShineClient|null} client null where no service may be asked.
 * @param {AbortSignal} signal
 * @returns {Promise<ImageBitmap|null>} null where it cannot be drawn at all.
 */
export async function pictureOf(blob, client, signal) {
  try {
    return await bitmapOf(blob);
  } catch {
    // The layers are an empty list in JSON: nothing is drawn into the photo.
    const bare = client?.overlay(blob, { layers: "[]", legend: false, signal });
    return bare ? bare.then(bitmapOf).catch(() => null) : null;
  }
}

async function bitmapOf(blob) {
  const whole = await createImageBitmap(blob);
  const factor = MOST_PIXELS_A_SIDE / Math.max(whole.width, whole.height);
  if (factor >= 1) return whole;
  const size = { resizeWidth: Math.round(whole.width * factor), resizeHeight: Math.round(whole.height * factor) };
  const smaller = await createImageBitmap(whole, { ...size, resizeQuality: "high" });
  whole.close();
  return smaller;
}
