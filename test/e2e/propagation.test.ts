import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { decodeText } from '../../src/core/encode.ts';
import { ATTRIBUTES } from '../../src/propagation/schema.ts';
import { type Answer, rpc } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';

const CLAIMS = {
  sub: 'alice',
  email: 'alice@example.com',
  name: 'Alice Liddell, Ö',
  groups: ['g1', 'g2'],
  realm: { roles: ['admin', 'dev, ops', '50%'] },
  teams: 'core',
  is_admin: true,
  service_account: false,
  act: { sub: 'agent', act: { sub: 'scheduler' } },
  department: 'R&D',
  'https://acme/cost center': 4711,
  address: { city: 'Zürich', lines: ['a', 'b'] },
};
/** What each attribute is in `_meta`, and in its header: end of the name and value. */
const EXPECTED: Record<(typeof ATTRIBUTES)[number], [value: unknown, end: string, text: string]> = {
  id: ['alice', 'id', 'alice'],
  issuer: [undefined, 'issuer', ''], // known once the issuer runs
  email: ['alice@example.com', 'email', 'alice@example.com'],
  full_name: ['Alice Liddell, Ö', 'full-name', 'Alice Liddell%2C %C3%96'],
  groups: [['g1', 'g2'], 'groups', 'g1,g2'],
  roles: [['admin', 'dev, ops', '50%'], 'roles', 'admin,dev%2C ops,50%25'],
  teams: [['core'], 'teams', 'core'],
  is_admin: [true, 'admin', 'true'],
  auth_method: ['jwt', 'auth-method', 'jwt'],
  service_account: [false, 'service-account', 'false'],
  delegation_chain: [['agent', 'scheduler'], 'delegation-chain', 'agent,scheduler'],
};
const MODES = ['headers', 'meta', 'both'] as const;
const SPOOF = { id: 'root', roles: ['root'], is_admin: true };

