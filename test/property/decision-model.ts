import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { encodeStruct, type JsonObject } from '../../src/envoy/codec/struct.ts';
import { CheckResponse, type Field, wire } from '../unit/envoy/codec/oracle.ts';
import { API_KEY, type DecisionWorld, MAX_BODY, NOW_MS, POLICIES, token } from './decision-world.ts';
import { mutated } from './mcp-spelling.ts';

type Route = keyof typeof POLICIES;
type Header = readonly [name: string, value: string];

/** Bearer tokens by what is wrong with them, with the scopes of the right ones. */
const TOKENS = {
  read: await token({ email: 'alice@example.com' }),
  admin: await token({ scope: 'read admin' }),
  none: await token({ scope: '' }),
  expired: await token({ exp: NOW_MS / 1_000 - 60 }),
  audience: await token({ aud: 'https://other.example.com' }),
  issuer: await token({ iss: 'https://other.example.com' }),
  forged: await token({}, true),
  bound: await token({ cnf: { jkt: 'x'.repeat(43) } }),
};
const SCOPES: Readonly<Partial<Record<keyof typeof TOKENS, readonly string[]>>> = {
  read: ['read'],
  admin: ['read', 'admin'],
  none: [],
};

const bearer = fc.constantFrom(...(Object.keys(TOKENS) as (keyof typeof TOKENS)[]));
const spelledName = (name: string) =>
  fc.constantFrom(name, name.replaceAll('-', '_'), name.toUpperCase(), name.replace('-', '_'));
/** What a client has no business to say, in any spelling. */
const intruder: fc.Arbitrary<Header> = fc.tuple(
  fc
    .constantFrom(
      'x-user-sub',
      'x-user-email',
      'x-forwarded-user-id',
      'x-forwarded-user-auth-method',
      'cookie',
      'dpop',
      'x-static',
      'x-api-version',
      'x-envoy-original-path',
      'x-forwarded-host',
      'proxy-authorization',
      'forwarded',
    )
    .chain(spelledName),
  fc.constant('root'),
);
const harmless: fc.Arbitrary<Header> = fc.constantFrom<Header>(
  ['accept', 'application/json'],
  ['x-trace', 'root'],
  ['mcp-param-x', '1'],
  ['user-agent', 'test'],
);

const call = (name: string) => JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } });
const body = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('get', 'delete_repo', 'admin_x', 'admin', 'x').map(call) },
  { weight: 1, arbitrary: fc.constantFrom('', '[]', '{', '{"jsonrpc":"2.0","method":"ping","id":1}') },
  { weight: 1, arbitrary: fc.constant(call('x'.repeat(MAX_BODY))) },
  {
    weight: 2,
    arbitrary: fc
      .constant(call('delete_repo'))
      .chain(mutated)
      .map((bytes) => bytes.toString('latin1')),
  },
);

