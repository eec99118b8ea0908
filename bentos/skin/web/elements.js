/** Builds elements without markup in strings, so that no text is ever read as markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 *
 * @param {string} name of its tag.
 * @param {Object} attributes by name: null, undefined and false are left out, true is written as "", a function under
 *   `onNAME` becomes a listener of the event NAME.
 * @param {...(Node|string|null|Array)} children nodes and texts; null is left out, arrays are spread.
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** As `el`, an element of SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/**
 * Makes one tab stop of a list of many options; arrow keys, Home and End move within it.
 *
 * @param {HTMLElement} list of options, of which those of the class "off" are skipped. It is no <svg>: to Chromium an
 *   <svg> that listens to focus is a tab stop itself.
 * @param {string} kind selector of its options.
 * @returns {function(Element=)} to be called when other options are there or off, with the one to stop at.
 */
export function oneTabStop(list, kind = '[role="option"]') {
  const all = () => [...list.querySelectorAll(`${kind}:not(.off)`)];
  const stopAt = (chosen) => {
    for (const option of list.querySelectorAll(kind)) {
      option.setAttribute("tabindex", option === chosen ? "0" : "-1");
    }
  };
  list.addEventListener("focusin", (event) => {
    const option = event.target.closest(kind);
    if (option) stopAt(option);
  });
  list.addEventListener("keydown", (event) => {
    const options = all();
    const at = options.indexOf(event.target.closest(kind));
    const next = { Home: 0, End: options.length - 1 }[event.key] ?? at + STEPS[event.key];
    if (at < 0 || Number.isNaN(next)) return;
    event.preventDefault();
    options[Math.min(Math.max(next, 0), options.length - 1)].focus();
  });
  const renew = (wanted) => {
    const options = all();
    const focused = options.find((option) => option.matches(":focus"));
    stopAt(focused ?? wanted ?? options[0]);
  };
  renew();
  return renew;
}
