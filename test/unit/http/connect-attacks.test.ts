import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Loaded, WebBrowser } from '../../support/web-browser.ts';
import { chooseUser, signIn, type Site, startSite } from './connect-site.ts';

const isCallback = (url: string) => url.includes('/connect/callback/');
const isSignInCallback = (url: string) => url.includes('/connect/login/callback');

/** Signs in and goes to the provider; returns the callback that the provider asks the browser to load. */
async function callbackOf(site: Site, browser: WebBrowser, user = 'alice', provider = 'github'): Promise<string> {
  const page = await browser.press(await signIn(site, browser, user), 'Connect', `/connect/${provider}`);
  return location(await browser.follow(page, isCallback));
}

/** The callback of a sign-in that has not been loaded yet. */
async function signInCallbackOf(site: Site, browser: WebBrowser, user: string): Promise<string> {
  const login = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Sign in'));
  return location(await chooseUser(browser, login, user, isSignInCallback));
}

function location(answer: Loaded): string {
  const { location: to } = answer.headers;
  assert.ok(to, `no redirect from ${answer.url}`);
  return new URL(to, answer.url).href;
}

function refused(answer: Loaded, status: number, heading: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.heading, heading);
}

/** Alice is signed in, at the issuer too; bob follows his own link in the same browser. */
async function becomeBob(site: Site, browser: WebBrowser): Promise<void> {
  const asked = await browser.press(await browser.get(site.link('bob')), 'Sign in as somebody else');
  const done = await chooseUser(browser, await browser.follow(asked), 'bob');
  assert.equal(done.heading, 'github is connected');
}

async function nothingStored(site: Site): Promise<void> {
  for await (const listed of site.vault.list()) assert.fail(`stored: ${JSON.stringify(listed)}`);
}

test('another person opens the link: signed in already, or only then', async (t) => {
  const site = await startSite(t);
  const link = site.link('alice');
  const bob = new WebBrowser();
  await signIn(site, bob, 'bob');
  const seen = await bob.get(link);
  refused(seen, 403, 'This link was made for somebody else');
  assert.doesNotMatch(seen.body, /alice/, 'the page does not say for whom');
  assert.match(seen.text, /You are signed in as bob/);
  assert.equal(site.reasons().at(-1), 'connect other_user');
  assert.equal(site.audit.at(-1)?.['subject'], 'bob');

  const later = new WebBrowser();
  const login = await later.follow(await later.press(await later.get(link), 'Sign in and connect'));
  const answer = await chooseUser(later, login, 'bob');
  refused(answer, 403, 'This link was made for somebody else');
  assert.equal(site.github.requests.filter(({ path }) => path === '/authorize').length, 0);
  await nothingStored(site);
});

test('who is signed in as somebody else can sign in as the right person', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await signIn(site, browser, 'bob');
  const asked = await browser.press(await browser.get(site.link('alice')), 'Sign in as somebody else');
  const login = await browser.follow(asked);
  assert.equal(login.heading, 'Demo sign-in', 'the issuer asks again although bob is signed in there');
  assert.equal((await chooseUser(browser, login, 'alice')).heading, 'github is connected');
  assert.ok(await site.vault.read(site.key('alice')));
  assert.equal(await site.vault.read(site.key('bob')), undefined);
});

test('tickets that are no good', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const link = site.link('alice');
  const cases: [string, number, string, string][] = [
    [`${link.slice(0, -4)}AAAA`, 400, 'This link does not work', 'connect ticket_invalid'],
    [`${link}&ticket=x`, 303, '', ''],
    [
      `${site.url}/connect/github?ticket=%00${'x'.repeat(5000)}`,
      400,
      'This link does not work',
      'connect ticket_invalid',
    ],
    [link.replace('/github?', '/jira?'), 400, 'This link does not work', 'connect ticket_other_provider'],
    [
      site.link('alice', 'github', 'https://other.example.com'),
      403,
      'You cannot connect accounts here',
      'connect other_issuer',
    ],
  ];
  for (const [url, status, heading, reason] of cases) {
    site.audit.length = 0;
    refused(await browser.get(url), status, heading);
    assert.deepEqual(site.reasons(), reason === '' ? [] : [reason]);
  }
  const page = await browser.get(link);
  site.tools.time.nowMs += 10 * 60_000 + 1;
  refused(await browser.get(link), 400, 'This link is too old');
  refused(await browser.press(page, 'Sign in and connect'), 400, 'This link is too old');
  assert.equal(site.reasons().at(-1), 'connect ticket_expired');
});

