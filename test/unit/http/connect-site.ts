import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { startIdentityProvider } from '../../../demo/identity-provider.ts';
import type { Running } from '../../../demo/web-server.ts';
import type { AuditRecord } from '../../../src/core/ports.ts';
import { createSealer, type SealKey } from '../../../src/core/seal.ts';
import { connectRoutes } from '../../../src/http/connect-routes.ts';
import { type Handler, startHttp } from '../../../src/http/server.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { createLogin } from '../../../src/upstream/login.ts';
import { createProvider, type Provider } from '../../../src/upstream/provider.ts';
import { connectSchema } from '../../../src/upstream/schema.ts';
import { Turnstile } from '../../../src/upstream/connect-turnstile.ts';
import { connectLink, createTickets } from '../../../src/upstream/ticket.ts';
import { createMemoryStore } from '../../../src/upstream/vault/memory.ts';
import { createRun } from '../../../src/upstream/vault/operations.ts';
import { createVault } from '../../../src/upstream/vault/sealed-vault.ts';
import type { Store } from '../../../src/upstream/vault/store.ts';
import type { GrantKey, Vault } from '../../../src/upstream/vault/vault.ts';
import { type FakeProvider, startProvider } from '../../support/provider.ts';
import type { Loaded, WebBrowser } from '../../support/web-browser.ts';
import { type TestTools, testTools } from '../authn/support.ts';
import { providerConfig } from '../upstream/support.ts';

/** The connect pages with a real login issuer, and providers that are scripted or real. */
export interface Site {
  readonly url: string;
  readonly login: Running;
  readonly github: FakeProvider;
  readonly jira: FakeProvider;
  readonly tools: TestTools;
  readonly vault: Vault;
  readonly store: Store;
  readonly audit: AuditRecord[];
  /** Grants whose caches were told to forget. */
  readonly changed: GrantKey[];
  readonly keys: readonly SealKey[];
  key(subject: string, provider?: string): GrantKey;
  link(subject: string, provider?: string, issuer?: string): string;
  /** The reasons in the audit, in order. */
  reasons(): string[];
}

export interface SiteOptions {
  /** Default: http on loopback, at the address it listens on. */
  readonly publicUrl?: string;
  /** Wraps the store of the vault. */
  readonly store?: (store: Store) => Store;
  readonly login?: Readonly<Record<string, unknown>>;
  readonly github?: Readonly<Record<string, unknown>>;
}

export async function startSite(t: TestContext, options: SiteOptions = {}): Promise<Site> {
  const tools = testTools(Date.now());
  // The login issuer must know our address, and we must know the issuer's.
  let handler: Handler = () => false;
  const http = await startHttp('127.0.0.1:0', [(...request) => handler(...request)], tools.log);
  t.after(() => http.close(0));
  const listening = `http://${http.address}`;
  const url = options.publicUrl ?? listening;
  const login = await startIdentityProvider({
    port: 0,
    clients: [
      {
        client_id: 'pages',
        client_secret: 'pages-secret',
        redirect_uris: [`${url}/connect/login/callback`],
        token_endpoint_auth_method: 'client_secret_basic',
        grant_types: ['authorization_code'],
      },
      {
        client_id: 'service',
        client_secret: 'service-secret',
        redirect_uris: [`${url}/connect/callback/real`],
        token_endpoint_auth_method: 'client_secret_basic',
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
  });
  const github = await startProvider();
  const jira = await startProvider();
  t.after(() => Promise.all([login.stop(), github.stop(), jira.stop()]));

  const store = (options.store ?? ((same) => same))(createMemoryStore(tools.clock));
  const vaultKey = { id: 'k1', key: randomBytes(32) };
  const vault = createVault(store, createSealer([vaultKey], 'vault'), createRun(tools.metrics, 1_000));
  const keys = [{ id: 'c1', key: randomBytes(32) }];
  const tickets = createTickets(createSealer([vaultKey], 'ticket'), tools.clock);
  const egress = createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 2_000 });
  const provider = (name: string, fields: Readonly<Record<string, unknown>>): [string, Provider] => [
    name,
    createProvider(name, providerConfig(fields), tools, egress),
  ];
  const audit: AuditRecord[] = [];
  const changed: GrantKey[] = [];
  handler = connectRoutes({
    publicUrl: url,
    login: createLogin(loginConfig({ issuer: login.url, ...options.login }), tools, egress),
    providers: new Map([
      provider('github', { issuer: github.issuer, scopes: ['repo', 'read:user'], ...options.github }),
      provider('jira', { issuer: jira.issuer }),
      provider('real', { issuer: login.url, clientId: 'service', clientSecret: 'service-secret', scopes: ['openid'] }),
    ]),
    vault,
    tickets,
    cookieKeys: keys,
    turnstile: new Turnstile(tools.clock),
    onGrantChanged: (key) => void changed.push(key),
    audit: { write: (record) => void audit.push(record) },
    tools,
  });
  const link = (subject: string, name = 'github', issuer = login.url) =>
    connectLink(listening, name, tickets.issue({ issuer, subject, provider: name }));
  const key = (subject: string, name = 'github') => ({ issuer: login.url, subject, provider: name });
  const reasons = () => audit.map(({ event, reason }) => `${event} ${reason}`);
  return { url: listening, login, github, jira, tools, vault, store, audit, changed, keys, key, link, reasons };
}

export function loginConfig(fields: Readonly<Record<string, unknown>>) {
  const { login } = connectSchema.parse({ login: { clientId: 'pages', clientSecret: 'pages-secret', ...fields } });
  const { clientSecret } = login as NonNullable<typeof login>;
  clientSecret?.read((clientSecret.source() as { literal: string }).literal);
  return login as NonNullable<typeof login>;
}

/** From the accounts page to the accounts page, signed in. */
export async function signIn(site: Site, browser: WebBrowser, user: string): Promise<Loaded> {
  const asked = await browser.press(await browser.get(`${site.url}/connect`), 'Sign in');
  return chooseUser(browser, await browser.follow(asked), user);
}

/** Picks somebody at the login issuer, then goes where that leads. */
export async function chooseUser(
  browser: WebBrowser,
  page: Loaded,
  user: string,
  stop?: (url: string) => boolean,
): Promise<Loaded> {
  return browser.follow(await browser.press(page, user), stop);
}
