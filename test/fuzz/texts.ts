import * as fc from 'fast-check';
import { mutated } from '../property/mcp-spelling.ts';

/** Any text, of letters that matter in the formats of the web and of any others. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(...Array.from('=;,"\\ \t:/?#[]@&<>{}%.-_+*!aA0\u00e9\u2028\r\n\0')),
    maxLength: 60,
  }),
);

/** A text in which one piece stands many times over, between others: what expressions that backtrack are slow on. */
const stretched: fc.Arbitrary<string> = fc
  .tuple(anyText, fc.string({ minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 16_000 }), anyText)
  .map(([head, piece, times, tail]) => head + piece.repeat(times) + tail);

/** One of these texts whole, with a few bytes changed, with pieces repeated or swapped between them; or any text. */
export function near(samples: readonly string[]): fc.Arbitrary<string> {
  const sample = fc.constantFrom(...samples);
  return fc.oneof(
    { weight: 1, arbitrary: sample },
    { weight: 8, arbitrary: sample.chain(mutated).map((bytes) => bytes.toString('utf8')) },
    { weight: 3, arbitrary: fc.tuple(sample, fc.nat(), sample, fc.nat()).map(crossed) },
    { weight: 1, arbitrary: fc.tuple(sample, fc.nat(), fc.nat(40), fc.integer({ min: 2, max: 3_000 })).map(repeated) },
    { weight: 2, arbitrary: fc.tuple(sample, fc.nat(), anyText).map(([text, at, put]) => spliced(text, at, put)) },
    { weight: 1, arbitrary: stretched },
    { weight: 1, arbitrary: anyText },
  );
}

function crossed([one, at, other, from]: [string, number, string, number]): string {
  return one.slice(0, at % (one.length + 1)) + other.slice(from % (other.length + 1));
}

function repeated([text, at, width, times]: [string, number, number, number]): string {
  const start = at % (text.length + 1);
  const piece = text.slice(start, start + 1 + width);
  return text.slice(0, start) + piece.repeat(times) + text.slice(start + piece.length);
}

function spliced(text: string, at: number, put: string): string {
  const start = at % (text.length + 1);
  return text.slice(0, start) + put + text.slice(start);
}

/** `value` with one thing in it, at any depth, replaced, taken out or doubled. */
export function altered(value: unknown, spare: fc.Arbitrary<unknown> = fc.jsonValue({ maxDepth: 2 })) {
  return fc
    .array(fc.tuple(fc.nat(), fc.constantFrom('replace', 'drop', 'double', 'empty', 'rename'), spare), {
      minLength: 1,
      maxLength: 3,
    })
    .map((changes) => {
      const copy: unknown = structuredClone(value);
      for (const [at, kind, put] of changes) alter(copy, at, kind, put);
      return copy;
    });
}

type Place = readonly [holder: Record<string, unknown> | unknown[], key: string | number];

function alter(root: unknown, at: number, kind: string, put: unknown): void {
  const places: Place[] = [];
  collect(root, places);
  const place = places[places.length === 0 ? 0 : at % places.length];
  if (!place) return;
  const [holder, key] = place;
  const fields = holder as Record<string | number, unknown>;
  if (kind === 'replace') fields[key] = structuredClone(put);
  else if (kind === 'empty') fields[key] = Array.isArray(fields[key]) ? [] : typeof fields[key] === 'string' ? '' : {};
  else if (kind === 'drop' && Array.isArray(holder)) holder.splice(Number(key), 1);
  else if (kind === 'drop') delete fields[key];
  else if (kind === 'double') {
    if (Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
    else fields[`${key}2`] = structuredClone(fields[key]);
  } else if (!Array.isArray(holder)) {
    fields[String(key).toUpperCase()] = fields[key];
    delete fields[key];
  }
}

function collect(value: unknown, places: Place[]): void {
  if (typeof value !== 'object' || value === null) return;
  const holder = value as Record<string, unknown> | unknown[];
  for (const key of Object.keys(holder)) {
    places.push([holder, Array.isArray(holder) ? Number(key) : key]);
    collect((holder as Record<string, unknown>)[key], places);
  }
}
