/** A value that no log, `inspect()` or `JSON.stringify()` shows, whatever it hangs on: whoever needs it asks for it. */
export class Hidden<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
    Object.freeze(this);
  }

  reveal(): T {
    return this.#value;
  }
}
