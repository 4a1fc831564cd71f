import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exportPKCS8, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { type Case, type Judge, type Kind, missingFor, startJudge } from '../support/assertion-verifiers.ts';
import type { Seen } from '../support/backend.ts';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const HEADER = 'x-forwarded-user-assertion';
const LANGUAGES = [
  ['Node', undefined],
  ['Python', await missingFor('Python')],
  ['Go', await missingFor('Go')],
] as const;
const KINDS: readonly Kind[] = ['jws', 'hmac'];

type Claims = Record<string, unknown>;
/** What a verifier must refuse, and the code that the one for Node gives. */
type Refused = Case & { readonly why: string; readonly code: string };

describe('assertions, verified by the examples of the documentation', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  let pem: { s1: string; s2: string; retired: string };
  let publicKey: string;

  const nameOf = (kind: Kind) => `${kind}-ledger`;
  const resourceOf = (kind: Kind) => `${stack.origin}/${nameOf(kind)}/mcp`;
  const keyOf = (backend: string): string => {
    const args = [MAIN, 'signing-key', '--config', join(stack.folder, 'sidecar-0.yaml'), '--backend', backend];
    return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
  };
  const bearer = async (route: string) => [
    'Authorization',
    `Bearer ${await issuer.token({ aud: `${stack.origin}/${route}/mcp`, sub: 'alice', email: 'a@example.com' })}`,
  ];
  /** A call through Envoy, as the backend sees it. */
  const call = async (route: string): Promise<Seen> => {
    const answer = await rpc(`${stack.origin}/${route}/mcp`, toolCall('x'), await bearer(route));
    assert.equal(answer.status, 200, answer.body);
    return stack.backend.last();
  };
  const caseOf = (seen: Seen): Case => ({
    assertion: seen.headers[HEADER] as string,
    method: seen.method,
    body: seen.body,
  });

  before(async () => {
    issuer = await startIssuer();
    const made = async (alg: string) => generateKeyPair(alg, { extractable: true });
    const s1 = await made('ES256');
    publicKey = await exportSPKI(s1.publicKey);
    const [s2, retired] = [await made('EdDSA'), await made('ES256')];
    pem = {
      s1: await exportPKCS8(s1.privateKey),
      s2: await exportPKCS8(s2.privateKey),
      retired: await exportPKCS8(retired.privateKey),
    };
    const route = (origin: string, kind: Kind, name: string, more: object = {}) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'unauthenticated' },
        identityPropagation: { mode: 'both', attributes: ['id', 'email'], sign: kind, ...more },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        signing: {
          current: { jws: 's1', hmac: 'h1' },
          keys: [
            { id: 's1', alg: 'ES256', privateKey: pem.s1 },
            { id: 's2', alg: 'EdDSA', privateKey: pem.s2 },
            { id: 'h1', alg: 'HS256', secret: 'a secret of thirty-two bytes or more' },
          ],
        },
      },
      routes: (origin) =>
        KINDS.flatMap((kind) => [
          route(origin, kind, nameOf(kind)),
          route(origin, kind, `${kind}-wiki`),
          route(origin, kind, `${kind}-plain`, { mode: 'headers' }),
        ]),
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  /** Everything that is wrong in one respect, made from an assertion that is right. */
  const refusedCases = async (kind: Kind, good: Case): Promise<Refused[]> => {
    const [header, payload, signature] = good.assertion.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims;
    const now = Math.floor(Date.now() / 1000);
    const hmacKey = kind === 'hmac' ? Buffer.from(keyOf(nameOf(kind)), 'base64url') : undefined;
    const right: KeyObject | Uint8Array = hmacKey ?? createPrivateKey(pem.s1);
    const own = kind === 'jws' ? { alg: 'ES256', kid: 's1' } : { alg: 'HS256', kid: 'h1' };
    const signed = (
      changes: Claims = {},
      key: KeyObject | Uint8Array = right,
      head: { alg: string; kid?: string } = own,
    ): Promise<string> => new SignJWT({ ...claims, ...changes }).setProtectedHeader({ typ: 'JWT', ...head }).sign(key);
    const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const found: Refused[] = [];
    const refuse = (why: string, code: string, changes: Partial<Case>) =>
      found.push({ ...good, ...changes, why, code });

    for (const field of [...Object.keys(claims), 'added']) {
      const value = typeof claims[field] === 'number' ? claims[field] + 1 : `${String(claims[field])}x`;
      const changed = `${header}.${base64({ ...claims, [field]: value })}.${signature}`;
      refuse(`${field} changed`, 'signature_wrong', { assertion: changed });
    }
    refuse('signature cut', 'signature_wrong', { assertion: `${header}.${payload}.${signature.slice(0, -4)}` });
    refuse('no signature', 'signature_wrong', { assertion: `${header}.${payload}.` });
    refuse('nothing', 'assertion_missing', { assertion: '' });
    refuse('other method', 'method_mismatch', { method: 'DELETE' });
    refuse('other body', 'body_mismatch', { body: Buffer.concat([good.body, Buffer.from(' ')]) });
    refuse('no body', 'body_mismatch', { body: Buffer.alloc(0) });

    const other = caseOf(await call(`${kind}-wiki`));
    // With HMAC even the key is another one.
    const code = kind === 'jws' ? 'backend_mismatch' : 'signature_wrong';
    refuse('that of another backend', code, { assertion: other.assertion, body: other.body });

    for (const [why, expected, changes] of [
      ['another backend', 'backend_mismatch', { aud: `${kind}-wiki` }],
      ['another issuer', 'issuer_mismatch', { iss: 'https://evil.example.com' }],
      ['another resource', 'resource_mismatch', { htu: `${resourceOf(kind)}/x` }],
      ['another method', 'method_mismatch', { htm: 'GET' }],
      ['another body', 'body_mismatch', { body_sha256: createHash('sha256').update('x').digest('base64url') }],
      ['late', 'expired', { iat: now - 70, exp: now - 10 }],
      ['early', 'not_yet_valid', { iat: now + 20, exp: now + 80 }],
      ['without exp', 'claims_incomplete', { exp: undefined }],
      ['without sub', 'claims_incomplete', { sub: undefined }],
      ['without htm', 'claims_incomplete', { htm: undefined }],
      ['without htu', 'resource_mismatch', { htu: undefined }],
      ['without aud', 'claims_incomplete', { aud: undefined }],
      ['without iss', 'claims_incomplete', { iss: undefined }],
    ] as const)
      refuse(`rightly signed: ${why}`, expected, { assertion: await signed(changes) });

    refuse('alg none', 'alg_not_allowed', { assertion: `${base64({ alg: 'none', kid: own.kid })}.${payload}.` });
    const { privateKey: rsa } = await generateKeyPair('RS256', { extractable: true });
    const rsaKey = createPrivateKey(await exportPKCS8(rsa));
    if (kind === 'jws') {
      const swap = (alg: string) => `${base64({ alg, kid: 's1', typ: 'JWT' })}.${payload}.${signature}`;
      refuse('wrong key', 'signature_wrong', { assertion: await signed({}, createPrivateKey(pem.retired)) });
      const retired = await signed({}, createPrivateKey(pem.retired), { alg: 'ES256', kid: 's0' });
      refuse('retired key', 'key_unknown', { assertion: retired });
      const s2 = createPrivateKey(pem.s2);
      refuse('a key under the name of another', 'key_unknown', {
        assertion: await signed({}, s2, { alg: 'EdDSA', kid: 's1' }),
      });
      refuse('without key id', 'signature_wrong', {
        assertion: await signed({}, createPrivateKey(pem.retired), { alg: 'ES256' }),
      });
      for (const alg of ['RS256', 'EdDSA']) refuse(`alg swap to ${alg}`, 'key_unknown', { assertion: swap(alg) });
      refuse('alg swap to ES384', 'alg_not_allowed', { assertion: swap('ES384') });
      refuse('RS256 under the name of another', 'key_unknown', {
        assertion: await signed({}, rsaKey, { alg: 'RS256', kid: 's1' }),
      });
      refuse('the public key as a secret', 'alg_not_allowed', {
        assertion: await signed({}, Buffer.from(publicKey), { alg: 'HS256', kid: 's1' }),
      });
    } else {
      refuse('wrong key', 'signature_wrong', { assertion: await signed({}, randomBytes(32)) });
      const wiki = Buffer.from(keyOf('hmac-wiki'), 'base64url');
      refuse('key of another backend', 'signature_wrong', { assertion: await signed({}, wiki) });
      refuse('the secret itself', 'signature_wrong', {
        assertion: await signed({}, Buffer.from('a secret of thirty-two bytes or more')),
      });
      refuse('alg swap', 'alg_not_allowed', { assertion: await signed({}, rsaKey, { alg: 'RS256', kid: 'h1' }) });
      const long = Buffer.concat([hmacKey as Buffer, Buffer.alloc(32)]); // the same key to HMAC, for a longer hash
      refuse('alg swap to HS512', 'alg_not_allowed', {
        assertion: await signed({}, long, { alg: 'HS512', kid: 'h1' }),
      });
    }
    return found;
  };

  for (const [language, missing] of LANGUAGES) {
    for (const kind of KINDS) {
      const title = `${language}, ${kind}${missing === undefined ? '' : `: not run, ${missing}`}`;
      describe(title, { skip: missing !== undefined }, () => {
        let judge: Judge;
        let stop = () => {};

        before(async () => {
          const backend = nameOf(kind);
          const key = kind === 'hmac' ? keyOf(backend) : undefined;
          const setting = { kind, issuer: stack.origin, backend, resource: resourceOf(kind), key };
          ({ judge, stop } = await startJudge(language, setting));
        });
        after(() => stop());

        it('accepts what the backend gets, with and without a covered body', async () => {
          const seen = await call(nameOf(kind));
          const inMeta = JSON.parse(seen.body.toString()).params._meta.user.assertion as string;
          const got = await send(resourceOf(kind), { headers: await bearer(nameOf(kind)) });
          assert.equal(got.status, 200);
          const cases = [
            caseOf(seen),
            { ...caseOf(seen), assertion: inMeta },
            { ...caseOf(seen), assertion: inMeta, body: Buffer.from('not covered') },
            caseOf(stack.backend.last()),
          ];
          assert.equal(cases[3]?.method, 'GET');
          assert.deepEqual(await judge(cases), [null, null, null, null]);
        });

        it('rejects everything that is wrong in one respect', async () => {
          const good = caseOf(await call(nameOf(kind)));
          const cases = await refusedCases(kind, good);
          const verdicts = await judge([...cases, good]);
          assert.equal(verdicts.pop(), null, 'the one they were made from');
          const accepted = cases.filter((_, i) => verdicts[i] === null).map(({ why }) => why);
          assert.deepEqual(accepted, []);
          if (language !== 'Node') return;
          const told = cases.map(({ why }, i) => [why, verdicts[i]]);
          assert.deepEqual(
            told,
            cases.map(({ why, code }) => [why, code]),
          );
        });
      });
    }
  }
});
