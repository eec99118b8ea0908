/** Takes photos that are chosen, dropped anywhere on the page, or pasted. */

/**
 * @param {HTMLInputElement} input of files.
 * @param {{onPhotos: function(File[]), onNothing: function(string)}} told of files, and of "dropped" or "pasted" where
 *   there was none.
 */
export function takePhotos(input, { onPhotos, onNothing }) {
  const take = (files, how) => (files.length ? onPhotos(files) : onNothing(how));
  const mark = (isOver) => document.body.classList.toggle("dropping", isOver);

  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    if (files.length) onPhotos(files);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser opens the file in place of the page
    mark(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take([...event.dataTransfer.files], "dropped");
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input")) return; // a key is pasted
    event.preventDefault();
    take([...event.clipboardData.files], "pasted");
  });
}
