import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLocalJWKSet, exportPKCS8, generateKeyPair, jwtVerify, type JWTPayload } from 'jose';
import { rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const SECRET = 'a secret of thirty-two bytes or more';

describe('assertions: claims a backend can prove', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const kinds = ['jws', 'hmac'] as const;

  before(async () => {
    issuer = await startIssuer();
    const pem = async (alg: string) => exportPKCS8((await generateKeyPair(alg, { extractable: true })).privateKey);
    const route = (origin: string, name: string, propagation: object) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth: ['corp', 'guest'],
        outgoingAuth: { type: 'unauthenticated' },
        identityPropagation: {
          attributes: ['id', 'email', 'groups'],
          claims: { department: 'Department' },
          ...propagation,
        },
      },
    });
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer }, guest: { type: 'anonymous' } },
        signing: {
          current: { jws: 's1', hmac: 'h1' },
          keys: [
            { id: 's0', alg: 'RS256', privateKey: await pem('RS256') },
            { id: 's1', alg: 'ES256', privateKey: await pem('ES256') },
            { id: 's2', alg: 'EdDSA', privateKey: await pem('EdDSA') },
            { id: 'h1', alg: 'HS256', secret: SECRET },
          ],
        },
      },
      routes: (origin) =>
        kinds.flatMap((sign) =>
          (['headers', 'meta', 'both'] as const).map((mode) => route(origin, `${sign}-${mode}`, { mode, sign })),
        ),
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  const call = async (name: string, headers: readonly string[] = []) => {
    const token = await issuer.token({
      aud: `${stack.origin}/${name}/mcp`,
      sub: 'alice',
      email: 'a@example.com',
      groups: ['g,1'],
      department: 'R&D',
    });
    const answer = await rpc(`${stack.origin}/${name}/mcp`, toolCall('x'), [
      'Authorization',
      `Bearer ${token}`,
      ...headers,
    ]);
    assert.equal(answer.status, 200, answer.body);
    return stack.backend.last();
  };
  const known = new Map<string, string>();
  const backendKeyOf = (backend: string): string => {
    const args = [MAIN, 'signing-key', '--config', join(stack.folder, 'sidecar-0.yaml'), '--backend', backend];
    const key = known.get(backend) ?? execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
    known.set(backend, key);
    return key;
  };
  /** What a backend does, with a library that is not ours. */
  const verify = async (assertion: string, backend: string): Promise<JWTPayload> => {
    const options = { issuer: stack.origin, audience: backend, requiredClaims: ['exp', 'iat', 'jti'] };
    if (backend.startsWith('hmac')) {
      const key = backendKeyOf(backend);
      return (await jwtVerify(assertion, Buffer.from(key, 'base64url'), { ...options, algorithms: ['HS256'] })).payload;
    }
    const jwks = (await send(`${stack.origin}/.well-known/mcp-identity/jwks.json`)).json();
    return (await jwtVerify(assertion, createLocalJWKSet(jwks), { ...options, algorithms: ['ES256'] })).payload;
  };

  for (const sign of kinds) {
    for (const mode of ['headers', 'both'] as const) {
      it(`${sign}, mode ${mode}: bound to backend, method, resource and body`, async () => {
        const name = `${sign}-${mode}`;
        const seen = await call(name, ['X-Forwarded-User-Assertion', 'forged']);
        const { iat, exp, jti, body_sha256, ...claims } = await verify(
          seen.headers['x-forwarded-user-assertion'] as string,
          name,
        );
        assert.deepEqual(claims, {
          iss: stack.origin,
          aud: name,
          sub: 'alice',
          htm: 'POST',
          htu: `${stack.origin}/${name}/mcp`,
          id: 'alice',
          email: 'a@example.com',
          groups: ['g,1'],
          department: 'R&D',
        });
        assert.equal((exp as number) - (iat as number), 60);
        assert.ok(jti);
        assert.equal(
          body_sha256,
          createHash('sha256').update(seen.body).digest('base64url'),
          'over the body the backend got',
        );
      });
    }
    for (const mode of ['meta', 'both'] as const) {
      it(`${sign}, mode ${mode}: inside _meta, without a body hash`, async () => {
        const name = `${sign}-${mode}`;
        const seen = await call(name);
        const { user } = JSON.parse(seen.body.toString()).params._meta;
        const claims = await verify(user.assertion, name);
        assert.equal(claims['body_sha256'], undefined);
        assert.deepEqual(
          { id: claims['id'], email: claims['email'], groups: claims['groups'], department: claims['department'] },
          { id: user.id, email: user.email, groups: user.groups, department: user.department },
        );
        // The header's copy is written in every mode: only there the final body can be covered.
        const copy = await verify(seen.headers['x-forwarded-user-assertion'] as string, name);
        assert.equal(copy['body_sha256'], createHash('sha256').update(seen.body).digest('base64url'));
        assert.notEqual(copy.jti, claims.jti);
      });
    }
    it(`${sign}: another backend, a changed field and a swapped algorithm are rejected`, async () => {
      const name = `${sign}-headers`;
      const assertion = (await call(name)).headers['x-forwarded-user-assertion'] as string;
      await assert.rejects(verify(assertion, `${sign}-both`));
      const [header, payload, signature] = assertion.split('.') as [string, string, string];
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
      for (const field of Object.keys(claims)) {
        const value = claims[field];
        const changed = { ...claims, [field]: typeof value === 'number' ? value + 1 : 'x' };
        await assert.rejects(
          verify(`${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${signature}`, name),
          field,
        );
      }
      const none = Buffer.from(JSON.stringify({ alg: 'none', kid: 's1' })).toString('base64url');
      await assert.rejects(verify(`${none}.${payload}.`, name));
    });
  }

  it('anonymous callers get none, and their own goes', async () => {
    await rpc(`${stack.origin}/jws-both/mcp`, toolCall('x'), ['X-Forwarded-User-Assertion', 'forged']);
    assert.equal(stack.backend.last().headers['x-forwarded-user-assertion'], undefined);
    assert.equal(stack.backend.last().body.toString().includes('assertion'), false);
  });

  it('two requests never share a jti', async () => {
    const first = await verify(
      (await call('jws-headers')).headers['x-forwarded-user-assertion'] as string,
      'jws-headers',
    );
    const second = await verify(
      (await call('jws-headers')).headers['x-forwarded-user-assertion'] as string,
      'jws-headers',
    );
    assert.notEqual(first.jti, second.jti);
  });

  it('every asymmetric key is published, and no secret', async () => {
    const answer = await send(`${stack.origin}/.well-known/mcp-identity/jwks.json`);
    const { keys } = answer.json();
    assert.deepEqual(
      keys.map((key: { kid: string; alg: string }) => [key.kid, key.alg]),
      [
        ['s0', 'RS256'],
        ['s1', 'ES256'],
        ['s2', 'EdDSA'],
      ],
    );
    assert.equal(/"(d|p|q|k)":/.test(answer.body), false);
  });
});
