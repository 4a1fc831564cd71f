// Does what docs/tutorial.md says, in its order: writes its files, starts what it starts, and runs its commands, whose
// output must be what stands there. Ports are free ones.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startBackingServices } from '../../demo/backing-services.ts';
import { choosePorts } from '../../demo/ports.ts';
import { Child } from '../support/child.ts';
import { freePorts } from '../support/ports.ts';
import { envoyBinary } from '../support/stack.ts';
import { fences } from './fences.ts';

const ROOT = join(import.meta.dirname, '../..');
const USED = ['10000', '9901', '9191', '9192', '9193', '9400', '9401', '9402'];

test('docs/tutorial.md can be followed', { timeout: 60_000 }, async (t) => {
  if ((await new Child('curl', 'sh', ['-c', 'command -v curl']).exited) !== 0) return t.skip('the tutorial needs curl');
  const ports = new Map((await freePorts(USED.length)).map((port, i) => [USED[i] ?? '', port]));
  const moved = (text: string) =>
    text.replace(/(127\.0\.0\.1:|port_value: )(\d+)/g, (whole, before: string, port: string) =>
      ports.has(port) ? `${before}${ports.get(port)}` : whole,
    );
  const { folder, env } = workplace(t);
  let steps = 0;
  for (const { info, text } of fences(readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8'))) {
    const [kind, what = ''] = info;
    if (what.startsWith('file='))
      writeFileSync(join(folder, what.slice('file='.length)), ownListener(moved(text), ports));
    else if (what === 'background') await start(t, text.trim(), folder, env, ports);
    else if (kind === 'console') steps += await follow(moved(text), folder, env);
  }
  assert.ok(steps >= 8, `${steps} commands`);
});

/** A folder in which `envoy` and `envoy-mcp-identity` are commands. */
function workplace(t: TestContext): { folder: string; env: NodeJS.ProcessEnv } {
  const folder = mkdtempSync(join(tmpdir(), 'tutorial-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const commands = {
    'envoy-mcp-identity': `exec '${process.execPath}' '${join(ROOT, 'src/main.ts')}' "$@"`,
    envoy: `exec '${envoyBinary()}' --use-dynamic-base-id "$@"`,
  };
  for (const [name, line] of Object.entries(commands)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${line}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return { folder, env: { PATH: `${bin}:${process.env['PATH']}`, NO_COLOR: '1' } };
}

/** The tutorial leaves the service's listeners at their defaults, which may be taken here. */
function ownListener(text: string, ports: ReadonlyMap<string, number>): string {
  if (!text.startsWith('publicUrl')) return text;
  const at = (port: string) => `'127.0.0.1:${ports.get(port)}'`;
  return `${text}server: { grpc: ${at('9191')}, http: ${at('9192')}, admin: ${at('9193')} }\n`;
}

async function start(
  t: TestContext,
  command: string,
  folder: string,
  env: NodeJS.ProcessEnv,
  ports: ReadonlyMap<string, number>,
): Promise<void> {
  if (command === 'node demo/backing.ts') {
    const at = (port: string) => ports.get(port) ?? 0;
    const own = { identityProvider: at('9400'), legacy: at('9401'), modern: at('9402') };
    const services = await startBackingServices({ ...choosePorts(undefined), ...own }, '127.0.0.1', () => {});
    t.after(() => services.stop());
    return;
  }
  // `exec`: the signal that ends it must reach the program itself.
  const child = new Child(command, 'sh', ['-c', `cd '${folder}' && exec ${command}`], env);
  t.after(() => child.stop());
  const port = ports.get(command.startsWith('envoy ') ? '9901' : '9193');
  const path = command.startsWith('envoy ') ? '/ready' : '/readyz';
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(1_000) }).catch(
      () => {},
    );
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    assert.ok(Date.now() < deadline && child.process.exitCode === null, `${command}: ${child.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Runs the lines that begin with `$`; what stands below each is its output. */
async function follow(text: string, folder: string, env: NodeJS.ProcessEnv): Promise<number> {
  const parts = text.split(/^\$ /m).slice(1);
  for (const part of parts) {
    const [command = '', ...expected] = part.trimEnd().split('\n');
    const wanted = expected.join('\n');
    // Audit lines are written in batches: what a reader would try again after a moment is tried again.
    const deadline = Date.now() + 5_000;
    let child: Child;
    do {
      child = new Child(command, 'sh', ['-c', `cd '${folder}' && ${command}`], env);
      await child.exited;
    } while (command.startsWith('grep ') && child.stdout.trimEnd() !== wanted && Date.now() < deadline);
    assert.equal(child.stdout.trimEnd(), wanted, `${command}\n${child.stderr}`);
  }
  return parts.length;
}