test('a ticket that ends during the sign-in connects nothing', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const page = await browser.get(site.link('alice'));
  site.tools.time.nowMs += 9 * 60_000;
  const login = await browser.follow(await browser.press(page, 'Sign in and connect'));
  site.tools.time.nowMs += 2 * 60_000;
  refused(await chooseUser(browser, login, 'alice'), 400, 'This link is too old');
  await nothingStored(site);
});

test('a replayed callback does nothing', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await callbackOf(site, browser);
  assert.equal((await browser.follow(await browser.get(callback))).heading, 'github is connected');
  const before = await site.vault.read(site.key('alice'));
  const again = await browser.get(callback);
  refused(again, 400, 'This step is already done');
  assert.equal(site.reasons().at(-1), 'connect state_used');
  assert.equal((await site.vault.read(site.key('alice')))?.generation, before?.generation);
  assert.equal(site.github.tokenRequests().length, 1);
});

test('a callback that is loaded twice at once is acted on once', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await callbackOf(site, browser);
  const both = await Promise.all([browser.get(callback), browser.get(callback)]);
  assert.deepEqual(new Set(both.map(({ status }) => status)), new Set([303, 400]));
  assert.equal(site.github.tokenRequests().length, 1);
});

test('a replayed sign-in does not sign in again', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await signInCallbackOf(site, browser, 'alice');
  assert.match((await browser.follow(await browser.get(callback))).text, /Signed in as alice/);
  await browser.press(await browser.get(`${site.url}/connect`), 'Sign out');
  const again = await browser.get(callback);
  refused(again, 400, 'This step is already done');
  assert.match((await browser.get(`${site.url}/connect`)).text, /Sign in at/);
  assert.equal(site.reasons().at(-1), 'sign_in state_used');
});

test('an expired state', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await callbackOf(site, browser);
  site.tools.time.nowMs += 5 * 60_000 + 1;
  refused(await browser.get(callback), 400, 'That took too long');
  assert.equal(site.reasons().at(-1), 'connect state_expired');
  await nothingStored(site);
});

test('a state that is missing, made up, repeated, or made for another callback', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await callbackOf(site, browser);
  const changed = (change: (params: URLSearchParams) => void) => {
    const url = new URL(callback);
    change(url.searchParams);
    return url.href;
  };
  const state = new URL(callback).searchParams.get('state') ?? '';
  const open = 'This page cannot be opened on its own';
  const elsewhere = 'This answer belongs somewhere else';
  refused(await browser.get(changed((params) => params.delete('state'))), 400, open);
  refused(await browser.get(changed((params) => params.set('state', `${state.slice(0, -2)}AA`))), 400, open);
  refused(await browser.get(changed((params) => params.append('state', state))), 400, open);
  refused(await browser.get(callback.replace('/callback/github', '/callback/jira')), 400, elsewhere);
  assert.equal(site.reasons().at(-1), 'connect state_mixed_up');
  refused(await browser.get(callback.replace('/callback/github', '/login/callback')), 400, elsewhere);
  assert.equal(site.reasons().at(-1), 'sign_in state_mixed_up');

  const signIn2 = new WebBrowser();
  const login = await signInCallbackOf(site, signIn2, 'alice');
  refused(await signIn2.get(login.replace('/login/callback', '/callback/github')), 400, elsewhere);
  await nothingStored(site);
  // None of these took the state away from the person it belongs to.
  assert.equal((await browser.follow(await browser.get(callback))).heading, 'github is connected');
});

test('login CSRF: the callback of an attacker signs nobody else in', async (t) => {
  const site = await startSite(t);
  const attacker = new WebBrowser();
  const callback = await signInCallbackOf(site, attacker, 'bob');

  const fresh = new WebBrowser();
  refused(await fresh.get(callback), 403, 'This was begun in another browser');
  const victim = new WebBrowser();
  await signIn(site, victim, 'alice');
  refused(await victim.get(callback), 403, 'This was begun in another browser');
  assert.match((await victim.get(`${site.url}/connect`)).text, /Signed in as alice/);
  assert.match((await fresh.get(`${site.url}/connect`)).text, /Sign in at/);
  assert.equal(site.reasons().filter((reason) => reason === 'sign_in other_browser').length, 2);
});

test("an attacker's account is not connected to the victim, nor the victim's to the attacker", async (t) => {
  const site = await startSite(t);
  const attacker = new WebBrowser();
  const victim = new WebBrowser();
  await signIn(site, victim, 'alice');
  refused(await victim.get(await callbackOf(site, attacker, 'bob')), 403, 'This was begun in another browser');

  // The code of one flow under the state of another is for the provider to refuse: PKCE and the client see to that.
  await nothingStored(site);
});

