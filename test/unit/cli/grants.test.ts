import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { grants } from '../../../src/cli/grants.ts';
import { openVault } from '../../../src/upstream/vault/open.ts';
import type { GrantKey, Vault } from '../../../src/upstream/vault/vault.ts';
import { type FakeProvider, startProvider } from '../../support/provider.ts';
import { newKey, type TestKey, testTools, vaultConfig } from '../../support/vault-tools.ts';

const ISSUER = 'https://idp.example.com';
const keyOf = (subject: string, provider = 'github'): GrantKey => ({ issuer: ISSUER, subject, provider });

interface World {
  readonly github: FakeProvider;
  readonly vault: Vault;
  readonly tokens: string[];
  readonly run: (...args: string[]) => Promise<{ code: number; out: string; err: string }>;
  readonly put: (subject: string, provider?: string) => Promise<void>;
}

async function world(t: TestContext, keys: { inVault?: TestKey; inConfig?: TestKey } = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'emi-grants-'));
  const github = await startProvider();
  const { inVault = newKey('k1'), inConfig = inVault } = keys;
  const store = `sqlite:${join(folder, 'vault.db')}`;
  const vault = await openVault(vaultConfig(store, [inVault]), testTools());
  const file = join(folder, 'sidecar.yaml');
  const config = {
    publicUrl: 'https://mcp.example.com',
    upstreamProviders: { github: { issuer: github.issuer, clientId: 'c', clientSecret: 'provider-secret' } },
    vault: { store, keys: [{ id: inConfig.id, key: inConfig.bytes.toString('base64') }] },
  };
  writeFileSync(file, JSON.stringify(config));
  t.after(async () => {
    await vault.close();
    await github.stop();
    rmSync(folder, { recursive: true });
  });
  const tokens: string[] = ['provider-secret', inConfig.bytes.toString('base64')];
  return {
    github,
    vault,
    tokens,
    async run(...args) {
      let [out, err] = ['', ''];
      const stdout = { write: (text: string) => (out += text) };
      const stderr = { write: (text: string) => (err += text) };
      const all = [...args, '--config', file];
      const code = await grants(all, { stdout, stderr, env: {}, cwd: folder });
      for (const token of tokens) assert.equal(`${out}${err}`.includes(token), false, 'a token was printed');
      return { code, out, err };
    },
    async put(subject, provider = 'github') {
      const content = github.issue(subject, { scopes: ['repo', 'gist'] });
      tokens.push(content.accessToken.reveal(), content.refreshToken?.reveal() ?? '');
      await vault.create(keyOf(subject, provider), { ...content, connectedAtMs: Date.UTC(2026, 0, 2) });
    },
  };
}

test('list: who has connected what, never a token', async (t) => {
  const { run, put } = await world(t);
  assert.deepEqual(await run('list'), { code: 0, out: '0 grants\n', err: '' });
  await put('alice');
  await put('bob');
  const all = await run('list');
  assert.equal(all.code, 0);
  assert.match(all.out, /^[\w-]{43} {2}github {2}alice of https:\/\/idp\.example\.com$/m);
  assert.match(all.out, /connected 2026-01-02T00:00:00\.000Z, never refreshed, expires .+Z, scopes: repo gist$/m);
  assert.match(all.out, /2 grants\n$/);

  const one = await run('list', '--issuer', ISSUER, '--subject', 'bob', '--json');
  const { record, generation, expiresAt, ...rest } = JSON.parse(one.out) as Record<string, unknown>;
  assert.match(String(record), /^[\w-]{43}$/);
  assert.equal(typeof generation, 'number');
  assert.ok(Date.parse(String(expiresAt)) > Date.now());
  assert.deepEqual(rest, {
    kind: 'grant',
    issuer: ISSUER,
    subject: 'bob',
    provider: 'github',
    scopes: ['repo', 'gist'],
    stale: false,
    refreshable: true,
    connectedAt: '2026-01-02T00:00:00.000Z',
    refreshedAt: null,
  });
  assert.equal((await run('list', '--provider', 'jira')).out, '0 grants\n');
});

test('revoke one user: told to the provider, deleted, the others stay', async (t) => {
  const { run, put, vault, github } = await world(t);
  await put('alice');
  await put('bob');
  const done = await run('revoke', '--issuer', ISSUER, '--subject', 'alice');
  assert.equal(done.code, 0);
  assert.match(done.out, /alice of https:\/\/idp\.example\.com: deleted; revoked at the provider\n1 grant\n$/);
  assert.equal(await vault.read(keyOf('alice')), undefined);
  assert.ok(await vault.read(keyOf('bob')));
  assert.equal(github.revoked.length, 2);
  const again = await run('revoke', '--issuer', ISSUER, '--subject', 'alice');
  assert.deepEqual([again.code, again.out], [1, '0 grants\n']);
});

