/** What the component says, in the language of the page around it. */

import TEXTS from "./texts.json" with { type: "json" };

/**
 * The language tag of an element: its own `lang`, its nearest ancestor's, the browser's, or English.
 *
 * @param {Element} element in a document, or in a shadow tree.
 */
export function languageOf(element) {
  for (let node = element; node; node = node.parentElement ?? node.getRootNode().host) {
    const lang = node.getAttribute("lang");
    if (lang) return lang;
  }
  return navigator.language || "en";
}

/** Texts and numbers of one language; one that there are no texts for is answered in English. */
export class Words {
  /** @param {string} tag a language tag, as "de" or "de-AT". */
  constructor(tag) {
    const base = tag.toLowerCase().split("-")[0];
    this.lang = base in TEXTS ? base : "en";
    this.tag = this.lang === base && supported(tag) ? tag : this.lang;
    this.plural = new Intl.PluralRules(this.tag);
  }

  /**
   * A text of the component.
   *
   * @param {string} key in the section `component`.
   * @param {Object} values by the names of its placeholders.
   */
  say(key, values = {}) {
    return TEXTS[this.lang].component[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  /** A text that depends on a number: `KEY_one` or `KEY_other`, with the placeholder `{n}`. */
  count(key, n, values = {}) {
    return this.say(`${key}_${this.plural.select(n) === "one" ? "one" : "other"}`, { n: this.number(n), ...values });
  }

  /** The text of a code; one that is newer than this file is shown as it is, in words. */
  code(section, code) {
    return this.known(section, code) ?? code.replaceAll("_", " ");
  }

  /** The text of a code; undefined where it is newer than this file. */
  known(section, code) {
    return TEXTS[this.lang][section][code];
  }

  /** The sentence and the hint of a ShineError; those of the service where its code is newer than this file. */
  error(error) {
    const { message, hint = "" } = error;
    return TEXTS[this.lang].errors[error.code] ?? { message, hint };
  }

  /** An English text of the service, with its sentences that are among these keys in this language. */
  translated(text, keys) {
    return keys.reduce((said, key) => said.replace(TEXTS.en.component[key], this.say(key)), text);
  }

  number(value, digits = 0) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(this.tag, options).format(value);
  }

  percent(share) {
    return new Intl.NumberFormat(this.tag, { style: "percent", maximumFractionDigits: 0 }).format(share);
  }
}

function supported(tag) {
  try {
    return Intl.NumberFormat.supportedLocalesOf(tag).length > 0;
  } catch {
    return false; // no language tag
  }
}
