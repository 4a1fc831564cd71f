import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { rpc, toolCall } from '../support/http.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type FakeProvider, startProvider } from '../support/provider.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { WebBrowser } from '../support/web-browser.ts';

/** What a sign-in at the issuer takes: its token endpoint answers after this, in milliseconds. */
const ISSUER_MS = 300;

/** Strangers at the connect pages, against people who use the service: real Envoy, SQLite vault. */
describe('a flood at the connect pages', { timeout: 60_000 }, () => {
  let issuer: FakeIssuer;
  let github: FakeProvider;
  let stack: Stack;
  const asked = createServer((incoming, response) => {
    incoming.resume();
    setTimeout(() => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    }, ISSUER_MS);
  });

  before(async () => {
    issuer = await startIssuer();
    github = await startProvider();
    await new Promise<void>((resolve) => asked.listen(0, '127.0.0.1', resolve));
    const place = `http://127.0.0.1:${(asked.address() as AddressInfo).port}`;
    issuer.metadata = { authorization_endpoint: `${place}/authorize`, token_endpoint: `${place}/token` };
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientSecret: 'x' } },
        vault: { store: 'sqlite:./vault.db', keys: [{ id: 'k1', key: randomBytes(32).toString('base64') }] },
        connect: {
          login: { issuer: issuer.issuer, clientId: 'login', clientSecret: 'x' },
          cookieKeys: [randomBytes(32).toString('base64')],
        },
      },
      routes: (origin) => [
        {
          prefix: '/gh/mcp',
          policy: {
            backend: 'gh',
            resource: `${origin}/gh/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'upstream_inject', upstreamInject: { providerName: 'github' } },
          },
        },
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    asked.close();
    asked.closeAllConnections();
    await Promise.all([github?.stop(), issuer?.stop()]);
  });

  /** A stranger's browser, and callbacks of sign-ins that it has begun: one POST each. */
  const begin = async (count: number) => {
    const browser = new WebBrowser();
    const page = await browser.get(`${stack.origin}/connect`);
    const cookie = `mcp-connect-browser=${browser.cookie('mcp-connect-browser')}`;
    const callbacks: string[] = [];
    const some = async (): Promise<void> => {
      while (callbacks.length < count) {
        const left = await browser.press(page, 'Sign in');
        const state = /[?&](?:amp;)?state=([\w-]+)/.exec(left.body)?.[1];
        assert.ok(state, left.text);
        callbacks.push(`/connect/login/callback?code=made-up&state=${state}`);
      }
    };
    await Promise.all(Array.from({ length: Math.min(16, count) }, some));
    return { cookie, callbacks };
  };
  const agent = new Agent({ keepAlive: true, maxSockets: 600 });
  const get = (path: string, cookie: string) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const url = new URL(path, stack.origin);
      const call = request(url, { agent, headers: { cookie } }, (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => (body += text));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      });
      call.on('error', reject).end();
    });

  it('neither keeps people from signing in, nor calls from the vault', async () => {
    const nobody = async (i: number) => {
      const authorization = `Bearer ${await issuer.token({ aud: `${stack.origin}/gh/mcp`, sub: `nobody-${i}` })}`;
      const { status } = await rpc(`${stack.origin}/gh/mcp`, toolCall('x'), ['Authorization', authorization]);
      return { status };
    };
    const stranger = await begin(1_500);
    const person = await begin(8);
    const state = { over: false };
    const flood = Promise.all(
      stranger.callbacks.map((path) => get(path, stranger.cookie).catch(() => undefined)),
    ).finally(() => (state.over = true));
    const calls: ReturnType<typeof nobody>[] = [];
    const signIns: ReturnType<typeof get>[] = [];
    for (let i = 0; !state.over; i++) {
      calls.push(nobody(10 + i));
      const path = person.callbacks.shift();
      if (path !== undefined) signIns.push(get(path, person.cookie));
      await delay(100);
    }
    const signIn = (await Promise.all(signIns)).map(({ status }) => status);
    const answers = await Promise.all(calls);
    await flood;
    assert.ok(answers.every(({ status }) => status !== 503));
    // The code is as made up as the others: what counts is that the issuer was asked.
    assert.ok(
      signIn.every((status) => status === 400),
      `sign-ins of people: ${signIn.join()}`,
    );
  });
});
