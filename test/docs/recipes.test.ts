// Recipe pages: `check` finds nothing in what they show, Envoy takes it, and what they name exists.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { authorizationUrl } from '../../src/upstream/authorization-url.ts';
import { Child } from '../support/child.ts';
import { checkPage, configOf, envoyOf, readRecipePage } from '../support/recipe-page.ts';
import { envoyBinary } from '../support/stack.ts';

const RECIPES = join(import.meta.dirname, '../../docs/recipes');
const inFolder = (folder: string) => readdirSync(join(RECIPES, folder)).map((name) => `${folder}/${name}`);
const upstreams = inFolder('upstreams');
const pages = [
  'aws.md',
  'token-exchange.md',
  'ways-in.md',
  ...inFolder('identity-providers'),
  ...upstreams,
  ...inFolder('../migration'),
];

/** Warnings that a page speaks of. */
const EXPECTED: Record<string, readonly string[]> = {
  'identity-providers/okta.md': ['V-27'],
};

test('there are pages', () => assert.ok(pages.length >= 13, pages.join()));

describe('check', () => {
  for (const name of pages) {
    test(name, async () => {
      const page = readRecipePage(name);
      assert.ok(page.policies.length > 0, 'a route');
      const { problems, routeCount } = await checkPage(page);
      assert.equal(routeCount, page.policies.length);
      assert.deepEqual(
        problems.map(({ code }) => code),
        EXPECTED[name] ?? [],
        problems.map(({ path, message }) => `${path.join('.')} ${message}`).join('\n'),
      );
      assert.ok(problems.every(({ severity }) => severity === 'warning'));
    });
  }
});

test('Envoy takes the routes of every page', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'recipe-pages-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of pages) {
    const file = join(folder, 'envoy.json');
    writeFileSync(file, JSON.stringify(envoyOf(readRecipePage(name))));
    const envoy = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', file]);
    assert.equal(await envoy.exited, 0, `${name}: ${envoy.stderr}`);
  }
});

/** Parameters without which an authorization request would not give what the page says. */
const ASKED: Record<string, Record<string, string>> = {
  github: { scope: '' },
  google: { access_type: 'offline', prompt: 'consent' },
  slack: { scope: 'channels:history search:read chat:write', team: 'T0123456789', user_scope: '' },
  slack_app: { scope: '', user_scope: 'channels:history,search:read' },
  atlassian: { audience: 'api.atlassian.com', scope: 'read:jira-work read:jira-user offline_access' },
  graph: {
    scope: 'offline_access https://graph.microsoft.com/Mail.Read https://graph.microsoft.com/Calendars.Read',
  },
  graph_any_tenant: { scope: 'offline_access https://graph.microsoft.com/Mail.Read' },
};

test('where upstream providers send people', async () => {
  const told = new Set<string>();
  for (const name of upstreams) {
    const { upstreamProviders } = await configOf(readRecipePage(name));
    for (const [provider, config] of Object.entries(upstreamProviders)) {
      told.add(provider);
      const redirectUri = `https://mcp.example.com/connect/callback/${provider}`;
      const input = { redirectUri, state: 's', codeVerifier: 'v'.repeat(43) };
      const place = config.authorizationEndpoint ?? `${config.issuer}/authorize`;
      const url = new URL(authorizationUrl(place, config, input));
      assert.equal(url.protocol, 'https:');
      const asked = { ...ASKED[provider], client_id: config.clientId, redirect_uri: redirectUri };
      for (const [parameter, value] of Object.entries(asked))
        assert.equal(url.searchParams.get(parameter) ?? '', value, `${provider}: ${parameter}`);
    }
  }
  assert.deepEqual([...told].sort(), Object.keys(ASKED).sort());
});
