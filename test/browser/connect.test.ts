import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { chromiumBinary, startChromium } from '../support/chromium.ts';
import { type Site, startSite } from '../unit/http/connect-site.ts';

const binary = chromiumBinary();
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true } as const;

describe(binary
  ? 'the connect pages in Chromium'
  : 'the connect pages in Chromium (skipped: no CHROMIUM_BIN, and none on the PATH)', {
  skip: !binary,
  timeout: 120_000,
}, () => {
  let browser: Browser;
  before(async () => {
    browser = await startChromium(binary as string);
  });
  after(() => browser?.close());

  /** A person's browser. What a page complains about on its console is in `complaints`. */
  const person = async (t: TestContext, options: BrowserContextOptions = {}) => {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(10_000);
    t.after(() => context.close());
    const complaints: string[] = [];
    context.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    return { context, page: await context.newPage(), complaints };
  };
  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
  const signIn = async (site: Site, page: Page, user: string) => {
    await page.goto(`${site.url}/connect`);
    await button(page, 'Sign in').click();
    await page.locator(`button[value=${user}]`).click();
    await page.waitForURL(`${site.url}/connect`);
  };

  it('from the link to "go back to your client", with two clicks of our own', async (t) => {
    const site = await startSite(t);
    const { page, complaints, context } = await person(t);
    await page.goto(site.link('alice'));
    await shot(page, 'link');
    await button(page, 'Sign in and connect').click();
    await page.locator('button[value=alice]').click();
    await page.waitForURL(`${site.url}/connect/-/done/github`);
    assert.equal(await page.locator('h1').innerText(), 'github is connected');
    await shot(page, 'done');
    assert.ok(await site.vault.read(site.key('alice')));
    await page.reload();
    assert.equal(await page.locator('h1').innerText(), 'github is connected');
    assert.deepEqual(complaints, [], 'nothing was blocked');

    const cookies = (await context.cookies(site.url)).filter(({ name }) => name.startsWith('mcp-connect'));
    assert.equal(cookies.length, 2);
    for (const cookie of cookies) assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Lax']);
    assert.equal(await page.evaluate('document.cookie.includes("mcp-connect")'), false);
  });

  it('back from the provider leads to our page, not into a circle', async (t) => {
    const site = await startSite(t);
    const { page } = await person(t);
    await page.goto(site.link('alice'));
    await button(page, 'Sign in and connect').click();
    await page.locator('button[value=alice]').waitFor();
    await page.goBack();
    assert.equal(await page.locator('h1').innerText(), 'Connect your github account');
  });

  it('the accounts page: connect, disconnect, sign out', async (t) => {
    const site = await startSite(t);
    const { page, complaints } = await person(t);
    await signIn(site, page, 'alice');
    await button(page, 'Connect github').click();
    await page.waitForURL('**/done/github');
    await page.getByRole('link', { name: 'Your accounts' }).click();
    const github = page.locator('section', { has: page.getByRole('heading', { name: 'github' }) });
    assert.match(await github.innerText(), /connected\s+Connected since/);
    await shot(page, 'accounts');
    await button(page, 'Disconnect github').click();
    assert.equal(await page.locator('h1').innerText(), 'github is disconnected');
    await shot(page, 'disconnected');
    assert.equal(await site.vault.read(site.key('alice')), undefined);
    await page.getByRole('link', { name: 'Your accounts' }).click();
    await button(page, 'Sign out').click();
    assert.match(await page.locator('main').innerText(), /You are signed out here/);
    await shot(page, 'signed-out');
    assert.deepEqual(complaints, []);
  });

  it('two tabs: both links work, whichever is finished first', async (t) => {
    const site = await startSite(t);
    const { page, context } = await person(t);
    const other = await context.newPage();
    await Promise.all([page.goto(site.link('alice', 'github')), other.goto(site.link('alice', 'jira'))]);
    for (const [tab, provider] of [
      [other, 'jira'],
      [page, 'github'],
    ] as const) {
      await tab.getByRole('button').click();
      // One of the two cookies has won; the other page asks once more.
      const again = button(tab, 'Go on');
      const choose = tab.locator('button[value=alice]');
      const done = tab.getByRole('heading', { name: `${provider} is connected` });
      await again.or(choose).or(done).waitFor();
      if (await again.isVisible()) await again.click();
      await choose.or(done).waitFor();
      if (await choose.isVisible()) await choose.click();
      await done.waitFor();
    }
  });

  it('another person is refused, and can become the right one', async (t) => {
    const site = await startSite(t);
    const { page, complaints } = await person(t);
    await signIn(site, page, 'bob');
    await page.goto(site.link('alice'));
    assert.equal(await page.locator('h1').innerText(), 'This link was made for somebody else');
    await shot(page, 'other-user');
    await button(page, 'Sign in as somebody else').click();
    await page.locator('button[value=alice]').click();
    await page.waitForURL('**/done/github');
    assert.ok(await site.vault.read(site.key('alice')));
    // A refusal is a 403, which Chromium puts on the console.
    assert.deepEqual(
      complaints.filter((text) => !text.includes('403')),
      [],
    );
  });

  it('a form and a frame on another site reach nothing', async (t) => {
    const site = await startSite(t);
    const { page, complaints } = await person(t);
    await signIn(site, page, 'alice');
    await site.vault.create(site.key('alice'), site.github.issue('alice'));
    const evil = await startEvil(
      t,
      `<form method="post" action="${site.url}/connect/github/disconnect"><input name="token" value="x"><button>win</button></form>
        <iframe src="${site.url}/connect"></iframe>`,
    );
    await page.goto(evil);
    await button(page, 'win').click();
    assert.equal(await page.locator('h1').innerText(), 'This did not come from our page');
    assert.ok(
      complaints.some((text) => /frame/i.test(text)),
      complaints.join('\n'),
    );
    assert.ok(await site.vault.read(site.key('alice')));
    await page.goto(`${site.url}/connect`);
    assert.match(await page.locator('main').innerText(), /Signed in as alice/, 'the cookies are as they were');
  });

  it('with the keyboard alone', async (t) => {
    const site = await startSite(t);
    const { page } = await person(t);
    await page.goto(site.link('alice'));
    await page.keyboard.press('Tab');
    const focused = page.locator(':focus-visible');
    assert.equal(await focused.innerText(), 'Sign in and connect');
    assert.equal(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'solid');
    await page.keyboard.press('Enter');
    await page.locator('button[value=alice]').waitFor();
  });

  for (const [name, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { colorScheme: 'light', ...PHONE }],
    ['dark phone', { colorScheme: 'dark', ...PHONE }],
  ] as const) {
    it(`every page can be read: ${name}`, async (t) => {
      const long = Array.from({ length: 12 }, (_, i) => `https://api.example.com/scopes/of.a.very.long.name/${i}`);
      const site = await startSite(t, { github: { scopes: long } });
      const { page } = await person(t, options);
      const readable = async (path: string) => {
        if (path !== '') await page.goto(path);
        assert.equal(await page.locator('html').getAttribute('lang'), 'en');
        assert.equal(await page.locator('h1').count(), 1);
        assert.deepEqual(await page.evaluate(OVERFLOWING), [], `wider than the window: ${page.url()}`);
        assert.deepEqual(await page.evaluate(PALE_TEXTS), [], `too little contrast: ${page.url()}`);
        await shot(page, `${name.replace(' ', '-')}-${new URL(page.url()).pathname.replaceAll('/', '_')}`);
      };
      await readable(site.link('alice'));
      await readable(`${site.url}/connect/github?ticket=x`);
      await readable(`${site.url}/connect`);
      await signIn(site, page, 'alice');
      await site.vault.create(site.key('alice'), {
        ...site.github.issue('alice', { scopes: long }),
        requestedScopes: long,
        refreshedAtMs: Date.now(),
      });
      await site.vault.create(site.key('alice', 'real'), site.github.issue('alice'));
      await readable(`${site.url}/connect`);
      await readable(`${site.url}/connect/-/done/github`);
    });
  }
});

