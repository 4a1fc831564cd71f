import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import * as fc from 'fast-check';
import { createProofNonces } from '../../src/authn/dpop-nonce.ts';
import { readPeer } from '../../src/authn/trusted-peers.ts';
import { createSealer, type SealKey } from '../../src/core/seal.ts';
import { createConnectCookies } from '../../src/http/connect-cookies.ts';
import { connectPaths } from '../../src/http/connect-paths.ts';
import { openVisit } from '../../src/http/connect-visit.ts';
import { resourceMetadataUrl } from '../../src/mcp/challenge.ts';
import { ResourceDirectory } from '../../src/mcp/resource-metadata.ts';
import { createSessions } from '../../src/mcp/session.ts';
import { networkOf } from '../../src/net/peer-address.ts';
import { openPlan, type Plan, sealPlan } from '../../src/pipeline/plan.ts';
import { readTarget, signRequest } from '../../src/strategies/aws-signature.ts';
import { Browser } from '../../src/upstream/connect-browser.ts';
import { createStates } from '../../src/upstream/connect-state.ts';
import { createTickets } from '../../src/upstream/ticket.ts';
import { target } from './target.ts';
import { anyText, near } from './texts.ts';

const keys: SealKey[] = [{ id: 'k1', key: Buffer.alloc(32, 1) }];
const clock = { nowMs: () => 1_000_000 };
const never = new AbortController().signal;
const sealer = (purpose: string) => createSealer(keys, purpose);

const sessions = createSessions(sealer('session'), 60_000, clock);
const owner = { issuer: 'https://idp.example.com', subject: 'alice', methodName: 'corp', authMethod: 'jwt' };
const sessionId = sessions.seal({ backendId: 'b', owner, createdMs: 1_000_000, elicitationUrl: false }, 'github');
const tickets = createTickets(sealer('ticket'), clock);
const ticket = tickets.issue({ issuer: owner.issuer, subject: 'alice', provider: 'github' });
const states = createStates(sealer('connect-state'), { once: async () => true }, clock);
const browser = new Browser(Buffer.alloc(32, 2));
const begun = states.begin({ kind: 'connect', provider: 'github', user: owner }, browser);
const plan = sealPlan(sealer('plan'), { backend: 'github' } as Plan, 'r1');
const nonces = createProofNonces(sealer('dpop-nonce'), clock);
const cookies = createConnectCookies(keys, true, ['login'], clock);
const named = (cookie: string) => cookie.slice(0, cookie.indexOf(';'));
const browserCookie = named(cookies.forBrowser(browser));
const personCookie = named(cookies.forPerson({ issuer: 'i', subject: 'alice', label: 'a' }, browser) ?? '');
const SEALED = [sessionId, ticket, begun.state, plan, browserCookie.split('=')[1] ?? ''];

const request = (headers: Record<string, unknown>) => ({ headers }) as unknown as IncomingMessage;

const directory = new ResourceDirectory();
const RESOURCES = [
  'https://mcp.example.com/github/mcp',
  'https://mcp.example.com/a/',
  'https://other.example.com/a/?x=1',
];
for (const resource of RESOURCES)
  directory.add(resource, {
    issuers: ['https://idp.example.com'],
    scopes: ['a'],
    dpopAlgorithms: [],
    dpopRequired: false,
  });
const metadataPaths = RESOURCES.map((one) => new URL(resourceMetadataUrl(one))).map((url) => url.pathname + url.search);
const paths = connectPaths('https://mcp.example.com/gateway');

const SIGNING = {
  host: 'api.example.com',
  region: 'eu-central-1',
  service: 'execute-api',
  accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
  secretAccessKey: 's',
  sessionToken: 't',
};
const NO_BODY = Buffer.alloc(0);

