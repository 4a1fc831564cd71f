import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { html, styleElement, textOf } from '../../../src/http/connect-html.ts';
import { ConnectLayout } from '../../../src/http/connect-layout.ts';
import { ConnectPages } from '../../../src/http/connect-pages.ts';
import { connectPaths } from '../../../src/http/connect-paths.ts';
import { CONNECT_REFUSALS, type ConnectReason } from '../../../src/http/connect-refusals.ts';
import { send } from '../../support/http.ts';
import { WebBrowser } from '../../support/web-browser.ts';
import { chooseUser, signIn, startSite } from './connect-site.ts';

test('every answer has the headers that keep it to itself', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const answers = [
    await browser.get(`${site.url}/connect`),
    await browser.get(site.link('alice')),
    await browser.get(`${site.url}/connect/github?ticket=x`),
    await browser.get(`${site.url}/connect/nothing`),
    await browser.post(`${site.url}/connect/github`, {}, { 'sec-fetch-site': 'cross-site' }),
    await browser.press(await browser.get(site.link('alice')), 'Sign in and connect'),
    await browser.get(`${site.url}/connect/github`),
  ];
  for (const { headers, body, status } of answers) {
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    if (status === 303) continue;
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(headers['x-frame-options'], 'DENY');
    const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(body) ?? [];
    const hash = createHash('sha256').update(style, 'utf8').digest('base64');
    assert.equal(
      headers['content-security-policy'],
      `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    );
    assert.doesNotMatch(body, / style=|<script| on\w+=|src=/);
    assert.match(body, /^<!doctype html>\n<html lang="en">/);
    assert.match(body, /<h1>/);
  }
});

test('behind https cookies are __Host- and Secure', async (t) => {
  const site = await startSite(t, { publicUrl: 'https://mcp.example.com' });
  const { headers } = await new WebBrowser().get(`${site.url}/connect`);
  assert.match(
    String(headers['set-cookie']),
    /^__Host-mcp-connect-browser=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
  );
});

test('on loopback cookies are plain; the session lasts an hour', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const login = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Sign in'));
  const answer = await chooseUser(browser, login, 'alice', (url) => url.includes('/connect/login/callback'));
  const { headers } = await browser.get(new URL(answer.headers.location ?? '').href);
  const set = headers['set-cookie'] as unknown as string[];
  assert.equal(set.length, 1, 'the browser is known already');
  assert.match(set[0] ?? '', /^mcp-connect-session=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=3600$/);
});

test('a path in publicUrl stands before all of ours', () => {
  const paths = connectPaths('https://mcp.example.com/a/b');
  assert.equal(paths.accounts, '/a/b/connect');
  assert.equal(paths.signInCallback, 'https://mcp.example.com/a/b/connect/login/callback');
  assert.equal(paths.callback('github'), 'https://mcp.example.com/a/b/connect/callback/github');
  assert.deepEqual(paths.find('/a/b/connect/github', 'GET'), { kind: 'link', provider: 'github' });
  assert.equal(paths.find('/connect', 'GET'), undefined);
  assert.equal(paths.find('/a/b/connected', 'GET'), undefined);
});

test('a provider may be called whatever the configuration allows', () => {
  const paths = connectPaths('https://mcp.example.com');
  const at = (path: string, method = 'GET') => paths.find(`/connect${path}`, method);
  assert.deepEqual(at('/login/callback'), { kind: 'sign_in_callback' });
  assert.deepEqual(at('/callback/login'), { kind: 'callback', provider: 'login' });
  assert.deepEqual(at('/callback/disconnect'), { kind: 'callback', provider: 'disconnect' });
  assert.deepEqual(at('/callback/disconnect', 'POST'), { kind: 'disconnect', provider: 'callback' });
  assert.deepEqual(at('/login'), { kind: 'link', provider: 'login' });
  assert.deepEqual(at('/-/done/done'), { kind: 'done', provider: 'done' });
  assert.deepEqual(at('/-/sign-in', 'POST'), { kind: 'sign_in' });
  assert.deepEqual(at(''), { kind: 'accounts' });
  assert.deepEqual(at('/'), { kind: 'accounts' });
  for (const path of [
    '/-',
    '/-/',
    '/github/',
    '/a/b/c',
    '/%67ithub',
    '/..',
    '/-/done/',
    '/__proto__',
    '/constructor/x',
  ])
    assert.equal(at(path), 'unknown', path);
  assert.deepEqual(at('/constructor'), { kind: 'link', provider: 'constructor' });
});

test('methods, pages and providers that do not exist', async (t) => {
  const site = await startSite(t);
  const status = async (method: string, path: string) => {
    const { status: code, headers } = await send(`${site.url}${path}`, { method });
    return `${code} ${headers['allow'] ?? ''}`.trim();
  };
  assert.equal(await status('GET', '/connect/-/sign-in'), '405 POST');
  assert.equal(await status('DELETE', '/connect/github'), '405 GET, POST');
  assert.equal(await status('OPTIONS', '/connect'), '405 GET');
  assert.equal(await status('HEAD', '/connect/-/sign-out'), '405 POST');
  assert.equal(await status('GET', '/connect/unknown'), '404');
  assert.equal(await status('GET', '/connect/constructor'), '404');
  assert.equal(await status('GET', '/connect/a/b/c'), '404');
  assert.equal(await status('GET', '/elsewhere'), '404');
  assert.deepEqual(site.audit, []);
});

test('forms are small and of one type', async (t) => {
  const site = await startSite(t);
  const post = async (headers: string[], body: string) => {
    const { status } = await send(`${site.url}/connect/github`, { method: 'POST', headers, body });
    return [status, site.reasons().at(-1)];
  };
  const type = ['Content-Type', 'application/x-www-form-urlencoded'];
  const large = `ticket=${'x'.repeat(8 * 1024)}`;
  assert.deepEqual(await post(type, large), [413, 'connect form_too_large']);
  assert.deepEqual(await post([...type, 'Transfer-Encoding', 'chunked'], large), [413, 'connect form_too_large']);
  for (const other of ['text/plain', 'multipart/form-data; boundary=x', 'application/json'])
    assert.deepEqual(await post(['Content-Type', other], 'ticket=x'), [415, 'connect form_type']);
  assert.deepEqual(await post([], 'ticket=x'), [415, 'connect form_type']);
  assert.deepEqual(await post(['Content-Type', `${type[1]}; charset=UTF-8`], 'ticket=x'), [
    400,
    'connect ticket_invalid',
  ]);
});

test('what comes from outside is text on every page', async (t) => {
  const site = await startSite(t, { github: { scopes: ["<img/src='x'>"] } });
  const browser = new WebBrowser();
  const link = await browser.get(site.link('alice'));
  assert.match(link.body, /<code>&lt;img\/src=&#39;x&#39;&gt;<\/code>/);
  await signIn(site, browser, 'alice');
  await site.vault.create(site.key('alice', 'jira'), site.jira.issue('alice', { scopes: ['"><script>'] }));
  const { body } = await browser.get(`${site.url}/connect?x=<script>`);
  assert.match(body, /<code>&quot;&gt;&lt;script&gt;<\/code>/);
  assert.doesNotMatch(body, /<script/);
});

test('the template escapes every kind of hole', () => {
  const inner = html`<b>${'<&>"\''}</b>`;
  assert.equal(
    textOf(html`${inner}${['<', inner]}${3}${undefined}`),
    '<b>&lt;&amp;&gt;&quot;&#39;</b>&lt;<b>&lt;&amp;&gt;&quot;&#39;</b>3',
  );
  assert.throws(() => styleElement('</style><script>'), /must not hold markup/);
});

test('every refusal says what happened, and names the other site where it is about it', () => {
  const pages = new ConnectPages(connectPaths('https://mcp.example.com'));
  const layout = new ConnectLayout('mcp.example.com');
  for (const reason of Object.keys(CONNECT_REFUSALS) as ConnectReason[]) {
    const text = layout.write(pages.refused(reason, 'git$&hub'));
    assert.doesNotMatch(text, /PARTY/);
    assert.match(text, /role="alert"/);
    if (reason === 'party_unavailable') assert.match(text, /<h1>git\$&amp;hub cannot be reached<\/h1>/);
  }
});

test('the done page says so only when it is true', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const done = `${site.url}/connect/-/done/github`;
  assert.equal((await browser.get(done)).headers.location, '/connect');
  await signIn(site, browser, 'alice');
  assert.equal((await browser.get(done)).headers.location, '/connect');
  await site.vault.create(site.key('alice'), {
    ...site.github.issue('alice'),
    requestedScopes: ['repo', 'read:user'],
  });
  assert.equal((await browser.get(done)).heading, 'github is connected');
});
