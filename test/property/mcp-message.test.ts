import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { foldKey, KnownKeys } from '../../src/mcp/member-keys.ts';
import { CLIENT_CAPABILITIES_KEY, PROTOCOL_VERSION_KEY } from '../../src/mcp/message.ts';
import { scanMessage } from '../../src/mcp/scan-message.ts';
import { isObject, type Obj, sameAsParsed } from './mcp-oracle.ts';
import { mutated, someMessage, spelled } from './mcp-spelling.ts';

const disputed = (text: unknown) => typeof text === 'string' && /[\0\p{Surrogate}]/u.test(text);
const decomposed = (text: unknown) => typeof text === 'string' && text !== text.normalize('NFC');

const SPELLED = ['jsonrpc', 'id', 'method', 'params', 'result', 'error', 'name', 'uri', 'taskId', '_meta', 'arguments'];

/** Whether the keys of the three levels are clear; the random values hold all sorts, `__proto__` too. */
function clearKeys({ params, ...message }: Obj): boolean {
  const inner = isObject(params) ? params : {};
  return [message, inner, isObject(inner['_meta']) ? inner['_meta'] : {}].every((object) => {
    const keys = Object.keys(object);
    if (new Set(keys.map(foldKey)).size < keys.length) return false;
    return keys.every(
      (key) =>
        key !== '__proto__' &&
        !disputed(key) &&
        !SPELLED.some((name) => name !== key && foldKey(name) === foldKey(key)),
    );
  });
}

/** What `scanMessage` should say of a body that JSON.parse reads as `parsed`, its keys being in order. */
function verdict(parsed: Obj, idText: string | undefined): 'message' | 'not_jsonrpc' | 'ambiguous' {
  const { jsonrpc, id, method, params } = parsed;
  const inner = isObject(params) ? params : {};
  if ([jsonrpc, id, method, inner['name'], inner['uri'], inner['taskId']].some(disputed)) return 'ambiguous';
  if (isObject(inner['_meta']) && disputed(inner['_meta'][PROTOCOL_VERSION_KEY])) return 'ambiguous';
  if ([method, inner['name']].some(decomposed)) return 'ambiguous';
  const idFits = typeof id === 'string' || (typeof id === 'number' && /^-?\d+$/.test(idText ?? ''));
  if (jsonrpc !== '2.0' || !('id' in parsed ? idFits || id === null : true)) return 'not_jsonrpc';
  if ('params' in parsed && !isObject(params)) return 'not_jsonrpc';
  if ('_meta' in inner && !isObject(inner['_meta'])) return 'not_jsonrpc';
  if (
    isObject(inner['_meta']) &&
    PROTOCOL_VERSION_KEY in inner['_meta'] &&
    typeof inner['_meta'][PROTOCOL_VERSION_KEY] !== 'string'
  )
    return 'not_jsonrpc';
  if ('method' in parsed) {
    const about = typeof method === 'string' ? method : '';
    const target = about === 'resources/read' ? inner['uri'] : inner['name'];
    const targeted = ['tools/call', 'prompts/get', 'resources/read'].includes(about);
    const fits =
      typeof method === 'string' && method !== '' && id !== null && (!targeted || typeof target === 'string');
    return fits && !('result' in parsed) && !('error' in parsed) ? 'message' : 'not_jsonrpc';
  }
  if ('params' in parsed || 'result' in parsed === 'error' in parsed) return 'not_jsonrpc';
  if ('error' in parsed) return isObject(parsed['error']) ? 'message' : 'not_jsonrpc';
  return isObject(parsed['result']) && idFits ? 'message' : 'not_jsonrpc';
}

