import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebBrowser } from '../../support/web-browser.ts';
import { chooseUser, signIn, startSite } from './connect-site.ts';

test('from the link to the grant: sign in, connect, go back', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();

  const page = await browser.get(site.link('alice'));
  assert.equal(page.status, 200);
  assert.equal(page.heading, 'Connect your github account');
  assert.match(page.text, /repo read:user/);
  const login = await browser.follow(await browser.press(page, 'Sign in and connect'));
  assert.equal(login.heading, 'Demo sign-in');
  assert.equal(await site.vault.read(site.key('alice')), undefined);
  const done = await chooseUser(browser, login, 'alice');

  assert.equal(done.status, 200);
  assert.equal(done.heading, 'github is connected');
  assert.match(done.text, /go back to your MCP client/);
  assert.equal(done.url, `${site.url}/connect/-/done/github`, 'no code and no state in the address bar');
  const grant = await site.vault.read(site.key('alice'));
  assert.deepEqual(grant?.scopes, ['repo', 'read:user']);
  assert.equal(site.github.userOf(grant?.accessToken.reveal() ?? ''), 'alice');
  assert.deepEqual(site.changed, [site.key('alice')]);
  assert.deepEqual(site.reasons(), ['sign_in signed_in', 'connect connected']);
  const { time, ...line } = site.audit[1] ?? { time: '' };
  assert.ok(Date.parse(time) > 0);
  assert.deepEqual(line, {
    event: 'connect',
    outcome: 'allow',
    reason: 'connected',
    status: 303,
    request_id: null,
    trace_id: null,
    issuer: site.login.url,
    subject: 'alice',
    provider: 'github',
  });
  const [exchange] = site.github.tokenRequests();
  assert.match(exchange?.params.get('code_verifier') ?? '', /^[\w-]{43}$/);
});

test('the provider gets PKCE, and its own redirect URI', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const connecting = await browser.press(await signIn(site, browser, 'alice'), 'Connect', '/connect/github');
  await browser.follow(connecting);
  const asked = site.github.requests.find(({ path }) => path === '/authorize')?.params;
  assert.equal(asked?.get('code_challenge_method'), 'S256');
  assert.equal(asked?.get('redirect_uri'), `${site.url}/connect/callback/github`);
  assert.equal(asked?.get('scope'), 'repo read:user');
  assert.equal(asked?.get('response_type'), 'code');
});

test('a whole OpenID provider as the account: PKCE is checked there', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const page = await browser.press(await signIn(site, browser, 'alice'), 'Connect', '/connect/real');
  const consent = await browser.follow(page);
  const done = consent.heading === 'Demo sign-in' ? await chooseUser(browser, consent, 'alice') : consent;
  assert.equal(done.heading, 'real is connected');
  const grant = await site.vault.read(site.key('alice', 'real'));
  assert.ok(grant?.refreshToken);
});

test('the accounts page: connect, see, disconnect', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const empty = await signIn(site, browser, 'alice');
  assert.equal(empty.url, `${site.url}/connect`);
  assert.match(empty.text, /Signed in as alice/);
  assert.match(empty.text, /github not connected .* jira not connected .* real not connected/);

  await browser.follow(await browser.press(empty, 'Connect', '/connect/github'));
  const full = await browser.get(`${site.url}/connect`);
  assert.match(
    full.text,
    /github connected Connected since .* UTC Last refreshed not yet Permissions repo , read:user/,
  );
  assert.match(full.text, /jira not connected/);
  const form = full.forms.filter(({ button }) => button === 'Disconnect');
  assert.deepEqual(
    form.map(({ action }) => action),
    ['/connect/github/disconnect'],
  );

  const grant = await site.vault.read(site.key('alice'));
  site.changed.length = 0;
  const gone = await browser.press(full, 'Disconnect');
  assert.equal(gone.status, 200);
  assert.equal(gone.heading, 'github is disconnected');
  assert.match(gone.text, /github has been told/);
  assert.equal(await site.vault.read(site.key('alice')), undefined);
  assert.deepEqual(site.github.revoked, [grant?.refreshToken?.reveal(), grant?.accessToken.reveal()]);
  assert.deepEqual(site.changed, [site.key('alice')]);
  assert.equal(site.reasons().at(-1), 'disconnect disconnected');
  assert.equal(site.audit.at(-1)?.['detail'], 'revocation_revoked');

  const again = await browser.press(full, 'Disconnect');
  assert.match(again.text, /It was not connected/);
  assert.equal(site.reasons().at(-1), 'disconnect not_connected');
});