test('revoke a provider, all of it; --local tells nobody', async (t) => {
  const { run, put, vault, github } = await world(t);
  for (const subject of ['alice', 'bob']) await put(subject);
  await put('alice', 'gone');
  const done = await run('revoke', '--provider', 'github', '--local', '--json');
  assert.equal(done.code, 0);
  const lines = done.out.trim().split('\n');
  assert.equal(lines.length, 2);
  for (const line of lines) {
    const { record: _, ...told } = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual(told, { provider: 'github', deleted: true, revocation: 'not_asked' });
  }
  assert.equal(github.revoked.length, 0);
  const rest = await run('revoke', '--provider', 'gone');
  assert.match(rest.out, /alice of .*: deleted; the provider was not told/);
  for await (const listed of vault.list()) assert.fail(listed.record);
});

test('a provider that is away does not keep a grant', async (t) => {
  const { run, put, vault, github } = await world(t);
  await put('alice');
  await github.stop();
  const done = await run('revoke', '--provider', 'github');
  assert.match(done.out, /deleted; the provider could not be told \(network\)/);
  assert.equal(done.code, 0);
  assert.equal(await vault.read(keyOf('alice')), undefined);
});

test('by record, also one that does not open', async (t) => {
  const { run, put } = await world(t, { inVault: newKey('lost'), inConfig: newKey('k2') });
  await put('alice');
  const listed = await run('list');
  assert.match(listed.out, /github {2}unknown user\n {4}cannot be opened: its key lost is not configured/);
  const filtered = await run('revoke', '--provider', 'github');
  assert.equal(filtered.code, 1);
  assert.match(filtered.err, /1 grant of unknown users cannot be opened.*--record/);

  const [record = ''] = listed.out.split(' ');
  const none = await run('revoke', '--record', record, '--record', 'nothing\u0007');
  assert.equal(none.code, 1);
  assert.match(none.out, /unknown user: deleted; the provider was not told/);
  assert.match(none.err, /there is no record nothing\\u\{7\}/);
  assert.equal((await run('list')).out, '0 grants\n');
});

test('by record: one that opens is revoked as well', async (t) => {
  const { run, put, github } = await world(t);
  await put('alice');
  await put('bob');
  const [record = ''] = (await run('list', '--issuer', ISSUER, '--subject', 'bob')).out.split(' ');
  const done = await run('revoke', '--record', record);
  assert.equal(done.code, 0);
  assert.match(done.out, /bob of .*revoked at the provider/);
  assert.equal(github.revoked.length, 2);
});

test('names of users cannot move the cursor', async (t) => {
  const { run, put } = await world(t);
  await put('al\u001b[31mice\u202e');
  const { out } = await run('list');
  assert.match(out, /al\\u\{1b\}\[31mice\\u\{202e\}/);
});

test('wrong usage, wrong files', async (t) => {
  const { run } = await world(t);
  for (const args of [
    [],
    ['show'],
    ['list', 'more'],
    ['list', '--record', 'x'],
    ['list', '--local'],
    ['list', '--subject', 'alice'],
    ['list', '--provider', ''],
    ['revoke'],
    ['revoke', '--record', 'x', '--provider', 'github'],
    ['revoke', '--subject', 'alice'],
    ['list', '--nothing'],
  ]) {
    const { code, out, err } = await run(...args);
    assert.deepEqual([code, out], [2, ''], args.join(' '));
    assert.match(err, /^grants: .+\n\nenvoy-mcp-identity grants list/);
  }
  assert.match((await run('--help')).out, /Never prints a token/);
});

test('a vault in the memory of the service cannot be seen from here', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'emi-grants-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'sidecar.yaml');
  writeFileSync(file, JSON.stringify({ publicUrl: 'https://mcp.example.com' }));
  let err = '';
  const stderr = { write: (text: string) => (err += text) };
  const code = await grants(['list', '--config', file], { stdout: stderr, stderr, env: {}, cwd: folder });
  assert.equal(code, 1);
  assert.match(err, /^grants: vault\.store is memory/);
  const broken = await grants(['list', '--config', join(folder, 'none.yaml')], {
    stdout: stderr,
    stderr,
    env: {},
    cwd: folder,
  });
  assert.equal(broken, 1);
});
