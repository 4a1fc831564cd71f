import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRecord } from '../../../src/core/ports.ts';
import { createSealer } from '../../../src/core/seal.ts';
import { sealGrant } from '../../../src/upstream/vault/grant-record.ts';
import type { Store } from '../../../src/upstream/vault/store.ts';
import { VaultError } from '../../../src/upstream/vault/vault-error.ts';
import { type Loaded, WebBrowser } from '../../support/web-browser.ts';
import { chooseUser, signIn, type Site, startSite } from './connect-site.ts';

const isCallback = (url: string) => url.includes('/connect/callback/');
const isSignInCallback = (url: string) => url.includes('/connect/login/callback');

async function atProvider(site: Site, browser: WebBrowser): Promise<string> {
  const page = await browser.press(await signIn(site, browser, 'alice'), 'Connect', '/connect/github');
  const answer = await browser.follow(page, isCallback);
  return new URL(answer.headers.location ?? '', answer.url).href;
}

function refused(site: Site, answer: Loaded, status: number, heading: string, reason: string, detail?: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.heading, heading);
  assert.match(answer.body, /href="\/connect"/, 'there is a way on');
  const { event, reason: word, detail: more, status: told } = site.audit.at(-1) as AuditRecord;
  assert.deepEqual([`${event} ${word}`, more, told], [reason, detail, status]);
}

/** A store that stops answering on demand. */
function breakable() {
  const broken = new Set<keyof Store>();
  const wrap = (store: Store): Store =>
    new Proxy(store, {
      get(target, name: keyof Store) {
        if (!broken.has(name)) return target[name].bind(target);
        return async () => {
          throw new VaultError('unavailable', 'the store is away');
        };
      },
    });
  return { broken, wrap };
}

test('the person says no at the provider, or the provider does', async (t) => {
  const site = await startSite(t);
  for (const [error, reason, detail, status] of [
    ['access_denied', 'declined', 'access_denied', 403],
    ['<script>alert(1)</script>', 'declined', 'access_denied', 403],
    ['server_error', 'party_unavailable', 'server_error', 503],
  ] as const) {
    const browser = new WebBrowser();
    const url = new URL(await atProvider(site, browser));
    url.searchParams.delete('code');
    url.searchParams.set('error', error);
    url.searchParams.set('error_description', '<b>bad</b>');
    const answer = await browser.get(url.href);
    const heading = status === 403 ? 'You did not give access' : 'github cannot be reached';
    refused(site, answer, status, heading, `connect ${reason}`, detail);
    assert.doesNotMatch(answer.body, /<script>|<b>bad|alert\(/);
  }
  assert.equal(site.github.tokenRequests().length, 0);
});

test('a provider that cannot be reached before it is asked', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const page = await signIn(site, browser, 'alice');
  await site.github.stop();
  const answer = await browser.press(page, 'Connect', '/connect/github');
  refused(site, answer, 503, 'github cannot be reached', 'connect party_unavailable', 'network');
});

test('a provider that fails at the exchange', async (t) => {
  const site = await startSite(t);
  const cases = [
    [{ status: 503 }, 503, 'github cannot be reached', 'party_unavailable', 'server_error'],
    [{ status: 429 }, 503, 'github cannot be reached', 'party_unavailable', 'rate_limited'],
    ['hang-up', 503, 'github cannot be reached', 'party_unavailable', 'network'],
    ['garbage', 502, 'github did not do its part', 'party_failed', 'malformed'],
    [{ status: 401, error: 'invalid_client' }, 502, 'github did not do its part', 'party_failed', 'invalid_client'],
    [
      { status: 400, error: 'invalid_grant' },
      400,
      'github no longer accepts this answer',
      'code_rejected',
      'invalid_grant',
    ],
  ] as const;
  for (const [trouble, status, heading, reason, detail] of cases) {
    const browser = new WebBrowser();
    const callback = await atProvider(site, browser);
    site.github.trouble = trouble;
    refused(site, await browser.get(callback), status, heading, `connect ${reason}`, detail);
    site.github.trouble = undefined;
  }
  assert.equal(await site.vault.read(site.key('alice')), undefined);
});

test('a login issuer that cannot be reached, or that does not do its part', async (t) => {
  const away = await startSite(t, { login: { issuer: 'http://127.0.0.1:9' } });
  const browser = new WebBrowser();
  const answer = await browser.press(await browser.get(`${away.url}/connect`), 'Sign in');
  refused(away, answer, 503, '127.0.0.1:9 cannot be reached', 'sign_in party_unavailable', 'network');

  const wrong = await startSite(t, { login: { clientSecret: 'another' } });
  const login = await browser.follow(await browser.press(await browser.get(`${wrong.url}/connect`), 'Sign in'));
  const { host } = new URL(wrong.login.url);
  refused(
    wrong,
    await chooseUser(browser, login, 'alice'),
    502,
    `${host} did not do its part`,
    'sign_in party_failed',
    'client_rejected',
  );
  assert.match((await browser.get(`${wrong.url}/connect`)).text, /Sign in at/);
});