test('a provider that does not revoke keeps nothing alive, and the page says so', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await browser.follow(await browser.press(await signIn(site, browser, 'alice'), 'Connect', '/connect/github'));
  const full = await browser.get(`${site.url}/connect`);
  await site.github.stop();
  const gone = await browser.press(full, 'Disconnect');
  assert.equal(gone.status, 200);
  assert.match(gone.text, /github could not be told.*remove it in your settings there/);
  assert.equal(await site.vault.read(site.key('alice')), undefined);
  assert.equal(site.audit.at(-1)?.['detail'], 'revocation_network');
});

test('two people have accounts of their own', async (t) => {
  const site = await startSite(t);
  const [hers, his] = [new WebBrowser(), new WebBrowser()];
  await hers.follow(await hers.press(await signIn(site, hers, 'alice'), 'Connect', '/connect/github'));
  assert.match((await signIn(site, his, 'bob')).text, /github not connected/);
  assert.match((await hers.get(`${site.url}/connect`)).text, /github connected/);
});

test('connecting again replaces the grant; what has changed or ended is said', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await signIn(site, browser, 'alice');
  const key = site.key('alice');
  await site.vault.create(key, { ...site.github.issue('alice', { scopes: ['repo'] }), requestedScopes: ['repo'] });
  assert.match((await browser.get(`${site.url}/connect`)).text, /github connect again More is asked for now/);

  const { refreshToken: _, ...rest } = site.github.issue('alice', { scopes: ['repo', 'read:user'] });
  await site.vault.create(key, { ...rest, expiresAtMs: site.tools.time.nowMs - 1 });
  const ended = await browser.get(`${site.url}/connect`);
  assert.match(ended.text, /github connect again The access has ended/);
  await browser.follow(await browser.press(ended, 'Connect again'));
  assert.match((await browser.get(`${site.url}/connect`)).text, /github connected Connected since/);
});

test('times are shown as the vault has them', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await signIn(site, browser, 'alice');
  await site.vault.create(site.key('alice'), {
    ...site.github.issue('alice'),
    requestedScopes: ['repo', 'read:user'],
    connectedAtMs: Date.UTC(2026, 0, 2, 3, 4),
    refreshedAtMs: Date.UTC(2026, 1, 3, 4, 5),
  });
  const { body } = await browser.get(`${site.url}/connect`);
  assert.match(body, /<time datetime="2026-01-02T03:04:00.000Z">2 Jan 2026, 03:04 UTC<\/time>/);
  assert.match(body, /<time datetime="2026-02-03T04:05:00.000Z">3 Feb 2026, 04:05 UTC<\/time>/);
});

test('a sign-in ends after an hour, or when the person says so', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const page = await signIn(site, browser, 'alice');
  site.tools.time.nowMs += 59 * 60_000;
  assert.match((await browser.get(`${site.url}/connect`)).text, /Signed in as alice/);
  site.tools.time.nowMs += 2 * 60_000;
  assert.match((await browser.get(`${site.url}/connect`)).text, /Sign in at/);
  const late = await browser.press(page, 'Connect', '/connect/github');
  assert.equal(late.status, 403);
  assert.equal(late.heading, 'You are not signed in any more');

  const other = new WebBrowser();
  const out = await other.press(await signIn(site, other, 'alice'), 'Sign out');
  assert.match(out.text, /You are signed out here/);
  assert.match((await other.get(`${site.url}/connect`)).text, /Sign in at/);
  assert.equal(site.reasons().at(-1), 'sign_out signed_out');
});

test('several tabs: each flow ends on its own', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const [first, second] = [
    await browser.get(site.link('alice', 'github')),
    await browser.get(site.link('alice', 'jira')),
  ];
  const firstLogin = await browser.follow(await browser.press(first, 'Sign in and connect'));
  const secondLogin = await browser.follow(await browser.press(second, 'Sign in and connect'));
  const [secondDone, firstDone] = [
    await chooseUser(browser, secondLogin, 'alice'),
    await chooseUser(browser, firstLogin, 'alice'),
  ];
  assert.equal(secondDone.heading, 'jira is connected');
  assert.equal(firstDone.heading, 'github is connected');
});

test('two links opened at the same moment in a new browser both work', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  // Both requests leave before the first cookie is there.
  const [first, second] = await Promise.all([
    browser.get(site.link('alice', 'github')),
    browser.get(site.link('alice', 'jira')),
  ]);
  const outcomes = [];
  for (const page of [first, second]) {
    const pressed = await browser.press(page, 'Sign in and connect');
    outcomes.push(pressed.status);
    const next = pressed.status === 200 ? pressed : await browser.press(pressed, 'Go on');
    const login = await browser.follow(next);
    const done = login.heading === 'Demo sign-in' ? await chooseUser(browser, login, 'alice') : login;
    assert.match(done.heading, /is connected/);
  }
  assert.deepEqual(new Set(outcomes), new Set([200, 403]));
});
