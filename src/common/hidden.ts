/**
 * A value that no log, `inspect()` or `JSON.stringify()` shows, whatever object it hangs on: it must be asked for
 * explicitly.
 */
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