test('a message is read as JSON.parse reads it, and only a right one is one', () => {
  const kinds = new Map<string, number>();
  fc.assert(
    fc.property(
      someMessage.chain((message) => spelled(message).map((text) => ({ message, text }))),
      ({ message, text }) => {
        fc.pre(clearKeys(message));
        const body = Buffer.from(text);
        const scan = scanMessage(body);
        const expected = verdict(message, typeof message['id'] === 'number' ? String(message['id']) : undefined);
        const outcome = scan.kind === 'message' ? 'message' : scan.reason;
        kinds.set(outcome, (kinds.get(outcome) ?? 0) + 1);
        // Both may be wrong with a body; which is found first does not matter.
        if (outcome === 'ambiguous' || outcome === 'not_jsonrpc') assert.notEqual(expected, 'message', text);
        else assert.equal(outcome, expected, text);
        if (scan.kind === 'message') sameAsParsed(scan.message, body);
      },
    ),
    { numRuns: 5000 },
  );
  // The property would say nothing if hardly any message were right.
  assert.ok((kinds.get('message') ?? 0) > 1000, JSON.stringify([...kinds]));
});

test('whatever bytes it takes, JSON.parse takes and reads alike', () => {
  let taken = 0;
  fc.assert(
    fc.property(someMessage.chain(spelled).chain(mutated), (body) => {
      const scan = scanMessage(body);
      if (scan.kind === 'message') {
        taken++;
        assert.ok(isUtf8(body));
        sameAsParsed(scan.message, body);
      } else if (scan.reason === 'not_utf8') assert.ok(!isUtf8(body));
      else if (scan.reason === 'not_json')
        assert.throws(() => {
          JSON.parse(body.toString('utf8'));
        });
    }),
    { numRuns: 5000 },
  );
  assert.ok(taken > 100, String(taken));
});

const KNOWN = new KnownKeys(['jsonrpc', 'id', 'method', 'params']);
/** Another spelling of `key` that some parser takes for it. */
const twin = (key: string) =>
  fc.infiniteStream(fc.nat({ max: 3 })).map((ways) =>
    Array.from(key)
      .map((letter) => {
        const way = ways.next().value;
        if (way === 1) return letter.toUpperCase();
        if (way === 2)
          return letter === 's' ? '\u017f' : letter === 'k' ? '\u212a' : letter === 'i' ? '\u0131' : letter;
        return letter;
      })
      .join(''),
  );

test('a key beside its twin is refused, at every level that counts, wherever the twin stands', () => {
  const places = fc.constantFrom(
    ...KNOWN.names.map((key) => ({ level: 'message', key })),
    ...['name', 'uri', '_meta', 'arguments', 'taskId', 'x'].map((key) => ({ level: 'params', key })),
    ...[PROTOCOL_VERSION_KEY, CLIENT_CAPABILITIES_KEY, 'user', 'ks'].map((key) => ({ level: 'meta', key })),
  );
  fc.assert(
    fc.property(
      places.chain((place) =>
        fc.record({ place: fc.constant(place), other: twin(place.key).chain(spelled), first: fc.boolean() }),
      ),
      ({ place: { level, key }, other, first }) => {
        const value: Record<string, string> = {
          jsonrpc: '"2.0"',
          id: '1',
          method: '"ping"',
          params: '{}',
          name: '"n"',
          uri: '"u"',
          _meta: '{}',
          [PROTOCOL_VERSION_KEY]: '"2026-07-28"',
        };
        const pair = [`${JSON.stringify(key)}:${value[key] ?? 0}`, `${other}:${value[key] ?? 0}`];
        if (!first) pair.reverse();
        const rest =
          level === 'message'
            ? KNOWN.names.filter((name) => name !== key).map((name) => `"${name}":${value[name]}`)
            : [];
        const inner = level === 'meta' ? `"_meta":{${pair.join()}}` : pair.join();
        const whole =
          level === 'message'
            ? `{${[...rest, ...pair].join()}}`
            : `{"jsonrpc":"2.0","id":1,"method":"ping","params":{${inner}}}`;
        const scan = scanMessage(Buffer.from(whole));
        assert.equal(scan.kind, 'malformed', whole);
        assert.match((scan as { reason: string }).reason, /^(duplicate_key|wrong_case_key)$/);
      },
    ),
    { numRuns: 3000 },
  );
});