test('somebody else signs in before the provider answers', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const callback = await callbackOf(site, browser, 'alice');
  await browser.press(await browser.get(`${site.url}/connect`), 'Sign out');
  refused(await browser.get(callback), 403, 'You are no longer signed in as the same person');
  assert.equal(site.reasons().at(-1), 'connect user_changed');
  assert.equal(site.github.tokenRequests().length, 0);

  const second = new WebBrowser();
  const other = await callbackOf(site, second, 'alice');
  await becomeBob(site, second);
  refused(await second.get(other), 403, 'You are no longer signed in as the same person');
  assert.equal(await site.vault.read(site.key('alice')), undefined);
});

test('mixed-up issuer (RFC 9207): iss of another, or missing', async (t) => {
  const site = await startSite(t);
  for (const change of [
    (params: URLSearchParams) => params.set('iss', site.jira.issuer),
    (params: URLSearchParams) => params.delete('iss'),
    (params: URLSearchParams) => params.append('iss', site.jira.issuer),
  ]) {
    const browser = new WebBrowser();
    const url = new URL(await callbackOf(site, browser));
    change(url.searchParams);
    refused(await browser.get(url.href), 400, 'This answer belongs somewhere else');
    assert.equal(site.reasons().at(-1), 'connect callback_invalid');
  }
  assert.equal(site.github.tokenRequests().length, 0, 'the code went nowhere');

  const browser = new WebBrowser();
  const url = new URL(await signInCallbackOf(site, browser, 'alice'));
  url.searchParams.set('iss', site.github.issuer);
  refused(await browser.get(url.href), 400, 'This answer belongs somewhere else');
  assert.equal(site.reasons().at(-1), 'sign_in callback_invalid');
  await nothingStored(site);
});

test('fetched ahead of time, or looked at: nothing happens and nothing is used up', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const link = site.link('alice');
  for (let i = 0; i < 3; i++) await browser.get(link, { 'sec-purpose': 'prefetch' });
  assert.equal((await browser.head(link)).status, 200);
  assert.deepEqual(site.audit, []);

  const callback = await callbackOf(site, browser);
  for (const headers of [
    { 'sec-purpose': 'prefetch;prerender' },
    { purpose: 'prefetch' },
    { 'x-moz': 'prefetch' },
    { 'x-purpose': 'preview' },
  ] as Record<string, string>[]) {
    refused(await browser.get(callback, headers), 503, 'This page is not opened ahead of time');
  }
  assert.equal((await browser.head(callback)).status, 405);
  assert.equal((await new WebBrowser().get(callback)).status, 403, 'a mail scanner has no cookie');
  assert.equal(site.github.tokenRequests().length, 0);
  assert.equal((await browser.follow(await browser.get(callback))).heading, 'github is connected');
});

test('no page but a button begins anything: GETs reach no issuer and no provider', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  for (const path of ['/connect', '/connect/github', '/connect/-/sign-in', '/connect/-/sign-out'])
    await browser.get(`${site.url}${path}`);
  await browser.get(`${site.url}/connect/github/disconnect`);
  await browser.get(site.link('alice'));
  assert.equal(site.github.requests.length, 0);
  await nothingStored(site);
});

const EVIL = 'https://evil.example.com';

test('forms of other sites are refused, and leave no cookie', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await browser.follow(await browser.press(await signIn(site, browser, 'alice'), 'Connect', '/connect/github'));
  const page = await browser.get(`${site.url}/connect`);
  const form = page.forms.find(({ button }) => button === 'Disconnect');
  const url = `${site.url}/connect/github/disconnect`;
  const fields = { ...form?.fields };
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { origin: EVIL },
    { origin: site.url.replace('127.0.0.1', 'localhost') },
    { 'sec-fetch-site': 'same-origin', origin: EVIL },
  ] as Record<string, string>[]) {
    const answer = await browser.post(url, fields, headers);
    refused(answer, 403, 'This did not come from our page');
    assert.equal(answer.headers['set-cookie'], undefined);
    assert.equal(site.reasons().at(-1), 'disconnect cross_site');
  }
  for (const wrong of [{}, { token: '' }, { token: `${fields['token'] ?? ''}x` }, { token: 'x'.repeat(43) }]) {
    refused(await browser.post(url, wrong), 403, 'This page was out of date');
    assert.equal(site.reasons().at(-1), 'disconnect form_outdated');
  }
  assert.ok(await site.vault.read(site.key('alice')));
  assert.equal((await browser.post(url, fields, { origin: 'null' })).heading, 'github is disconnected');
});