/** One request to one of the routes. */
export const request = fc.record({
  route: fc.constantFrom<Route | 'none' | 'broken'>('tools', 'tools', 'open', 'open', 'proxied', 'none', 'broken'),
  bearers: fc.array(bearer, { maxLength: 2 }),
  scheme: fc.constantFrom('Bearer', 'Bearer', 'bearer', 'Basic', 'DPoP', 'Other'),
  keys: fc.array(fc.constantFrom(API_KEY, API_KEY, 'wrong', ''), { maxLength: 2 }),
  user: fc.option(fc.constantFrom('carol', '')),
  peer: fc.constantFrom('10.1.2.3', '192.0.2.1', '::ffff:10.1.2.3'),
  origin: fc.option(fc.constantFrom('https://app.example.com', 'https://evil.example.com', 'null'), { freq: 2 }),
  method: fc.constantFrom('POST', 'POST', 'GET'),
  type: fc.constantFrom('application/json', 'application/json', 'text/plain'),
  body,
  headers: fc.array(fc.oneof(intruder, intruder, harmless), { maxLength: 5 }),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function headersOf(from: Request): Header[] {
  return [
    ...from.bearers.map((name): Header => ['authorization', `${from.scheme} ${TOKENS[name]}`]),
    ...from.keys.map((key): Header => ['x-api-key', key]),
    ...(from.user === null ? [] : [['x-authenticated-user', from.user] as const]),
    ...(from.origin === null ? [] : [['origin', from.origin] as const]),
    ...(from.body === '' ? [] : [['content-length', String(from.body.length)] as const]),
    ['content-type', from.type],
    ...from.headers,
  ];
}

function bytesOf(from: Request): Buffer {
  const metadata: JsonObject | undefined =
    from.route === 'none' ? undefined : from.route === 'broken' ? { backend: 'x' } : POLICIES[from.route];
  const socket: Field[] = [[2, from.peer]];
  const http: Field[] = [
    [1, 'stream-1'],
    [2, from.method],
    [4, '/mcp'],
    [12, Buffer.from(from.body, 'latin1')],
    [
      13,
      wire(
        headersOf(from).map(
          ([name, value]): Field => [
            1,
            wire([
              [1, name.toLowerCase()],
              [3, value],
            ]),
          ],
        ),
      ),
    ],
  ];
  const attributes: Field[] = [
    [1, wire([[1, wire([[1, wire(socket)]])]])],
    [4, wire([[2, wire(http)]])],
    ...(metadata === undefined
      ? []
      : [
          [
            13,
            wire([
              [
                1,
                wire([
                  [1, 'mcp.identity'],
                  [2, encodeStruct(metadata)],
                ]),
              ],
            ]),
          ] satisfies Field,
        ]),
  ];
  return wire([[1, wire(attributes)]]);
}

/** Who calls, by what the contract says of credentials; undefined: nobody who may. */
function callerOf(from: Request): { id: string; scopes: readonly string[] } | 'anonymous' | undefined {
  const [first] = from.bearers;
  if (from.bearers.length > 1) return undefined;
  const isBearer = from.scheme.toLowerCase() === 'bearer';
  if (from.route === 'tools' || from.route === 'open') {
    // A token of another issuer is not ours to judge: another credential may still say who it is.
    if (first !== undefined && first !== 'issuer' && isBearer) {
      const scopes = SCOPES[first];
      return scopes && { id: 'alice', scopes };
    }
    if (from.route === 'tools') return undefined;
  }
  if (from.route === 'proxied' && from.user !== null && from.peer !== '192.0.2.1')
    return from.user === '' ? undefined : { id: from.user, scopes: [] };
  if (from.keys.length > 0)
    return from.keys.length === 1 && from.keys[0] === API_KEY ? { id: 'bot', scopes: [] } : undefined;
  return from.route === 'open' && first === undefined ? 'anonymous' : undefined;
}

/** Whether a request may pass: all that is sure to be denied is, and what is plainly right is not. */
function verdict(from: Request): 'deny' | 'allow' | 'either' {
  if (from.route === 'none' || from.route === 'broken') return 'deny';
  if (from.origin !== null && from.origin !== 'https://app.example.com') return 'deny';
  const caller = callerOf(from);
  if (caller === undefined) return 'deny';
  if (from.route !== 'tools') return from.bearers.length === 0 || from.route === 'open' ? 'allow' : 'either';
  const has = (scope: string) => caller !== 'anonymous' && caller.scopes.includes(scope);
  if (!has('read')) return 'deny';
  if (from.body === '') return from.method === 'GET' ? 'allow' : 'deny';
  if (from.type !== 'application/json' || from.body.length > MAX_BODY) return 'deny';
  let message: { method?: unknown; params?: { name?: unknown } };
  try {
    message = JSON.parse(Buffer.from(from.body, 'latin1').toString('utf8')) as typeof message;
  } catch {
    return 'deny';
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return 'deny';
  const name = String(message.params?.name);
  if (message.method === 'tools/call' && name === 'delete_repo') return 'deny';
  if (message.method === 'tools/call' && name.startsWith('admin_') && !has('admin')) return 'deny';
  return from.body === call(name) ? 'allow' : 'either';
}

interface Response {
  ok_response?: { headers?: { header: { key: string; value: string } }[]; headers_to_remove?: string[] };
  denied_response?: { status: { code: unknown }; headers?: { header: { key: string; value: string } }[] };
}

/** The headers of the request as Envoy makes them: set, then remove (test/e2e/envoy-facts.test.ts). */
function applied(
  from: Request,
  { headers = [], headers_to_remove = [] }: NonNullable<Response['ok_response']>,
): Header[] {
  const set = headers.map(({ header }): Header => [header.key, header.value ?? '']);
  const left = headersOf(from)
    .map(([name, value]): Header => [name.toLowerCase(), value])
    .filter(([name]) => !set.some(([other]) => other === name));
  return [...left, ...set].filter(([name]) => !headers_to_remove.includes(name));
}

/** Everything the backend of a route gets that the service has written, by the model. */
function owned(from: Request): Record<string, string> {
  const caller = callerOf(from);
  if (from.route === 'proxied') return { 'x-static': 'fixed', 'x-api-version': '2' };
  if (from.route === 'tools')
    return { 'x-user-sub': 'alice', ...(from.bearers[0] === 'read' ? { 'x-user-email': 'alice@example.com' } : {}) };
  if (caller === 'anonymous' || caller === undefined) return {};
  return { 'x-forwarded-user-id': caller.id, 'x-forwarded-user-auth-method': caller.id === 'bot' ? 'api_key' : 'jwt' };
}

const NEVER = new AbortController().signal;
const CARRIED = /^(accept|content-type|content-length|user-agent|origin|mcp-param-x)$/;

/** Sends one request, and compares what becomes of it with the model. @returns what the model says */
export async function compared({ check, audit }: DecisionWorld, from: Request): Promise<'deny' | 'allow' | 'either'> {
  audit.length = 0;
  const response = CheckResponse.deserialize(await check(bytesOf(from), NEVER)) as Response;
  const expected = verdict(from);
  const passes = response.ok_response !== undefined;
  if (expected !== 'either') assert.equal(passes, expected === 'allow', JSON.stringify(response));

  assert.equal(audit.length, 1, 'one line for one decision');
  assert.equal(audit[0]?.['outcome'] === 'allow', passes);
  const line = JSON.stringify(audit[0]);
  for (const secret of [API_KEY, ...from.bearers.map((name) => TOKENS[name])]) assert.ok(!line.includes(secret));
  if (!response.ok_response) {
    assert.equal(
      response.denied_response?.headers?.some(({ header }) => header.value.includes('root')),
      false,
    );
    return expected;
  }
  const seen = applied(from, response.ok_response);
  const model = owned(from);
  for (const [name, value] of seen) {
    if (name in model) assert.equal(value, model[name]);
    else assert.ok(CARRIED.test(name) || (name === 'x-trace' && from.route === 'open'), `${name} reaches the backend`);
  }
  for (const name of Object.keys(model)) assert.equal(seen.filter(([other]) => other === name).length, 1, name);
  return expected;
}
