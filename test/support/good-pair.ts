import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Dialect, parseSource } from '../../src/core/source-document.ts';

const GOOD = join(import.meta.dirname, '../config/good');

/** Values of the environment variables that test/config/good/full.sidecar.yaml names. */
export const GOOD_ENV: Readonly<Record<string, string>> = {
  OPAQUE_SECRET: 'opaque-secret',
  GITHUB_SECRET: 'github-secret',
  HR_SECRET: 'hr-secret',
  LOGIN_SECRET: 'login-secret',
  JIRA_KEY: 'jira-key-value',
  API_KEY: 'api-key-value',
  AES_KEY: Buffer.alloc(32, 7).toString('base64'),
  HMAC_SECRET: 'hmac-secret-of-at-least-32-bytes!',
  ES256_KEY: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string,
};

/** A plain value out of a configuration, to be changed at will. */
export type Loose = any;

function readGood(name: string, dialect: Dialect): Loose {
  const file = join(GOOD, name);
  const read = parseSource(file, readFileSync(file, 'utf8'), dialect);
  if (!read.ok) throw new Error(`${file} cannot be read`);
  return JSON.parse(JSON.stringify(read.document.value));
}

/** Fresh copies of the pair that holds one of everything and has no problems. */
export function goodPair(): { sidecar: Loose; envoy: Loose } {
  return { sidecar: readGood('full.sidecar.yaml', 'own'), envoy: readGood('full.envoy.yaml', 'envoy') };
}
