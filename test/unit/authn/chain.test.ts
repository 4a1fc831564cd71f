import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAnonymous } from '../../../src/authn/anonymous.ts';
import { createChain } from '../../../src/authn/chain.ts';
import { ABSENT, type IncomingMethod, type Outcome } from '../../../src/authn/method.ts';
import { ANONYMOUS, type User } from '../../../src/core/identity.ts';
import type { MaybePromise } from '../../../src/core/maybe-promise.ts';
import { type Reason, refuse } from '../../../src/core/refusal.ts';
import { requestWith, testTools } from './support.ts';

const RESOURCE = 'https://mcp.example.com/mcp';
const JWT = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"iss":"https://x"}').toString('base64url')}.AA`;

function user(methodName: string, audiences?: readonly string[]): User {
  return {
    kind: 'user',
    issuer: `urn:test:${methodName}`,
    subject: 'alice',
    authMethod: 'jwt',
    methodName,
    claims: {},
    attributes: {},
    scopes: new Set(),
    delegationChain: [],
    ...(audiences ? { audiences } : {}),
  };
}

interface Stub extends IncomingMethod {
  calls: number;
}

/** A method that says what it is told to. */
function stub(
  type: IncomingMethod['type'],
  says: Outcome | ((signal: AbortSignal) => MaybePromise<Outcome>),
  more: Partial<IncomingMethod> = {},
): Stub {
  const schemes = { jwt: 'bearer', introspection: 'bearer', basic: 'basic' } as const;
  const method: Stub = {
    name: type,
    type,
    issuer: undefined,
    scheme: schemes[type as keyof typeof schemes],
    credentialHeaders: [],
    audience: undefined,
    ...more,
    calls: 0,
    authenticate(_facts, _authorization, signal) {
      method.calls++;
      return typeof says === 'function' ? says(signal) : says;
    },
  };
  return method;
}

const is = (methodName: string, audiences?: readonly string[]): Outcome => ({
  kind: 'identified',
  user: user(methodName, audiences),
});
const wrong: Outcome = { kind: 'rejected', refusal: refuse('token_expired') };
const guest = createAnonymous('guest');
const live = () => new AbortController().signal;

function ask(
  methods: readonly IncomingMethod[],
  headers: Record<string, string>,
  resource: string | undefined = RESOURCE,
) {
  return createChain(methods, resource)(requestWith(headers), live());
}
const rejects = (reason: Reason) => ({ kind: 'rejected', refusal: { reason } });
const bearer = { authorization: `Bearer ${JWT}` };

describe('order', () => {
  test('the first that finds its credential decides; later ones are not asked', () => {
    const second = stub('basic', is('basic'));
    const third = stub('introspection', wrong);
    const outcome = ask([stub('api_key', ABSENT), second, third], {});
    assert.deepEqual(outcome, { kind: 'identified', identity: user('basic') });
    assert.deepEqual([second.calls, third.calls], [1, 0]);
  });

  test('a wrong credential ends the request', () => {
    const next = stub('api_key', is('api_key'));
    assert.deepEqual(ask([stub('jwt', wrong), next, guest], bearer), rejects('token_expired'));
    assert.equal(next.calls, 0);
  });

  test('anonymous is last, wherever it stands', () => {
    assert.deepEqual(ask([guest, stub('api_key', is('api_key'))], {}), {
      kind: 'identified',
      identity: user('api_key'),
    });
    assert.deepEqual(ask([guest, stub('jwt', wrong)], bearer), rejects('token_expired'));
  });

  test('answers at once unless a method has to wait', async () => {
    const later = () => Promise.resolve(is('introspection', [RESOURCE]));
    assert.ok(!(ask([stub('jwt', is('jwt', [RESOURCE]))], bearer) instanceof Promise));
    const outcome = ask([stub('jwt', () => Promise.resolve(ABSENT)), stub('introspection', later)], bearer);
    assert.ok(outcome instanceof Promise);
    assert.deepEqual(await outcome, { kind: 'identified', identity: user('introspection', [RESOURCE]) });
  });
});

describe('audience', () => {
  const rows: [
    name: string,
    type: IncomingMethod['type'],
    token: string[] | undefined,
    method: string[] | undefined,
    resource: string | undefined,
    fits: boolean,
  ][] = [
    ['the resource of the route', 'jwt', [RESOURCE], undefined, RESOURCE, true],
    ['one of several', 'jwt', ['x', RESOURCE], undefined, RESOURCE, true],
    ['another', 'jwt', ['https://mcp.example.com/other'], undefined, RESOURCE, false],
    ['only a prefix', 'jwt', ['https://mcp.example.com'], undefined, RESOURCE, false],
    ['with a slash more', 'jwt', [`${RESOURCE}/`], undefined, RESOURCE, false],
    ['none in the token', 'jwt', [], undefined, RESOURCE, false],
    ['unknown for the token', 'introspection', undefined, undefined, RESOURCE, false],
    ['that of the method', 'jwt', ['api://mcp'], ['api://other', 'api://mcp'], RESOURCE, true],
    ['the resource does not count beside that of the method', 'jwt', [RESOURCE], ['api://mcp'], RESOURCE, false],
    ['introspection is judged too', 'introspection', ['x'], undefined, RESOURCE, false],
    ['neither resource nor audience', 'jwt', [RESOURCE], undefined, undefined, false],
    ['api keys have none', 'api_key', undefined, undefined, RESOURCE, true],
    ['basic has none', 'basic', undefined, undefined, undefined, true],
  ];
  for (const [name, type, token, audience, resource, fits] of rows) {
    test(name, () => {
      const outcome = createChain([stub(type, is(type, token), { audience })], resource)(requestWith(bearer), live());
      if (fits) return assert.deepEqual(outcome, { kind: 'identified', identity: user(type, token) });
      const wanted = (audience ?? (resource === undefined ? [] : [resource])).join(' or ');
      const detail = `aud must hold ${wanted || 'the resource, and there is none'}`;
      assert.deepEqual(outcome, { kind: 'rejected', refusal: { reason: 'token_audience', detail } });
    });
  }
});

