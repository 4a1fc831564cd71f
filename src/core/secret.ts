import { inspect } from 'node:util';

/**
 * A value that must not be seen. Printing, JSON and template strings give `[secret]`;
 * `reveal()` stands only where the bytes leave for the place they are meant for.
 */
export class Secret {
  #value: string | undefined;

  constructor(value?: string) {
    this.#value = value;
  }

  /** @throws when the value was never read, which is a bug */
  reveal(): string {
    if (this.#value === undefined) throw new Error('a secret was used before it was read');
    return this.#value;
  }

  protected fill(value: string): void {
    this.#value = value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}

export type SecretSource = { readonly literal: string } | { readonly env: string } | { readonly file: string };

/** A secret as a config file names it, empty until the loader has read it. */
export class SecretRef extends Secret {
  readonly #source: SecretSource;

  constructor(source: SecretSource) {
    super();
    this.#source = source;
  }

  /** Where it comes from, for the loader. */
  source(): SecretSource {
    return this.#source;
  }

  read(value: string): void {
    this.fill(value);
  }
}
