// The checks of `npm run typecheck` and `npm run lint`, so that `npm test` is the one thing to run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { missingPlatformPackages } from '../scripts/lib/platform-packages.mjs';

const ROOT = join(import.meta.dirname, '..');

function readJson(name: string) {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8'));
}

for (const script of ['typecheck', 'lint']) {
  // Tools are called directly: npm would put its own lines around what they say.
  for (const command of readJson('package.json').scripts[script].split(' && ')) {
    test(command, async (t) => {
      const [tool, ...args] = command.split(' ');
      const program = join(ROOT, 'node_modules', '.bin', tool);
      const env = { ...process.env, NO_COLOR: '1' };
      const child = spawn(process.execPath, [program, ...args], { cwd: ROOT, env, signal: t.signal });
      const [stdout, stderr, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ]);
      assert.equal(code, 0, `${command}:\n${stdout}${stderr}`);
    });
  }
}

test('package-lock.json holds the packages of every platform, so that npm ci works on each', () => {
  const missing = missingPlatformPackages(readJson('package-lock.json').packages).map(
    ({ path }: { path: string }) => path,
  );
  assert.deepEqual(missing, [], 'run: node scripts/complete-lock.mjs');
});