/** A page of somebody else: `localhost` is another site than `127.0.0.1`. */
async function startEvil(t: TestContext, body: string): Promise<string> {
  const server = createServer((_request, response) => {
    response
      .writeHead(200, { 'content-type': 'text/html' })
      .end(`<!doctype html><html lang="en"><body>${body}</body></html>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}

/** For people who want to look: pictures of all pages in the folder that SCREENSHOTS names. */
async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env['SCREENSHOTS'];
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** Runs in the page: what stands out of the window. */
const OVERFLOWING = `
  [...document.querySelectorAll('body *')]
    .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .map((node) => node.outerHTML.slice(0, 100))`;

/** Runs in the page: text with less contrast than 4.5:1 (WCAG 2.2, 1.4.3). */
const PALE_TEXTS = `(() => {
  const numbers = (colour) => (colour.match(/[0-9.]+/g) ?? []).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (node) => {
    for (; node; node = node.parentElement) {
      const { backgroundColor } = getComputedStyle(node);
      if ((numbers(backgroundColor)[3] ?? 1) === 1) return backgroundColor;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('body *')].flatMap((node) => {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
    if (!own) return [];
    const [one, other] = [luminance(getComputedStyle(node).color), luminance(backgroundOf(node))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return contrast >= 4.5 ? [] : [contrast.toFixed(2) + ' ' + node.outerHTML.slice(0, 80)];
  });
})()`;
