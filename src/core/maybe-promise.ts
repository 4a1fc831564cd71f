/** A value that is at hand, or one that must be waited for. Lets the hot path answer without a promise. */
export type MaybePromise<T> = T | Promise<T>;

/** Goes on at once when the value is at hand, and when it arrives otherwise. */
export function whenReady<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