test('the person does not sign in', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const login = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Sign in'));
  const answer = await chooseUser(browser, login, 'alice', isSignInCallback);
  const url = new URL(answer.headers.location ?? '', answer.url);
  url.searchParams.delete('code');
  url.searchParams.set('error', 'access_denied');
  refused(site, await browser.get(url.href), 403, 'You did not give access', 'sign_in declined', 'access_denied');
});

test('an identity that the login issuer does not name', async (t) => {
  const site = await startSite(t, { login: { subjectClaim: 'oid' } });
  const browser = new WebBrowser();
  const login = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Sign in'));
  const answer = await chooseUser(browser, login, 'alice');
  const { host } = new URL(site.login.url);
  refused(site, answer, 502, `${host} did not do its part`, 'sign_in party_failed', 'malformed');
});

test('the vault is away: nothing is claimed, nothing is lost', async (t) => {
  const { broken, wrap } = breakable();
  const site = await startSite(t, { store: wrap });
  const browser = new WebBrowser();
  const callback = await atProvider(site, browser);
  const heading = 'Your accounts cannot be looked up right now';

  broken.add('hold');
  refused(site, await browser.get(callback), 503, heading, 'connect vault_unavailable', 'unavailable');
  assert.equal(site.github.tokenRequests().length, 0, 'the code is not used before the state is');
  broken.clear();
  broken.add('put');
  refused(site, await browser.get(callback), 503, heading, 'connect vault_unavailable', 'unavailable');
  assert.deepEqual(site.changed, [site.key('alice')], 'it may have been stored');
  broken.clear();

  broken.add('read');
  const page = await browser.get(`${site.url}/connect`);
  assert.deepEqual([page.status, page.heading], [503, heading]);
  broken.clear();

  await site.vault.create(site.key('alice'), site.github.issue('alice', { scopes: ['repo', 'read:user'] }));
  const full = await browser.get(`${site.url}/connect`);
  broken.add('delete');
  refused(site, await browser.press(full, 'Disconnect'), 503, heading, 'disconnect vault_unavailable', 'unavailable');
  broken.clear();
  assert.equal((await browser.press(full, 'Disconnect')).heading, 'github is disconnected');
});

test('a record that does not open is shown as such, and can be disconnected or replaced', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await signIn(site, browser, 'alice');
  const foreign = createSealer([{ id: 'lost', key: Buffer.alloc(32, 7) }], 'vault');
  const lost = () => site.store.put(sealGrant(foreign, site.key('alice'), 5, site.github.issue('alice')));
  await lost();
  const page = await browser.get(`${site.url}/connect`);
  assert.match(page.text, /github cannot be read/);
  const gone = await browser.press(page, 'Disconnect');
  assert.match(gone.text, /github could not be told/);
  assert.equal(site.audit.at(-1)?.['detail'], 'revocation_unreadable');
  assert.equal(await site.vault.read(site.key('alice')), undefined);

  await lost();
  const again = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Connect again'));
  assert.equal(again.heading, 'github is connected');
});

test('a bug is a page, a log line and an audit line, without details for the person', async (t) => {
  const site = await startSite(t, {
    store: (store) => ({
      ...store,
      read: () => {
        throw new TypeError('internal detail');
      },
      delete: () => {
        throw new TypeError('internal detail');
      },
    }),
  });
  const browser = new WebBrowser();
  const login = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Sign in'));
  const page = await chooseUser(browser, login, 'alice');
  assert.deepEqual([page.status, page.heading], [500, 'Something went wrong here']);
  assert.doesNotMatch(page.body, /internal detail|TypeError/);
  assert.ok(site.tools.lines.some(({ message }) => message === 'a connect page failed'));
});

test('no token, code, state or secret gets into the audit, the log or a page', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await atProvider(site, browser);
  const done = await browser.follow(await browser.get(callback));
  const grant = await site.vault.read(site.key('alice'));
  const accounts = await browser.get(`${site.url}/connect`);
  const gone = await browser.press(accounts, 'Disconnect');
  await browser.get(callback);
  const params = new URL(callback).searchParams;
  const written = [
    JSON.stringify(site.audit),
    JSON.stringify(site.tools.lines),
    ...[done, accounts, gone].map(({ body }) => body),
  ].join('\n');
  const secrets = [
    grant?.accessToken.reveal(),
    grant?.refreshToken?.reveal(),
    params.get('code'),
    params.get('state'),
    browser.cookie('mcp-connect-session'),
    browser.cookie('mcp-connect-browser'),
    's3cret',
    'pages-secret',
  ];
  for (const secret of secrets) {
    assert.ok(secret);
    assert.equal(written.includes(secret), false);
  }
});
