import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SIGNATURE_ALGORITHMS } from '../../src/authn/schema.ts';
import { type DpopClient, dpopClient, type ProofOptions } from '../support/dpop-client.ts';
import { type Answer, rpc, send, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { DURABLE, type RedisServer, startRedis } from '../support/redis.ts';
import { type Stack, startStack } from '../support/stack.ts';

const ALGS = `algs="${SIGNATURE_ALGORITHMS.join(' ')}"`;

/** Two replicas behind one Envoy, which hands calls to them in turn, and one Redis. */
describe('tokens that are bound to a key (RFC 9449)', { timeout: 120_000 }, () => {
  let issuer: FakeIssuer;
  let redis: RedisServer;
  let stack: Stack;
  let client: DpopClient;
  let thief: DpopClient;

  const url = (name = 'both') => `${stack.origin}/${name}/mcp`;
  const token = (name = 'both', claims: Record<string, unknown> = {}) =>
    issuer.token({ aud: url(name), cnf: { jkt: client.thumbprint }, ...claims });
  const proven = async (name: string, options?: ProofOptions) =>
    client.headers('POST', url(name), await token(name), options);
  const call = (name: string, headers: readonly string[], query = '') => rpc(url(name) + query, toolCall('x'), headers);
  const challengesOf = ({ rawHeaders }: Answer) =>
    rawHeaders.filter((_, i) => rawHeaders[i - 1]?.toLowerCase() === 'www-authenticate' && i % 2 === 1);
  const metadataOf = (name: string) =>
    `resource_metadata="${stack.origin}/.well-known/oauth-protected-resource/${name}/mcp"`;

  before(async () => {
    issuer = await startIssuer();
    redis = await startRedis({ settings: DURABLE });
    [client, thief] = await Promise.all([dpopClient(), dpopClient('EdDSA')]);
    const route = (origin: string, name: string, incomingAuth: string[]) => ({
      prefix: `/${name}/mcp`,
      policy: {
        backend: name,
        resource: `${origin}/${name}/mcp`,
        incomingAuth,
        outgoingAuth: { type: 'unauthenticated' },
        identityPropagation: { mode: 'headers', attributes: ['id'] },
      },
    });
    const jwt = { type: 'jwt', issuer: issuer.issuer };
    stack = await startStack({
      replicas: 2,
      config: {
        incomingAuth: {
          both: { ...jwt, dpop: 'allowed' },
          only: { ...jwt, dpop: 'required' },
          nonce: { ...jwt, dpop: 'required', dpopNonce: true },
          plain: jwt,
          guest: { type: 'anonymous' },
        },
        vault: { store: redis.url, keys: [{ id: 'k1', key: randomBytes(32).toString('base64') }] },
      },
      routes: (origin) => [
        route(origin, 'both', ['both', 'guest']),
        route(origin, 'only', ['only']),
        route(origin, 'nonce', ['nonce']),
        route(origin, 'plain', ['plain']),
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    await redis?.dispose();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  /** How many requests each replica has answered for this reason. */
  const linesBy = (reason: string) =>
    stack.services.map(
      ({ stdout }) => stdout.split('\n').filter((line) => line.includes(`"reason":"${reason}"`)).length,
    );

  const told = new Map<string, number>();
  /** Refused, not passed on, and audited with this reason: lines come a little later than answers. */
  const refused = async (answer: Answer, reason: string, status = 401): Promise<Answer> => {
    assert.equal(answer.status, status, answer.body);
    assert.equal(stack.backend.seen.length, 0);
    const count = (told.get(reason) ?? 0) + 1;
    told.set(reason, count);
    const lines = stack.services.map((service) =>
      service.until(() => linesBy(reason).reduce((sum, one) => sum + one) >= count),
    );
    for (const line of lines) line.catch(() => {});
    await Promise.any(lines);
    return answer;
  };

  it('a good proof: the caller is known, and neither token nor proof reaches the backend', async () => {
    const answer = await call('both', await proven('both'), '?session=1');
    assert.equal(answer.status, 200, answer.body);
    const { headers } = stack.backend.last();
    assert.equal(headers['x-forwarded-user-id'], 'alice');
    assert.equal(headers['dpop'], undefined);
    assert.equal(headers['authorization'], undefined);
  });

  it('a proof is good once, at whatever replica it arrives', async () => {
    const headers = await proven('both');
    const answers = await Promise.all(Array.from({ length: 12 }, () => call('both', headers)));
    for (const [status, count] of [
      [200, 1],
      [401, 11],
    ])
      assert.equal(answers.filter((answer) => answer.status === status).length, count, `in parallel, ${status}`);
    for (let i = 0; i < 4; i++) assert.equal((await call('both', headers)).status, 401, 'one after the other');
    assert.equal(stack.backend.seen.length, 1);
    const replayed = () => linesBy('dpop_proof_replayed');
    await Promise.all(stack.services.map((service, i) => service.until(() => (replayed()[i] as number) > 0)));
    assert.ok(
      replayed().every((count) => count > 0),
      `both replicas have refused it: ${replayed().join(', ')}`,
    );
    assert.equal((await call('both', await proven('both'))).status, 200, 'a fresh one');
  });

  it('a proof of something else', async () => {
    const other = await token('both', { sub: 'bob' });
    const rows: [name: string, headers: readonly string[]][] = [
      ['htm', await client.headers('GET', url(), await token())],
      ['htu', await client.headers('POST', url('only'), await token())],
      ['ath', ['Authorization', `DPoP ${other}`, 'DPoP', await client.proof('POST', url(), await token())]],
      ['key', await thief.headers('POST', url(), await token())],
      ['age', await proven('both', { nowMs: Date.now() - 90_000 })],
      ['twice', [...(await proven('both')), 'DPoP', await client.proof('POST', url(), await token())]],
    ];
    const challenges = new Set<string>();
    for (const [name, headers] of rows) {
      const answer = await refused(await call('both', headers), 'dpop_proof_invalid');
      assert.equal(answer.json().error.data.error, 'invalid_dpop_proof', name);
      challenges.add(JSON.stringify(challengesOf(answer)));
    }
    const text = `DPoP error="invalid_dpop_proof", error_description="The DPoP proof is not valid for this request", ${metadataOf('both')}, ${ALGS}`;
    assert.deepEqual([...challenges], [JSON.stringify([text])], 'the same for one cause, and about the proof only');
  });

  it('no proof, and a bound token as a bearer token', async () => {
    const headers = ['Authorization', `DPoP ${await token()}`];
    await refused(await call('both', headers), 'dpop_proof_missing');
    const proof = await client.proof('POST', url(), await token());
    for (const more of [[], ['DPoP', proof]]) {
      const answer = await call('both', ['Authorization', `Bearer ${await token()}`, ...more]);
      const challenges = challengesOf(await refused(answer, 'token_sender_constrained'));
      assert.deepEqual(
        challenges.map((challenge) => challenge.slice(0, challenge.indexOf(','))),
        ['Bearer error="invalid_token"', 'DPoP error="invalid_token"'],
      );
    }
    await refused(await call('both', ['DPoP', proof]), 'credential_missing');
    await refused(await call('both', ['Authorization', 'DPoP a,b']), 'authorization_repeated', 400);
  });

  it('required: a token that is not bound is refused; allowed: it is not', async () => {
    const plain = (name: string) => token(name, { cnf: undefined }).then((text) => ['Authorization', `Bearer ${text}`]);
    const answer = await refused(await call('only', await plain('only')), 'token_not_bound');
    assert.deepEqual(challengesOf(answer), [
      `DPoP error="invalid_token", error_description="The access token is not bound to a key, as it has to be here", ${metadataOf('only')}, ${ALGS}`,
    ]);
    assert.deepEqual(challengesOf(await call('only', [])), [`DPoP ${metadataOf('only')}, ${ALGS}`]);
    assert.equal((await call('only', await proven('only'))).status, 200);
    assert.equal((await call('both', await plain('both'))).status, 200);
  });

  it('a route without DPoP is as it was', async () => {
    const answer = await call('plain', await proven('plain'));
    assert.deepEqual(challengesOf(await refused(answer, 'scheme_not_accepted')), [`Bearer ${metadataOf('plain')}`]);
  });

  it('a nonce of the server, which both replicas know', async () => {
    const first = await refused(await call('nonce', await proven('nonce')), 'dpop_nonce_wanted');
    assert.match(challengesOf(first)[0] ?? '', /^DPoP error="use_dpop_nonce", /);
    const nonce = first.headers['dpop-nonce'];
    assert.ok(nonce);
    for (let i = 0; i < 4; i++)
      assert.equal((await call('nonce', await proven('nonce', { claims: { nonce } }))).status, 200);
  });

  it('the metadata document says so (RFC 9728 2)', async () => {
    const document = async (name: string) =>
      (await send(`${stack.origin}/.well-known/oauth-protected-resource/${name}/mcp`)).json();
    const pick = ({ dpop_signing_alg_values_supported: algs, dpop_bound_access_tokens_required: required }: any) => [
      algs,
      required,
    ];
    assert.deepEqual(pick(await document('both')), [[...SIGNATURE_ALGORITHMS], undefined]);
    assert.deepEqual(pick(await document('only')), [[...SIGNATURE_ALGORITHMS], true]);
    assert.deepEqual(pick(await document('plain')), [undefined, undefined]);
  });

  it('the store of the vault does not answer: 503, and not ready; bearer tokens go on', async () => {
    redis.pause();
    try {
      const answer = await refused(await call('both', await proven('both')), 'replay_unchecked', 503);
      assert.ok(Number(answer.headers['retry-after']) >= 1);
      assert.equal((await send(`${stack.adminUrl}/readyz`)).status, 503);
      const plain = await token('both', { cnf: undefined });
      assert.equal((await call('both', ['Authorization', `Bearer ${plain}`])).status, 200);
    } finally {
      redis.resume();
    }
    const deadline = Date.now() + 15_000;
    let answer = await call('both', await proven('both'));
    while (answer.status === 503 && Date.now() < deadline) answer = await call('both', await proven('both'));
    assert.equal(answer.status, 200, answer.body);
  });
});
