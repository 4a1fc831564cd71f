import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeProtectedHeader, exportPKCS8, generateKeyPair } from 'jose';
import { AssertionRefused, createVerifier, type Verifier } from '../../src/verify/verifier.ts';
import type { Seen } from '../support/backend.ts';
import { rpc, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const HEADER = 'x-forwarded-user-assertion';
const KINDS = ['jws', 'hmac'] as const;
type Kind = (typeof KINDS)[number];
type Keys = { readonly current: Record<Kind, string>; readonly keys: readonly object[] };

/** Two replicas, restarted one after the other with other signing keys, while calls go on. */
describe('signing keys change without one refusal', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  let steps: Record<'publish' | 'change' | 'retire', Keys>;
  /** Written into the config file whenever a replica starts. */
  const config: Record<string, unknown> = {};
  let verifiers: Record<Kind, Verifier>;
  const arrived: { kind: Kind; seen: Seen; kid: string | undefined }[] = [];
  const failures: string[] = [];
  let calls = 0;

  const urlOf = (kind: Kind) => `${stack.origin}/${kind}/mcp`;
  const keyOf = (id: string): string => {
    const file = join(stack.folder, 'sidecar-0.yaml');
    const args = [MAIN, 'signing-key', '--config', file, '--backend', 'hmac', '--key', id];
    return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
  };
  const verifierOf = (kind: Kind, keys: readonly string[]): Verifier =>
    createVerifier({
      issuer: stack.origin,
      backend: kind,
      resource: urlOf(kind),
      body: 'required',
      // Steps that take minutes in earnest take seconds here.
      ...(kind === 'jws'
        ? { jwksUri: `${stack.origin}/.well-known/mcp-identity/jwks.json`, cooldownSeconds: 1 }
        : { key: keys }),
    });

  before(async () => {
    issuer = await startIssuer();
    const pem = async (alg: string) => exportPKCS8((await generateKeyPair(alg, { extractable: true })).privateKey);
    const s1 = { id: 's1', alg: 'ES256', privateKey: await pem('ES256') };
    const s2 = { id: 's2', alg: 'EdDSA', privateKey: await pem('EdDSA') };
    const h1 = { id: 'h1', alg: 'HS256', secret: 'the first secret, of thirty-two bytes' };
    const h2 = { id: 'h2', alg: 'HS256', secret: 'the second secret, of thirty-two bytes' };
    steps = {
      publish: { current: { jws: 's1', hmac: 'h1' }, keys: [s1, s2, h1, h2] },
      change: { current: { jws: 's2', hmac: 'h2' }, keys: [s1, s2, h1, h2] },
      retire: { current: { jws: 's2', hmac: 'h2' }, keys: [s2, h2] },
    };
    Object.assign(config, {
      incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
      session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
      signing: { current: { jws: 's1', hmac: 'h1' }, keys: [s1, h1] },
    });
    const route = (origin: string, kind: Kind) => ({
      prefix: `/${kind}/mcp`,
      policy: {
        backend: kind,
        resource: `${origin}/${kind}/mcp`,
        incomingAuth: ['corp'],
        outgoingAuth: { type: 'unauthenticated' },
        identityPropagation: { mode: kind === 'jws' ? 'headers' : 'both', sign: kind },
      },
    });
    stack = await startStack({
      extProc: true,
      replicas: 2,
      config,
      routes: (origin) => KINDS.map((kind) => route(origin, kind)),
    });
    verifiers = { jws: verifierOf('jws', []), hmac: verifierOf('hmac', [keyOf('h1')]) };
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });

  /** Calls, one after the other, each verified as its backend would, until `done`. */
  const trickle = async (kind: Kind, done: () => boolean): Promise<void> => {
    const authorization = `Bearer ${await issuer.token({ aud: urlOf(kind), sub: 'alice' })}`;
    while (!done()) {
      const id = `${kind}-${++calls}`;
      const answer = await rpc(urlOf(kind), toolCall('x', id), ['Authorization', authorization]);
      if (answer.status !== 200) failures.push(`${id}: ${answer.status} ${answer.body}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const restart = async (index: number): Promise<void> => {
    await stack.services[index]!.stop('SIGTERM');
    await stack.restartService(index);
    // Both replicas have decided since.
    const before = stack.services.map((service) => service.stdout.length);
    await Promise.all(
      stack.services.map((service, i) => service.until(() => service.stdout.length > before[i]! + 500)),
    );
  };
  const step = async (signing: Keys): Promise<void> => {
    config['signing'] = signing;
    for (const index of [0, 1]) await restart(index);
  };
  const kidsSince = (start: number, kind: Kind) =>
    new Set(arrived.slice(start).flatMap((one) => (one.kind === kind ? [one.kid] : [])));

  it('new key published, then used, then the old one gone: every assertion verified, every call answered', async () => {
    const verified: Promise<void>[] = [];
    stack.backend.respond = (seen, response) => {
      const kind = seen.url.split('/')[1] as Kind;
      const kid = decodeProtectedHeader(seen.headers[HEADER] as string).kid;
      arrived.push({ kind, seen, kid });
      verified.push(
        verifiers[kind]
          .verify(seen.headers, seen)
          .then(() => undefined)
          .catch((error: unknown) => void failures.push(`${kind} ${kid}: ${String(error)}`))
          .finally(() => response.end('{"jsonrpc":"2.0","id":1,"result":{}}')),
      );
    };
    let finished = false;
    const load = [...KINDS, ...KINDS].map((kind) => trickle(kind, () => finished));
    try {
      await step(steps.publish);
      assert.deepEqual(kidsSince(0, 'jws'), new Set(['s1']));
      verifiers.hmac = verifierOf('hmac', [keyOf('h1'), keyOf('h2')]);
      await step(steps.change);
      const after = arrived.length;
      await step(steps.retire);
      assert.deepEqual(kidsSince(after, 'jws'), new Set(['s2']));
      assert.deepEqual(kidsSince(after, 'hmac'), new Set(['h2']));
    } finally {
      finished = true;
      await Promise.all(load);
    }
    await Promise.all(verified);
    assert.deepEqual(failures, []);
    assert.ok(calls > 200, `${calls} calls`);
  });

  it('what the old keys signed is refused then, though it has not expired', async () => {
    for (const [kind, kid, code] of [
      ['jws', 's1', 'key_unknown'],
      ['hmac', 'h1', 'signature_wrong'],
    ] as const) {
      const old = arrived.findLast((one) => one.kind === kind && one.kid === kid);
      assert.ok(old);
      const { verify } = verifierOf(kind, [keyOf('h2')]);
      await assert.rejects(
        verify(old.seen.headers, old.seen),
        (error) => error instanceof AssertionRefused && error.code === code,
      );
    }
  });
});
