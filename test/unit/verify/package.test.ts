import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { installPackage, TSC } from '../../support/assertion-verifiers.ts';

const folder = mkdtempSync(join(tmpdir(), 'emi-package-'));
after(() => rmSync(folder, { recursive: true }));

const USE = `import { AssertionRefused, createVerifier, type RefusalCode } from 'envoy-mcp-identity/verify';
const { verify } = createVerifier({ issuer: 'x', backend: 'y', jwksUri: 'https://x.example.com/' });
export const late: RefusalCode = 'expired';
export const refused = (error: unknown): boolean => error instanceof AssertionRefused && error.code === late;
const { iat } = await verify('', { method: 'GET' });
export const issued: number = iat;
export const wrong: string = iat;
`;

test('who installs the package gets the verifier with its types, and nothing of the service', async () => {
  await installPackage(folder);
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(join(folder, 'use.ts'), USE);
  const options = ['--module', 'nodenext', '--target', 'es2022', '--strict', '--noEmit', '--types', ''];
  const found = await new Promise<string>((resolve) => {
    execFile(process.execPath, [TSC, ...options, 'use.ts'], { cwd: folder }, (_error, stdout) => resolve(stdout));
  });
  assert.deepEqual(
    found.trim().split('\n'),
    ["use.ts(7,14): error TS2322: Type 'number' is not assignable to type 'string'."],
    'the mistake that stands there on purpose',
  );
  for (const [path, code] of [
    ['envoy-mcp-identity', 'ERR_PACKAGE_PATH_NOT_EXPORTED'],
    ['envoy-mcp-identity/dist/app.js', 'ERR_PACKAGE_PATH_NOT_EXPORTED'],
  ] as const) {
    writeFileSync(join(folder, 'use.mjs'), `await import('${path}').catch((error) => console.log(error.code));`);
    const said = await new Promise<string>((resolve) => {
      execFile(process.execPath, ['use.mjs'], { cwd: folder }, (_error, stdout) => resolve(stdout.trim()));
    });
    assert.equal(said, code);
  }
});
