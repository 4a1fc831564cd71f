import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { generateKeyPair, exportJWK } from 'jose';
import { type KeyAnswer, KeySet } from '../../../src/authn/key-set.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { type FakeIssuer, startIssuer, type Trouble } from '../../support/issuer.ts';
import { bounded, type TestTools, testTools } from './support.ts';

const REFRESH_MS = 600_000;
const COOL_DOWN_MS = 30_000;

describe('keys of an issuer', { timeout: 20_000 }, () => {
  let idp: FakeIssuer;
  let tools: TestTools;
  beforeEach(async () => {
    idp = await startIssuer();
    tools = testTools();
  });
  afterEach(() => idp.stop());

  const keySet = (source: { jwksUri?: string } = {}) =>
    new KeySet(
      { method: 'corp', issuer: idp.issuer, jwksUri: source.jwksUri },
      tools,
      createEgress({ ...tools, timeoutMs: 200 }),
    );
  const ask = (keys: KeySet, kid: string | undefined = kidOf()) => keys.resolve('RS256', kid, bounded());
  const kidOf = () => idp.jwks().find((jwk) => jwk.alg === 'RS256')?.kid as string;
  const fetches = (outcome: string) => tools.metric(`mcp_identity_jwks_fetches_total{method=corp,outcome=${outcome}}`);

  function isKeys(answer: KeyAnswer): asserts answer is KeyAnswer & { kind: 'keys' } {
    assert.equal(answer.kind, 'keys');
  }
  function isRefused(answer: KeyAnswer, reason: string, retryAfterSeconds?: number): void {
    assert.deepEqual(answer, {
      kind: 'refused',
      refusal: { reason, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) },
    });
  }

  test('fetched on first need, by discovery', async () => {
    const keys = keySet();
    assert.deepEqual(idp.requests, { discovery: 0, jwks: 0 });
    assert.equal(keys.generation, 0);
    const answer = await ask(keys);
    isKeys(answer);
    assert.equal(answer.keys.length, 1);
    assert.equal(answer.generation, 1);
    assert.equal(keys.generation, 1);
    assert.deepEqual(idp.requests, { discovery: 1, jwks: 1 });
    assert.equal(fetches('ok'), 1);
  });

  test('a jwksUri needs no discovery', async () => {
    isKeys(await ask(keySet({ jwksUri: idp.jwksUri })));
    assert.deepEqual(idp.requests, { discovery: 0, jwks: 1 });
  });

  test('warmed at start, together with whoever asks meanwhile', async () => {
    const keys = keySet();
    const release = idp.hold();
    const all = [keys.warm(), keys.warm(), ...Array.from({ length: 20 }, () => ask(keys))];
    release();
    await Promise.all(all);
    await keys.warm();
    assert.deepEqual(idp.requests, { discovery: 1, jwks: 1 });
  });

  test('a caller that gives up leaves the fetch to the others', async () => {
    const keys = keySet();
    const release = idp.hold();
    const caller = new AbortController();
    const impatient = keys.resolve('RS256', kidOf(), caller.signal);
    const patient = ask(keys);
    caller.abort(new Error('gone'));
    await assert.rejects(impatient, /gone/);
    release();
    isKeys(await patient);
    assert.equal(idp.requests.jwks, 1);
  });

  describe('unknown kid', () => {
    test('a rotated key is found at once', async () => {
      const keys = keySet();
      await keys.warm();
      await idp.rotate({ keepOld: true });
      const answer = await ask(keys);
      isKeys(answer);
      assert.equal(answer.generation, 2);
      assert.deepEqual(idp.requests, { discovery: 1, jwks: 2 });
    });

    test('whoever comes while it is being looked for waits for the same fetch', async () => {
      const keys = keySet();
      await keys.warm();
      await idp.rotate();
      const release = idp.hold();
      const first = ask(keys);
      const arrived = ask(keys, 'made-up'); // by now the fetch is under way
      const second = ask(keys);
      release();
      isKeys(await first);
      isKeys(await second);
      isRefused(await arrived, 'token_key_unknown');
      assert.equal(idp.requests.jwks, 2);
    });

    test('200 made-up kids at once, and 200 in a row, cause one fetch', async () => {
      const keys = keySet();
      await keys.warm();
      const made = (n: number) => ask(keys, `made-up-${n}`);
      for (const answer of await Promise.all(Array.from({ length: 200 }, (_, n) => made(n))))
        isRefused(answer, 'token_key_unknown');
      for (let n = 200; n < 400; n++) isRefused(await made(n), 'token_key_unknown');
      assert.deepEqual(idp.requests, { discovery: 1, jwks: 2 });
      isKeys(await ask(keys));
      tools.time.nowMs += COOL_DOWN_MS - 1;
      isRefused(await made(400), 'token_key_unknown');
      assert.equal(idp.requests.jwks, 2);
      tools.time.nowMs += 1;
      await Promise.all([made(401), made(402)]);
      assert.equal(idp.requests.jwks, 3);
    });

    test('made-up kids before anything is known cause one fetch', async () => {
      const keys = keySet();
      const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => ask(keys, `made-up-${n}`)));
      for (const answer of answers) isRefused(answer, 'token_key_unknown');
      assert.equal(idp.requests.jwks, 1);
    });

    test('while the issuer is down: unavailable, not unknown; known keys go on working', async () => {
      const keys = keySet();
      await keys.warm();
      idp.trouble = { status: 503 };
      isRefused(await ask(keys, 'new'), 'issuer_unavailable', 1);
      isKeys(await ask(keys));
      idp.trouble = undefined;
      isRefused(await ask(keys, 'new'), 'issuer_unavailable', 1);
      tools.time.nowMs += 1_000;
      isRefused(await ask(keys, 'new'), 'token_key_unknown');
    });

    test('a clock that is set back does not prolong the cool-down', async () => {
      const keys = keySet();
      await ask(keys);
      await ask(keys, 'made-up');
      tools.time.nowMs -= 3_600_000;
      await idp.rotate();
      isKeys(await ask(keys));
    });
  });

  describe('an issuer that is down', () => {
    const troubles: Trouble[] = [{ status: 500 }, { status: 404 }, 'garbage', 'redirect', 'hang-up', 'hang'];
    for (const trouble of troubles) {
      test(`at start, ${JSON.stringify(trouble)}: the start succeeds, requests are told when to come back`, async () => {
        idp.trouble = trouble;
        const keys = keySet();
        await keys.warm();
        isRefused(await ask(keys), 'issuer_unavailable', 1);
        assert.equal(fetches('failed'), 1);
        assert.equal(tools.lines.filter((line) => line.level === 'warn').length, 1);
        idp.trouble = undefined;
        tools.time.nowMs += 1_000;
        isKeys(await ask(keys));
      });
    }

    test('is left alone for longer and longer, up to 30 s', async () => {
      idp.trouble = { status: 500 };
      const keys = keySet({ jwksUri: idp.jwksUri });
      for (const [index, seconds] of [1, 2, 4, 8, 16, 30, 30].entries()) {
        isRefused(await ask(keys), 'issuer_unavailable', seconds);
        assert.equal(idp.requests.jwks, index + 1);
        tools.time.nowMs += seconds * 1_000 - 1;
        await Promise.all(Array.from({ length: 50 }, (_, n) => ask(keys, `made-up-${n}`)));
        assert.equal(idp.requests.jwks, index + 1);
        tools.time.nowMs += 1;
      }
      idp.trouble = undefined;
      isKeys(await ask(keys));
      idp.trouble = { status: 500 };
      isRefused(await ask(keys, 'made-up'), 'issuer_unavailable', 1);
    });

    test('an issuer without jwks_uri', async () => {
      idp.metadata = { jwks_uri: undefined };
      isRefused(await ask(keySet()), 'issuer_unavailable', 1);
    });

    test('a jwks_uri that must not be called', async () => {
      idp.metadata = { jwks_uri: 'http://169.254.169.254/jwks' };
      isRefused(await ask(keySet()), 'issuer_unavailable', 1);
      assert.match(JSON.stringify(tools.lines), /must be https/);
    });
  });

  describe('refresh', () => {
    test('old keys are fetched anew behind the back of whoever asks; withdrawn ones go', async () => {
      const keys = keySet();
      await ask(keys);
      const withdrawn = kidOf();
      await idp.rotate();
      tools.time.nowMs += REFRESH_MS - 1;
      isKeys(await ask(keys, withdrawn));
      assert.equal(idp.requests.jwks, 1);
      tools.time.nowMs += 1;
      const release = idp.hold();
      isKeys(await ask(keys, withdrawn)); // not held up
      release();
      await keys.warm();
      assert.equal(idp.requests.jwks, 2);
      assert.equal(keys.generation, 2);
      isRefused(await ask(keys, withdrawn), 'token_key_unknown');
    });

    test('touch is enough', async () => {
      const keys = keySet();
      await keys.warm();
      keys.touch();
      tools.time.nowMs += REFRESH_MS;
      keys.touch();
      keys.touch();
      await keys.warm();
      assert.equal(idp.requests.jwks, 2);
    });

    test('a failing one keeps the keys and is tried again after the back-off', async () => {
      const keys = keySet();
      await keys.warm();
      idp.trouble = 'hang-up';
      tools.time.nowMs += REFRESH_MS;
      isKeys(await ask(keys));
      await keys.warm();
      assert.equal(fetches('failed'), 1);
      isKeys(await ask(keys));
      idp.trouble = undefined;
      await idp.rotate();
      tools.time.nowMs += 1_000;
      keys.touch();
      await keys.warm();
      assert.equal(keys.generation, 2);
    });

    test('the same keys in another order are the same generation', async () => {
      const keys = keySet();
      await keys.warm();
      idp.publish(idp.jwks().toReversed());
      tools.time.nowMs += REFRESH_MS;
      await keys.warm();
      assert.equal(idp.requests.jwks, 2);
      assert.equal(keys.generation, 1);
    });

    test('keys that have moved are found', async () => {
      const keys = keySet();
      idp.metadata = { jwks_uri: `${idp.issuer}/gone` };
      await keys.warm();
      idp.metadata = {};
      tools.time.nowMs += 1_000;
      isKeys(await ask(keys));
    });
  });

  describe('what is published', () => {
    const withKeys = async (published: readonly unknown[]) => {
      idp.publish(published);
      return keySet();
    };

    test('keys that cannot be used are as good as none, and do not harm the others', async () => {
      const kid = kidOf();
      const good = idp.jwks().find((jwk) => jwk.kid === kid);
      const { privateKey } = await generateKeyPair('RS256', { extractable: true });
      const weak = await crypto.subtle.generateKey(
        { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) },
        true,
        ['sign', 'verify'],
      );
      const keys = await withKeys([
        { kty: 'RSA', kid: 'broken', n: '?', e: 'AQAB' },
        { kty: 'oct', kid: 'symmetric', k: 'c2VjcmV0' },
        { kty: 'XYZ', kid: 'future' },
        { ...(await exportJWK(privateKey)), kid: 'private' },
        { ...(await crypto.subtle.exportKey('jwk', weak.publicKey)), alg: undefined, key_ops: undefined, kid: 'weak' },
        { ...good, kid: 'for-encryption', use: 'enc' },
        good,
      ]);
      for (const bad of ['broken', 'symmetric', 'future', 'private', 'weak', 'for-encryption']) {
        isRefused(await ask(keys, bad), 'token_key_unknown');
      }
      isRefused(await keys.resolve('HS256', 'symmetric', bounded()), 'token_key_unknown');
      isKeys(await ask(keys, kid));
    });

    test('without kid every key that fits is a candidate, up to a bound', async () => {
      const rsa = idp.jwks().find((jwk) => jwk.alg === 'RS256');
      const keys = await withKeys(Array.from({ length: 40 }, (_, n) => ({ ...rsa, kid: `k${n}` })));
      const answer = await keys.resolve('RS256', undefined, bounded());
      isKeys(answer);
      assert.equal(answer.keys.length, 16);
    });

    test('no keys at all is an answer', async () => {
      isRefused(await ask(await withKeys([])), 'token_key_unknown');
    });

    test('something that is no key set', async () => {
      isRefused(await ask(await withKeys(['x'])), 'issuer_unavailable', 1);
    });
  });
});
