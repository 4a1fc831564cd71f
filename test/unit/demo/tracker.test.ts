import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ScriptedBrowser } from '../../../demo/scripted-browser.ts';
import { startTracker } from '../../../demo/tracker.ts';
import type { Running } from '../../../demo/web-server.ts';

const redirectUri = 'http://127.0.0.1:10000/connect/callback/tracker';
let tracker: Running;

before(async () => {
  tracker = await startTracker({ port: 0, client: { id: 'mcp-identity', secret: 's/e=cret', redirectUri } });
});
after(() => tracker.stop());

interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly expires_in: number;
  readonly scope: string;
}

function post(path: string, fields: Record<string, string>): Promise<Response> {
  const authorization = `Basic ${btoa(`mcp-identity:${encodeURIComponent('s/e=cret')}`)}`;
  return fetch(tracker.url + path, {
    method: 'POST',
    headers: { authorization },
    body: new URLSearchParams(fields),
  });
}

async function tokensOf(response: Response): Promise<Tokens> {
  const answer: unknown = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer as Tokens;
}

/** What the service does when `account` connects. */
async function connect(account: string): Promise<Tokens> {
  const verifier = randomBytes(32).toString('base64url');
  const url = new URL('/auth', tracker.url);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: 'mcp-identity',
    redirect_uri: redirectUri,
    scope: 'issues:read',
    state: 's',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString();
  const browser = new ScriptedBrowser(redirectUri);
  const { searchParams } = (await browser.press(await browser.open(url), account)).url;
  assert.equal(searchParams.get('iss'), tracker.url);
  const code = searchParams.get('code') ?? '';
  return tokensOf(
    await post('/token', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    }),
  );
}

const refresh = (token: string) => post('/token', { grant_type: 'refresh_token', refresh_token: token });

async function mcp(method: string, accessToken?: string): Promise<{ status: number; text: string }> {
  const params = method === 'tools/call' ? { name: 'whoami', arguments: {} } : {};
  const response = await fetch(`${tracker.url}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-06-18',
      ...(accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  return { status: response.status, text: await response.text() };
}

test('a connected account gets tokens that live for 20 s; tools take them, and lists take none', async (context) => {
  const { access_token: token, expires_in: seconds, scope } = await connect('wonderland');
  assert.deepEqual([seconds, scope], [20, 'issues:read']);
  const called = await mcp('tools/call', token);
  assert.equal(called.status, 200);
  assert.match(called.text, /tracker account: wonderland\\ntoken of the tracker: [01] s old, good for (20|19) s more/);
  assert.equal(called.text.includes(token), false, 'masked');

  assert.equal((await mcp('tools/list')).status, 200);
  assert.equal((await mcp('tools/call')).status, 401);
  assert.equal((await mcp('tools/call', 'made-up')).status, 401);
  context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 21_000 });
  assert.equal((await mcp('tools/call', token)).status, 401, 'over');
});

test('refresh tokens rotate, and one that comes twice ends everything of its grant', async () => {
  const first = await connect('builder');
  const second = await tokensOf(await refresh(first.refresh_token));
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await mcp('tools/call', second.access_token)).status, 200);

  assert.equal((await refresh(first.refresh_token)).status, 400);
  assert.equal((await mcp('tools/call', second.access_token)).status, 401);
  assert.equal((await refresh(second.refresh_token)).status, 400);
});

test('a revoked refresh token takes the access token with it', async () => {
  const tokens = await connect('wonderland');
  assert.equal((await post('/token/revocation', { token: tokens.refresh_token })).status, 200);
  assert.equal((await mcp('tools/call', tokens.access_token)).status, 401);
});

test('a button that is not there is an error that says what the page says', async () => {
  const browser = new ScriptedBrowser();
  const page = await browser.open(new URL('/auth?client_id=nobody', tracker.url));
  await assert.rejects(browser.press(page, 'wonderland'), /there is no button "wonderland" at .*\/auth: 400 .*client/);
});
