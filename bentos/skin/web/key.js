/** The form that asks for the key of a service. */

export class KeyForm {
  #code = null; // of the 401 that it asks because of
  #form;
  #reason;
  #input;

  /**
   * @param {HTMLFormElement} form with one <input>, and what is said of the key in #key-reason.
   * @param {{textOf: function(string): string, onKey: function(string): Promise}} told what a code says, and what
   *   uses a key; that one asks again where the key is wrong.
   */
  constructor(form, told) {
    [this.#form, this.told] = [form, told];
    [this.#reason, this.#input] = ["#key-reason", "input"].map((part) => form.querySelector(part));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#use(this.#input.value.trim());
    });
  }

  get isOpen() {
    return this.#code !== null;
  }

  /** Asks for a key, because of a code of 401. */
  ask(code) {
    this.#code = code;
    this.render();
    this.focus();
  }

  focus() {
    this.#input.focus();
  }

  render() {
    const text = this.isOpen ? this.told.textOf(this.#code) : "";
    this.#form.hidden = !this.isOpen;
    this.#input.setAttribute("aria-invalid", String(this.#code === "api_key_wrong"));
    if (this.#reason.textContent !== text) this.#reason.textContent = text;
  }

  async #use(key) {
    this.#code = null;
    this.#reason.textContent = ""; // so that the same sentence is read out again
    await this.told.onKey(key);
    if (!this.isOpen) this.#input.value = "";
    this.render();
  }
}
