/** Takes a photo with the camera, and says meanwhile what would make it better, by the service's own measure. */

const FRAME_SIDE = 640; // px of the frames that are judged while the camera runs
const FRAME_MS = 500; // from one judgement to the next, at least
const LEAST_FACE = 0.36; // height of the face over that of the picture
const MOST_OFF = 0.17; // of the face's middle from the picture's, over its sides
const MOST_YAW = 20; // degrees
// The oval: its half axes over the height of the picture, a head's.
const OVAL = { across: 0.29, up: 0.41 };
// Issue of the photo → what to do, the first that applies.
const ADVICE = [
  ["several_faces", "guide_several"],
  ["turned_away", "guide_straight"],
  ["cut_off", "guide_back"],
  ["too_small", "guide_closer"],
  ["too_dark", "guide_dark"],
  ["too_bright", "guide_bright"],
  ["uneven_light", "guide_window"],
  ["tinted", "guide_white"],
  ["covered", "guide_bare"],
  ["little_skin", "guide_bare"],
  ["no_colour", "guide_colour"],
  ["blurred", "guide_still"],
];
const FAULTS = { NotFoundError: "camera_none", NotAllowedError: "camera_denied", SecurityError: "camera_denied" };

/** What to say of a frame: the key of a text; "guide_good" where there is nothing to improve. */
export function guidance({ face, image, quality }) {
  if (!face) return "guide_oval";
  const [x, y, width, height] = face.box;
  const known = ADVICE.find(([issue]) => quality.issues.includes(issue))?.[1];
  if (["guide_several", "guide_straight"].includes(known)) return known;
  if (Math.abs(face.pose?.yaw ?? 0) > MOST_YAW) return "guide_straight";
  const off = [(x + width / 2) / image.width - 0.5, (y + height / 2) / image.height - 0.5];
  if (known !== "guide_back" && off.some((share) => Math.abs(share) > MOST_OFF)) return "guide_oval";
  if (known !== "guide_back" && height / image.height < LEAST_FACE) return "guide_closer";
  return known ?? "guide_good";
}

export class Camera {
  #stream = null;
  #run = 0; // grows with each opening: what belongs to an earlier one ends
  #said = null;

  /**
   * @param {HTMLDialogElement} dialog with the elements #video, #guidance, #shutter, #close-camera and a svg.
   * @param {{say: function(string): string, judge: function(Blob): Promise, onPhoto: function(Blob),
   *   onFault: function(string)}} told `say` gives a text by its key, `judge` the answer of /quality; told are a
   *   photo, and the key of a text where there is no camera.
   */
  constructor(dialog, told) {
    this.dialog = dialog;
    this.told = told;
    this.video = dialog.querySelector("#video");
    this.line = dialog.querySelector("#guidance");
    dialog.querySelector("#shutter").addEventListener("click", () => this.#take());
    dialog.querySelector("#close-camera").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.#stop());
    this.video.addEventListener("loadedmetadata", () => this.#drawOval());
  }

  /** Opens the camera; it closes by its button, the key Escape, or with a photo. */
  async open() {
    const run = ++this.#run;
    if (!navigator.mediaDevices) return this.told.onFault("camera_insecure");
    try {
      const wanted = { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1440 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      if (run !== this.#run) return stopTracks(stream);
      this.#stream = stream;
    } catch (error) {
      return this.told.onFault(FAULTS[error.name] ?? "camera_broken");
    }
    this.video.srcObject = this.#stream;
    this.#stream.getVideoTracks()[0].addEventListener("ended", () => this.#lost(run));
    this.#guide("guide_oval");
    this.dialog.showModal();
    await this.video.play().catch(() => {});
    return this.#watch(run);
  }

  /** Says the guidance again, in another language. */
  translate() {
    if (this.#said) this.line.textContent = this.told.say(this.#said);
  }

  async #watch(run) {
    let before = null;
    while (run === this.#run && this.dialog.open) {
      const startedAt = performance.now();
      const judged = await this.#judge();
      if (run !== this.#run || !this.dialog.open) return;
      // What two frames agree on is said, so that it does not flicker.
      if (judged === before) this.#guide(judged);
      before = judged;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, FRAME_MS - (performance.now() - startedAt))));
    }
  }

  async #judge() {
    const frame = await this.#frame(FRAME_SIDE, 0.85);
    if (!frame) return "guide_oval";
    return this.told.judge(frame).then(guidance, () => "guide_paused");
  }

  #guide(key) {
    if (key === this.#said) return;
    this.#said = key;
    this.dialog.classList.toggle("good", key === "guide_good");
    this.line.textContent = this.told.say(key);
  }

  /** The picture of this moment as JPEG, at most `side` px long; null before there is one. */
  async #frame(side, quality) {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return null;
    const factor = Math.min(1, side / Math.max(width, height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(width * factor), Math.round(height * factor)];
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  }

  async #take() {
    const photo = await this.#frame(Infinity, 0.95);
    if (!photo) return;
    this.dialog.close();
    this.told.onPhoto(photo);
  }

  #lost(run) {
    if (run !== this.#run) return;
    this.dialog.close();
    this.told.onFault("camera_broken");
  }

  #stop() {
    this.#run++;
    if (this.#stream) stopTracks(this.#stream);
    this.#stream = this.video.srcObject = this.#said = null;
    this.dialog.classList.remove("good");
  }

  #drawOval() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const [svg, shade, oval] = ["svg", "path", "ellipse"].map((name) => this.dialog.querySelector(name));
    const [rx, ry] = [Math.min(OVAL.across * height, 0.45 * width), OVAL.up * height];
    const [x, y] = [width / 2, height / 2];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const around = `a${rx} ${ry} 0 1 0 ${2 * rx} 0a${rx} ${ry} 0 1 0 ${-2 * rx} 0`;
    shade.setAttribute("d", `M0 0h${width}v${height}H0zM${x - rx} ${y}${around}`);
    for (const [name, value] of Object.entries({ cx: x, cy: y, rx, ry })) oval.setAttribute(name, value);
  }
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}
