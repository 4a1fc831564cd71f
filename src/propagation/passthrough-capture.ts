import { normalise } from '../core/header-names.ts';
import type { HeaderEdits } from '../core/header-edits.ts';
import type { HeaderFields } from '../core/request-facts.ts';

export type Captured = readonly (readonly [name: string, value: string])[];

/** The passthrough values of the request that opens a session (`passthroughCapture: session`). */
export function captureValues(names: readonly string[], headers: HeaderFields): Captured {
  const captured: (readonly [string, string])[] = [];
  for (const name of names.map(normalise)) {
    const values = headers.all(name);
    if (values.length > 0) captured.push([name, values.join(', ')]);
  }
  return captured;
}

/** Writes the captured values in place of what this request carries; what was absent then stays absent. */
export function restoreValues(names: readonly string[], captured: Captured, edits: HeaderEdits): void {
  const values = new Map(captured);
  for (const name of names.map(normalise)) {
    const value = values.get(name);
    if (value === undefined) edits.remove(name);
    else edits.set(name, value);
  }
}