describe('a credential nobody claims', () => {
  const none = (type: IncomingMethod['type'], more?: Partial<IncomingMethod>) => stub(type, ABSENT, more);
  const rows: [
    name: string,
    methods: IncomingMethod[],
    headers: Record<string, string>,
    reason: Reason | 'anonymous',
  ][] = [
    ['nothing', [none('jwt')], {}, 'credential_missing'],
    ['nothing, anonymous allowed', [none('jwt'), guest], {}, 'anonymous'],
    ['nothing, only anonymous', [guest], {}, 'anonymous'],
    ['a JWT of another issuer', [none('jwt')], bearer, 'token_issuer'],
    ['a JWT where only opaque tokens are known', [none('introspection')], bearer, 'token_issuer'],
    ['an opaque token', [none('jwt')], { authorization: 'Bearer opaque' }, 'token_malformed'],
    ['a bearer is never anonymous', [none('jwt'), guest], { authorization: 'Bearer opaque' }, 'token_malformed'],
    ['a bearer where none is read', [none('api_key'), guest], bearer, 'scheme_not_accepted'],
    ['a bearer where only anonymous is listed', [guest], bearer, 'scheme_not_accepted'],
    ['basic where none is read', [none('jwt'), guest], { authorization: 'Basic dTpw' }, 'scheme_not_accepted'],
    ['another scheme', [none('jwt'), none('basic')], { authorization: 'DPoP abc' }, 'scheme_not_accepted'],
    [
      'an unclaimed key header is not anonymous',
      [none('api_key', { credentialHeaders: ['x-api-key'] }), guest],
      { 'x-api-key': 'k' },
      'credential_missing',
    ],
    ['the key header of a method that is not listed', [none('jwt'), guest], { 'x-api-key': 'k' }, 'anonymous'],
    [
      'headers of an untrusted proxy count as absent',
      [none('trusted_proxy', { credentialHeaders: ['x-authenticated-user'] }), guest],
      { 'x-authenticated-user': 'root' },
      'anonymous',
    ],
    ['an empty bearer', [none('jwt'), guest], { authorization: 'Bearer ' }, 'authorization_malformed'],
    ['two bearers', [none('jwt'), guest], { authorization: 'Bearer a, Bearer b' }, 'authorization_repeated'],
  ];
  for (const [name, methods, headers, reason] of rows) {
    test(name, () => {
      const expected = reason === 'anonymous' ? { kind: 'identified', identity: ANONYMOUS } : rejects(reason);
      assert.deepEqual(ask(methods, headers), expected);
    });
  }

  test('a malformed header is refused before anybody is asked', () => {
    const first = stub('api_key', is('api_key'));
    assert.deepEqual(ask([first], { authorization: 'Bearer a,b' }), rejects('authorization_repeated'));
    assert.equal(first.calls, 0);
  });

  test('a route without methods lets nobody in', () => {
    assert.deepEqual(ask([], {}), rejects('credential_missing'));
  });
});

describe('when something goes wrong', { timeout: 10_000 }, () => {
  for (const [how, breaks] of Object.entries<() => MaybePromise<Outcome>>({
    'at once': () => {
      throw new TypeError('s3cret token');
    },
    later: () => Promise.reject(new TypeError('s3cret token')),
    'without an error': () => Promise.reject<Outcome>(Object.create(null) as Error),
  })) {
    test(`a method that breaks ${how} is an internal error, logged without its message, never a pass`, async () => {
      const tools = testTools();
      const next = stub('api_key', is('api_key'));
      const outcome = await createChain(
        [stub('jwt', breaks), next, guest],
        RESOURCE,
        tools.log,
      )(requestWith({}), live());
      assert.equal(outcome.kind === 'rejected' && outcome.refusal.reason, 'internal');
      assert.equal(next.calls, 0);
      assert.equal(tools.lines.length, 1);
      assert.equal(tools.lines[0]?.level, 'error');
      assert.doesNotMatch(JSON.stringify([tools.lines, outcome]), /s3cret/);
      assert.match(JSON.stringify(outcome), /the method jwt failed/);
    });
  }

  test('a call that is over is refused without asking', async () => {
    const method = stub('jwt', is('jwt', [RESOURCE]));
    assert.deepEqual(
      createChain([method], RESOURCE)(requestWith(bearer), AbortSignal.abort()),
      rejects('deadline_exceeded'),
    );
    assert.equal(method.calls, 0);
  });

  test('a call that ends while a method works, whether or not the method listens', async () => {
    for (const work of [
      () => new Promise<Outcome>(() => {}),
      (signal: AbortSignal) =>
        new Promise<Outcome>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    ]) {
      const caller = new AbortController();
      const outcome = createChain([stub('jwt', work), guest], RESOURCE)(requestWith(bearer), caller.signal);
      caller.abort();
      assert.deepEqual(await outcome, rejects('deadline_exceeded'));
    }
  });
});
