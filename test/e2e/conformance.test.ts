import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Running } from '../../demo/web-server.ts';
import { Child } from '../support/child.ts';
import { startLegacyFixture } from '../support/conformance-legacy.ts';
import { startModernFixture } from '../support/conformance-modern.ts';
import { type FakeIssuer, startIssuer } from '../support/issuer.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { startTokenProxy } from '../support/token-proxy.ts';

const RUNNER = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/dist/index.js'));
const HEADERS = ['--scenario', 'http-header-validation', '--spec-version', '2026-07-28'];

interface Run {
  /** 0: every scenario that counts has passed. */
  readonly code: number | null;
  /** Scenario → its checks, each with how it went. */
  readonly results: Readonly<Record<string, readonly string[]>>;
}

/** The official conformance suite, first at the server itself, then with everything of ours between. */
describe('MCP conformance', () => {
  let issuer: FakeIssuer;
  let stack: Stack;
  let folder: string;
  const started: Running[] = [];
  const keep = async (running: Promise<Running>): Promise<string> => {
    started.push(await running);
    return started.at(-1)!.url;
  };
  const direct: Record<string, string> = {};
  const proxied: Record<string, string> = {};

  /** @param url where the MCP endpoint is */
  const run = async (url: string, args: readonly string[]): Promise<Run> => {
    const output = mkdtempSync(join(folder, 'run-'));
    const child = new Child('conformance', process.execPath, [RUNNER, 'server', '--url', url, '-o', output, ...args]);
    const limit = setTimeout(() => child.process.kill('SIGKILL'), 50_000);
    const code = await child.exited;
    clearTimeout(limit);
    const results = readdirSync(output).map((name) => {
      const checks = JSON.parse(readFileSync(join(output, name, 'checks.json'), 'utf8')) as Check[];
      // The name ends in the time.
      return [name.replace(/-\d{4}-\d{2}-\d{2}T.*$/, ''), checks.map(({ id, status }) => `${id} ${status}`)] as const;
    });
    return { code, results: Object.fromEntries(results.toSorted(([a], [b]) => (a < b ? -1 : 1))) };
  };
  type Check = { readonly id: string; readonly status: string };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'emi-conformance-'));
    issuer = await startIssuer();
    direct['legacy'] = await keep(startLegacyFixture());
    direct['modern'] = await keep(startModernFixture());
    direct['strict'] = direct['modern'];
    direct['careless'] = await keep(startModernFixture({ ignoresHeaders: true }));
    const allowedOrigins: string[] = [];
    for (const name of Object.keys(direct)) {
      const token = async () => `Bearer ${await issuer.token({ aud: `${stack.origin}/${name}/mcp` })}`;
      proxied[name] = await keep(startTokenProxy(() => stack.origin, token));
      allowedOrigins.push(proxied[name]);
    }
    const policies: Record<string, object> = {
      legacy: { session: { bind: true } },
      modern: {},
      strict: { validateMcpHeaders: true },
      // Where `_meta` is edited, headers are compared anyway.
      careless: { validateMcpHeaders: true, identityPropagation: { mode: 'headers' } },
    };
    stack = await startStack({
      extProc: true,
      config: {
        incomingAuth: { corp: { type: 'jwt', issuer: issuer.issuer } },
        session: { keys: [{ id: 'k1', key: Buffer.alloc(32, 1).toString('base64') }] },
        allowedOrigins,
      },
      routes: (origin) =>
        Object.entries(policies).map(([name, policy]) => ({
          prefix: `/${name}/mcp`,
          port: Number(new URL(direct[name]!).port),
          policy: {
            backend: name,
            resource: `${origin}/${name}/mcp`,
            incomingAuth: ['corp'],
            outgoingAuth: { type: 'claim_injection' },
            identityPropagation: { mode: 'both' },
            ...policy,
          },
        })),
    });
  });
  after(async () => {
    await stack?.stop();
    await Promise.all(started.map((running) => running.stop()));
    await issuer?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [name, revision, scenarios] of [
    ['legacy', '2025-11-25', 30],
    ['modern', '2026-07-28', 37],
    ['strict', '2026-07-28', 37],
  ] as const) {
    it(`${revision}, ${name}: the same results with and without us, check by check`, async () => {
      const args = ['--requirements', revision];
      const alone = await run(`${direct[name]}/${name}/mcp`, args);
      assert.equal(alone.code, 0, 'what counts passes');
      assert.ok(Object.keys(alone.results).length >= scenarios);
      const before = stack.audit().length;
      const through = await run(`${proxied[name]}/${name}/mcp`, args);
      assert.deepEqual(through.results, alone.results);
      assert.equal(through.code, 0);
      const decided = stack
        .audit()
        .slice(before)
        .filter(({ event, outcome }) => event === 'decision' && outcome === 'allow');
      assert.ok(decided.length > scenarios && decided.every(({ subject }) => subject === 'alice'));
    });
  }

  it('http-header-validation passes for a server that does not look at headers', async () => {
    const [careful, alone, through] = [
      await run(`${direct['modern']}/modern/mcp`, HEADERS),
      await run(`${direct['careless']}/careless/mcp`, HEADERS),
      await run(`${proxied['careless']}/careless/mcp`, HEADERS),
    ];
    assert.notEqual(alone.code, 0, 'by itself it fails');
    assert.deepEqual(through.results, careful.results);
    assert.equal(through.code, 0);
  });
});