/** The groups of an IPv6 address by the URL standard, which is not ours. */
const groupsOf = (address: string) => {
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  return [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
};

/** What travels through clients and comes back, and what they say of themselves in URLs and addresses. */
export const SEALED_TARGETS = [
  target(
    'sealed',
    'session ids, tickets, states, plans and nonces open only as they were sealed, each for its own purpose',
    near(SEALED),
    async (text) => {
      assert.equal(sessions.open(text, 'github') !== undefined, text === sessionId);
      assert.equal(sessions.open(text, 'other'), undefined);
      assert.equal(tickets.open(text) !== undefined, text === ticket);
      assert.equal(openPlan(sealer('plan'), text, 'r1') !== undefined, text === plan);
      assert.equal(openPlan(sealer('plan'), text, 'r2'), undefined);
      assert.equal((await states.redeem('connect', 'github', text, browser, never)).ok, text === begun.state);
      assert.equal((await states.redeem('connect', 'github', text, new Browser(), never)).ok, false);
      assert.equal(nonces.accepts(text), false);
    },
    SEALED,
  ),
  target(
    'cookies',
    'a browser and a person are known only by cookies of ours, the person only beside their browser',
    fc.array(near([browserCookie, personCookie, `${browserCookie}; ${personCookie}`, 'a=b; ;=x; c']), { maxLength: 3 }),
    (parts) => {
      const cookie = parts.join('; ');
      const visit = openVisit(request({ cookie }), cookies, new URLSearchParams(), new URLSearchParams(), never);
      const pairs = cookie.split(';').map((pair) => {
        const at = pair.indexOf('=');
        return `${pair.slice(0, Math.max(at, 0)).trim()}=${pair.slice(at + 1).trim()}`;
      });
      const has = (pair: string) => pairs.includes(pair);
      if (visit.known) assert.ok(visit.known.id === browser.id && has(browserCookie));
      if (visit.person) assert.ok(visit.person.subject === 'alice' && has(browserCookie) && has(personCookie));
    },
  ),
  target(
    'forwarded-for',
    'the peer is the last entry where that is an address, and counted by its network',
    fc.oneof(near(['10.0.0.1, 192.0.2.7', '::ffff:192.0.2.1', 'for=1;by=2']), fc.ipV4(), fc.ipV6()),
    (text) => {
      const at = openVisit(
        request({ 'x-forwarded-for': text }),
        cookies,
        new URLSearchParams(),
        new URLSearchParams(),
        never,
      );
      if (at.peer === undefined) return;
      assert.ok(isIP(at.peer) !== 0 && text.trim().endsWith(at.peer));
      assert.ok(networkOf(at.peer).length <= 40);
    },
  ),
  target(
    'network',
    'IPv6 addresses are of one network exactly when their first half is the same',
    fc.tuple(fc.ipV6(), fc.ipV6(), fc.boolean()),
    ([one, other, same]) => {
      const [left, right] = [groupsOf(one), groupsOf(other)];
      const second = same ? [...left.slice(0, 4), ...right.slice(4)] : right;
      const isMapped = (groups: string[]) => groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff';
      if (isMapped(left) || isMapped(second)) return;
      assert.equal(
        networkOf(one) === networkOf(second.join(':')),
        left.slice(0, 4).join(':') === second.slice(0, 4).join(':'),
      );
    },
  ),
  target(
    'trusted-peers',
    'an entry is an address, a block of one, or a name; never a block that was not written',
    near(['10.0.0.0/8', '::ffff:10.0.0.0/104', '2001:db8::/32', 'spiffe://corp/gateway', '10.0.0.0/33']),
    (entry) => {
      const read = readPeer(entry);
      if (read?.kind !== 'block') return;
      assert.ok(isIP(read.address) === (read.family === 'ipv4' ? 4 : 6));
      assert.ok(Number.isInteger(read.bits) && read.bits >= 0 && read.bits <= (read.family === 'ipv4' ? 32 : 128));
      assert.ok(isIP(entry.split('/')[0] ?? '') !== 0);
    },
  ),
  target(
    'metadata-url',
    'a document is found only under the URL of its own resource',
    fc.tuple(near([...metadataPaths, '/.well-known/oauth-protected-resource']), anyText),
    ([path, host]) => {
      const found = directory.find(path, host);
      if (found) assert.equal(path, metadataPaths[RESOURCES.indexOf(found.resource)]);
    },
    metadataPaths.map((path): [string, string] => [path, 'mcp.example.com']),
  ),
  target(
    'resource-url',
    'the metadata URL of a resource is at its origin, with its path behind the well-known one',
    fc.oneof(fc.webUrl({ withQueryParameters: true }), near(RESOURCES)),
    (resource) => {
      if (!URL.canParse(resource) || !/^https?:/i.test(resource)) return;
      const url = new URL(resourceMetadataUrl(resource));
      assert.equal(url.origin, new URL(resource).origin);
      assert.ok(url.pathname.startsWith('/.well-known/oauth-protected-resource'));
      assert.equal(url.search, new URL(resource).search);
    },
  ),
  target(
    'connect-path',
    'a place is found only below our own base, with a provider that is one plain name',
    near(['/gateway/connect/github?ticket=a', '/gateway/connect/callback/github', '/gateway/connect/-/sign-in']),
    (path) => {
      for (const method of ['GET', 'POST']) {
        const found = paths.find(path, method);
        if (found === undefined || found === 'unknown') continue;
        assert.ok(path.startsWith('/gateway/connect'));
        if ('provider' in found) assert.match(found.provider, /^[A-Za-z0-9][\w.-]*$/);
      }
    },
  ),
  target(
    'signed-path',
    'a path that is signed has one reading: what goes out decodes to what came in, and reads as itself',
    fc.oneof(
      near(['/a/b?x=1&y=%20&z', '/%7Ea/..%2f?q=a+b', '/\u00e9?\u00e9=1']),
      anyText.map((text) => `/${text}`),
      fc.nat(6_000).map((count) => `/a?${Array.from({ length: count }, (_, i) => `p${i}=1`).join('&')}`),
    ),
    async (text) => {
      const path = Buffer.from(text).toString('latin1');
      const read = readTarget(path);
      if (!read) return;
      const signed = await signRequest(SIGNING, { method: 'POST', target: read, contentType: undefined }, NO_BODY, 0);
      assert.ok(signed.every(([, value]) => typeof value === 'string' && value !== ''));
      assert.match(read.wire, /^\/[\x21-\x7e]*$/);
      assert.equal(JSON.stringify(readTarget(read.wire)), JSON.stringify(read));
      assert.ok(!read.path.split('/').some((segment) => segment === '..' || segment === '.'));
    },
  ),
];
