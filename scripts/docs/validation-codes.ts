import { CONFIG_CODES } from './validation-config.ts';
import { ENVOY_CODES } from './validation-envoy.ts';
import type { Example } from './validation-example.ts';
import { ROUTE_CODES } from './validation-route.ts';

export interface CodeEntry {
  /** What is wrong, in half a sentence. */
  readonly title: string;
  /** Why it is a problem. */
  readonly why: string;
  readonly examples: readonly Example[];
}

/** Every code, in the order of docs/reference/validation.md: by number, then those without. */
export const CODES: Readonly<Record<string, CodeEntry>> = Object.fromEntries(
  Object.entries({ ...ROUTE_CODES, ...ENVOY_CODES, ...CONFIG_CODES }).sort(([a], [b]) =>
    place(a).localeCompare(place(b)),
  ),
);

function place(code: string): string {
  return code.startsWith('V-') ? `1 ${code}` : `2 ${code}`;
}