describe('every attribute, in every mode', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  const url = (name: string) => `${stack.origin}/${name}/mcp`;
  const call = async (
    name: string,
    claims: object | null = CLAIMS,
    headers: readonly string[] = [],
    meta: object = { keep: 1 },
  ): Promise<Answer> => {
    const token = claims !== null && ['Authorization', `Bearer ${await issuer.token({ aud: url(name), ...claims })}`];
    const params = { name: 'x', _meta: meta };
    const answer = await rpc(url(name), { jsonrpc: '2.0', id: 1, method: 'tools/call', params }, [
      ...(token || []),
      ...headers,
    ]);
    assert.equal(answer.status, 200, answer.body);
    return answer;
  };
  /** Headers behind the prefix that reached the backend. */
  const forwarded = (prefix = 'x-forwarded-user') =>
    Object.fromEntries(
      Object.entries(stack.backend.last().headers)
        .filter(([name]) => name.startsWith(`${prefix}-`))
        .map(([name, value]) => [name.slice(prefix.length + 1), value]),
    );
  const meta = () =>
    (JSON.parse(stack.backend.last().body.toString()) as { params: { _meta: Record<string, unknown> } }).params._meta;

  before(async () => {
    issuer = await startIssuer();
    EXPECTED.issuer = [issuer.issuer, 'issuer', issuer.issuer];
    const routes: Record<string, object> = {
      default: { mode: 'both' },
      prefixed: { mode: 'both', attributes: ['id', 'roles'], headersPrefix: 'X-Caller', metaKey: 'com.example/who' },
      claims: {
        mode: 'both',
        attributes: [],
        claims: {
          department: 'Department',
          'https://acme/cost center': 'Cost-Center',
          address: 'Address',
          'address.city': 'City',
          nothing: 'Nothing',
        },
      },
    };
    for (const mode of MODES) {
      routes[`${mode}-all`] = { mode, attributes: ATTRIBUTES };
      for (const attribute of ATTRIBUTES) routes[`${mode}-${attribute}`] = { mode, attributes: [attribute] };
    }
    const outgoing: Record<string, object> = { injected: { type: 'claim_injection' } };
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: {
          corp: { type: 'jwt', issuer: issuer.issuer, attributeClaims: { roles: 'realm.roles' } },
          guest: { type: 'anonymous' },
        },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 7).toString('base64') }] },
      },
      routes: (origin) =>
        [...Object.entries(routes), ['injected', undefined] as const].map(([name, identityPropagation]) => ({
          prefix: `/${name}/mcp`,
          policy: {
            backend: name,
            resource: `${origin}/${name}/mcp`,
            incomingAuth: ['corp', 'guest'],
            outgoingAuth: outgoing[name] ?? { type: 'unauthenticated' },
            ...(identityPropagation === undefined ? {} : { identityPropagation }),
          },
        })),
    });
  });
  after(async () => {
    await stack?.stop();
    await issuer?.stop();
  });
  beforeEach(() => {
    stack.backend.seen.length = 0;
  });

  for (const mode of MODES) {
    for (const attribute of ATTRIBUTES) {
      it(`${attribute}, mode ${mode}: that and nothing else, whatever the client claims to be`, async () => {
        const [value, end, text] = EXPECTED[attribute];
        const spoof = [
          `X-Forwarded-User-${end}`,
          'root',
          'X-Forwarded-User-Roles',
          'root',
          'X_Forwarded_User_Id',
          'root',
        ];
        await call(`${mode}-${attribute}`, CLAIMS, spoof, { keep: 1, user: SPOOF });
        assert.deepEqual(forwarded(), mode === 'meta' ? {} : { [end]: text });
        assert.equal(stack.backend.last().headers['x_forwarded_user_id'], undefined);
        assert.deepEqual(meta(), { keep: 1, user: mode === 'headers' ? SPOOF : { [attribute]: value } });
      });
    }

    it(`all of them, mode ${mode}`, async () => {
      await call(`${mode}-all`);
      const headers = Object.fromEntries(ATTRIBUTES.map((name) => [EXPECTED[name][1], EXPECTED[name][2]]));
      assert.deepEqual(forwarded(), mode === 'meta' ? {} : headers);
      const user = Object.fromEntries(ATTRIBUTES.map((name) => [name, EXPECTED[name][0]]));
      assert.deepEqual(meta(), mode === 'headers' ? { keep: 1 } : { keep: 1, user });
    });

    it(`what the user does not have is not there, mode ${mode}`, async () => {
      await call(`${mode}-all`, {
        sub: 'bob',
        name: '',
        groups: [],
        realm: { roles: [null] },
        teams: null,
        is_admin: 'yes',
      });
      const user = { id: 'bob', issuer: issuer.issuer, auth_method: 'jwt' };
      assert.deepEqual(forwarded(), mode === 'meta' ? {} : { id: 'bob', issuer: issuer.issuer, 'auth-method': 'jwt' });
      assert.deepEqual(meta(), mode === 'headers' ? { keep: 1 } : { keep: 1, user });
    });

    it(`anonymous: nothing of ours, nothing of the client’s, mode ${mode}`, async () => {
      await call(`${mode}-all`, null, ['X-Forwarded-User-Id', 'root'], { keep: 1, user: SPOOF });
      assert.deepEqual(forwarded(), {});
      assert.deepEqual(meta(), mode === 'headers' ? { keep: 1, user: SPOOF } : { keep: 1 });
    });
  }

  it('by default only the id', async () => {
    await call('default');
    assert.deepEqual(forwarded(), { id: 'alice' });
    assert.deepEqual(meta(), { keep: 1, user: { id: 'alice' } });
  });

  it('a route without propagation, beside others with it, gets none (R3, R4)', async () => {
    await call('injected', CLAIMS, ['X-Forwarded-User-Id', 'root'], { user: SPOOF });
    assert.deepEqual(forwarded(), {});
    assert.equal(stack.backend.last().headers['x-user-sub'], 'alice');
    assert.deepEqual(meta(), { user: SPOOF });
  });

  it('prefix and metaKey of the route: ours are replaced under them, and what others use is no longer ours', async () => {
    await call(
      'prefixed',
      CLAIMS,
      ['X-Caller-Id', 'root', 'X-Caller-Email', 'root', 'X-Forwarded-User-Id', 'root', 'x_caller_roles', 'root'],
      { 'com.example/who': SPOOF, user: SPOOF },
    );
    assert.deepEqual(forwarded('x-caller'), { id: 'alice', roles: EXPECTED.roles[2] });
    assert.deepEqual(forwarded(), {});
    assert.equal(stack.backend.last().headers['x_caller_roles'], undefined);
    assert.deepEqual(meta(), { 'com.example/who': { id: 'alice', roles: EXPECTED.roles[0] }, user: SPOOF });
  });

  it('further claims: by name, by path, of every JSON type', async () => {
    await call('claims');
    assert.deepEqual(forwarded(), {
      department: 'R&D',
      'cost-center': '4711',
      address: '{"city":"Z%C3%BCrich"%2C"lines":["a"%2C"b"]}',
      city: 'Z%C3%BCrich',
    });
    assert.deepEqual(meta(), {
      keep: 1,
      user: {
        department: 'R&D',
        'https://acme/cost center': 4711,
        address: CLAIMS.address,
        'address.city': 'Zürich',
      },
    });
  });

  it('decode(what arrives) = the claim, for whatever text an issuer may sign', async () => {
    const character = fc.oneof(
      fc.constantFrom(' ', '%', ',', '\t', '\r\n', '\0', '\x7f', '"', '\\', 'é', '👩‍💻'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }),
    );
    const text = fc.array(character, { minLength: 1, maxLength: 12 }).map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(text, fc.array(text, { minLength: 1, maxLength: 4 }), async (name, roles) => {
        await call('both-all', { sub: 'alice', name, realm: { roles } });
        const headers = forwarded();
        assert.equal(decodeText(headers['full-name']!), name);
        assert.deepEqual(headers['roles']!.split(',').map(decodeText), roles);
        const user = meta()['user'] as Record<string, unknown>;
        assert.deepEqual([user['full_name'], user['roles']], [name, roles]);
      }),
      { numRuns: 100 },
    );
  });
});