test("a form's token is of no use to another person or browser", async (t) => {
  const site = await startSite(t);
  const [hers, his] = [new WebBrowser(), new WebBrowser()];
  const herPage = await signIn(site, hers, 'alice');
  const hisPage = await signIn(site, his, 'bob');
  const fieldsOf = (page: Loaded, action: string) => ({ ...page.forms.find((form) => form.action === action)?.fields });
  const url = `${site.url}/connect/github`;
  refused(await hers.post(url, fieldsOf(hisPage, '/connect/github')), 403, 'This page was out of date');

  // Another tab of the same browser has signed in somebody else: the old page does not act for the new person.
  await becomeBob(site, hers);
  refused(
    await hers.post(`${site.url}/connect/github/disconnect`, fieldsOf(herPage, '/connect/github')),
    403,
    'This page was out of date',
  );
  assert.ok(await site.vault.read(site.key('bob')));
});

test('signing in and out needs our own form too', async (t) => {
  const site = await startSite(t);
  const alice = new WebBrowser();
  await signIn(site, alice, 'alice');
  refused(await alice.post(`${site.url}/connect/-/sign-out`, {}), 403, 'This page was out of date');
  assert.equal(site.reasons().at(-1), 'sign_out form_outdated');
  assert.match((await alice.get(`${site.url}/connect`)).text, /Signed in as alice/);

  const browser = new WebBrowser();
  const answer = await browser.post(`${site.url}/connect/-/sign-in`, {});
  refused(answer, 403, 'This page was out of date');
  const login = await browser.follow(await browser.press(answer, 'Sign in'));
  assert.equal(login.heading, 'Demo sign-in');
});

test('cookies: those of another browser, another key or another configuration are worth nothing', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await signIn(site, browser, 'alice');
  const session = browser.cookie('mcp-connect-session') ?? '';
  const known = browser.cookie('mcp-connect-browser') ?? '';
  assert.ok(session && known);

  const thief = new WebBrowser();
  await thief.get(`${site.url}/connect`);
  thief.setCookie(site.url, 'mcp-connect-session', session);
  assert.match((await thief.get(`${site.url}/connect`)).text, /Sign in at/, 'a session without its browser');

  const forged = browser.clone();
  forged.setCookie(site.url, 'mcp-connect-session', `${session.slice(0, -4)}AAAA`);
  assert.match((await forged.get(`${site.url}/connect`)).text, /Sign in at/);
  const swapped = browser.clone();
  swapped.setCookie(site.url, 'mcp-connect-session', known);
  assert.match((await swapped.get(`${site.url}/connect`)).text, /Sign in at/, 'one cookie in place of the other');

  const elsewhere = await startSite(t);
  const stranger = new WebBrowser();
  stranger.setCookie(elsewhere.url, 'mcp-connect-session', session);
  stranger.setCookie(elsewhere.url, 'mcp-connect-browser', known);
  assert.match((await stranger.get(`${elsewhere.url}/connect`)).text, /Sign in at/);
});

test('a planted cookie of the same name does not hide ours', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  await signIn(site, browser, 'alice');
  const cookie = ['mcp-connect-session', 'mcp-connect-browser'].flatMap((name) => [
    `${name}=planted`,
    `${name}=${browser.cookie(name)}`,
  ]);
  const page = await new WebBrowser().get(`${site.url}/connect`, { cookie: cookie.join('; ') });
  assert.match(page.text, /Signed in as alice/);
});

test('open redirect: nothing that comes in says where the browser goes', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  browser.headers = {
    'x-forwarded-host': 'evil.example.com',
    'x-forwarded-proto': 'https',
    forwarded: 'host=evil.example.com',
  };
  const names = ['next', 'return_to', 'redirect_uri', 'returnTo', 'url', 'continue'];
  const query = names.map((name) => `${name}=${encodeURIComponent(EVIL)}`).join('&');
  const page = await browser.get(`${site.link('alice')}&${query}`);
  const [form] = page.forms;
  assert.equal(form?.action, '/connect/github');
  const asked = await browser.post(`${site.url}/connect/github?${query}`, {
    ...form.fields,
    ...Object.fromEntries(names.map((name) => [name, EVIL])),
  });
  const login = await browser.follow(asked);
  await chooseUser(browser, login, 'alice');
  const own = new Set([site.url, site.login.url, site.github.issuer].map((url) => new URL(url).host));
  assert.deepEqual(
    browser.visited.filter((url) => !own.has(new URL(url).host)),
    [],
  );
  const callbacks = browser.visited.flatMap((url) => new URL(url).searchParams.get('redirect_uri') ?? []);
  for (const callback of callbacks)
    assert.ok(callback === EVIL || callback.startsWith(`${site.url}/connect/`), callback);
  assert.ok(await site.vault.read(site.key('alice')));
  // An absolute-form target and a foreign Host change nothing either.
  const odd = await browser.get(`${site.url}//evil.example.com/connect`);
  assert.equal(odd.headers.location, undefined);
});
