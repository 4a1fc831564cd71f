import { isCarried, normalise } from '../core/header-names.ts';
import type { HeaderEdits } from '../core/header-edits.ts';
import type { HeaderFields } from '../core/request-facts.ts';

export type StripClientHeaders = (headers: HeaderFields, edits: HeaderEdits) => void;

/**
 * Prepares the removal of everything a client sent that the backend must not see (contract §6): all but the carried
 * headers and those the route passes through. Copies of what the service writes go with the rest, so an anonymous
 * request cannot bring its own (RFC 9700 4.13). A name spelled with `_` is removed, never read as its twin.
 */
export function prepareClientHeaders(passthrough: readonly string[]): StripClientHeaders {
  const allowed = new Set(passthrough.map(normalise));
  const stays = (name: string): boolean =>
    name.startsWith(':') || (!name.includes('_') && (isCarried(name) || allowed.has(name)));
  return (headers, edits) => {
    const { flat } = headers;
    for (let i = 0; i < flat.length; i += 2) {
      const name = flat[i] as string;
      if (!stays(name)) edits.remove(name);
    }
  };
}
