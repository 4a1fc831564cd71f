import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebBrowser } from '../../support/web-browser.ts';
import { chooseUser, startSite } from './connect-site.ts';

test('too many callbacks, or one without an answer in it: refused, and the state stays good', async (t) => {
  const site = await startSite(t);
  const browser = new WebBrowser();
  const login = await browser.follow(await browser.press(await browser.get(`${site.url}/connect`), 'Sign in'));
  const left = await chooseUser(browser, login, 'alice', (url) => url.includes('/connect/login/callback'));
  const callback = new URL(left.headers.location ?? '', left.url);

  const empty = new URL(callback);
  empty.searchParams.delete('code');
  assert.equal((await browser.get(empty.href)).status, 400);
  assert.equal(site.reasons().at(-1), 'sign_in callback_invalid');

  const madeUp = `${site.url}/connect/login/callback?code=x&state=x`;
  for (let i = 0; i < 30; i++) assert.equal((await browser.get(madeUp)).status, 400);
  const refused = await browser.get(callback.href);
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '2'], refused.text);
  assert.equal(site.reasons().at(-1), 'sign_in callbacks_throttled');

  site.tools.time.nowMs += 2_000;
  assert.equal((await browser.get(callback.href)).status, 303);
  assert.equal(site.reasons().at(-1), 'sign_in signed_in');
});

test('new cookies do not help: the last address in x-forwarded-for counts, those before it do not', async (t) => {
  const site = await startSite(t);
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) {
    const browser = new WebBrowser();
    await browser.get(`${site.url}/connect`);
    const headers = { 'x-forwarded-for': `192.0.2.${i}, 198.51.100.7` };
    for (let n = 0; n < 30; n++)
      statuses.push((await browser.get(`${site.url}/connect/login/callback?code=x&state=x`, headers)).status);
  }
  assert.deepEqual([statuses.indexOf(503), statuses.filter((status) => status === 503).length], [120, 30]);
});

test('behind a load balancer people are told apart by the address that Envoy names, not by the balancer’s', async (t) => {
  const site = await startSite(t);
  const flood = async (headers: (i: number) => Record<string, string>) => {
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      const browser = new WebBrowser();
      await browser.get(`${site.url}/connect`);
      for (let n = 0; n < 30; n++)
        statuses.push((await browser.get(`${site.url}/connect/login/callback?code=x&state=x`, headers(i))).status);
    }
    return statuses.filter((status) => status === 503).length;
  };
  const balancer = { 'x-forwarded-for': '198.51.100.7, 10.0.0.1' };
  assert.equal(await flood((i) => ({ ...balancer, 'x-envoy-external-address': `192.0.2.${i}` })), 0);
  assert.equal(await flood(() => ({ ...balancer, 'x-envoy-external-address': '192.0.2.77' })), 30);
  const inside = (i: number) => ({ 'x-envoy-internal': 'true', 'x-envoy-external-address': `192.0.2.${100 + i}` });
  assert.equal(await flood((i) => ({ ...inside(i), 'x-forwarded-for': '10.0.0.9' })), 30, 'its own word');
});
