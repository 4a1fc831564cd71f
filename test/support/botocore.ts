import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder, putInPlace } from '../../scripts/lib/cache.mjs';
import type { Seen } from './backend.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL('botocore-requirements.txt', import.meta.url));
const VERIFIER = fileURLToPath(new URL('sigv4_verifier.py', import.meta.url));
const VERSION = '1.44.5';
const INSTALL_LIMIT_MS = 120_000;
const VERDICT_LIMIT_MS = 10_000;

/** Where botocore is, or why there is none: Python's own, else a pinned one that is fetched once into the cache folder. */
export type Botocore = { readonly python: string; readonly path: string | undefined } | { readonly missing: string };

export async function findBotocore(env: NodeJS.ProcessEnv = process.env): Promise<Botocore> {
  const python = env['PYTHON'] ?? 'python3';
  try {
    await run(python, ['-c', `import botocore; assert botocore.__version__ == '${VERSION}'`]);
    return { python, path: undefined };
  } catch {
    // not there, or another version
  }
  const path = join(cacheFolder(ROOT, env) as string, `botocore-${VERSION}`);
  if (existsSync(path)) return { python, path };
  try {
    await putInPlace(path, async (folder: string) => {
      const made = join(folder, 'botocore');
      const install = ['-m', 'pip', 'install', '--quiet', '--require-hashes', '--only-binary', ':all:'];
      await run(python, [...install, '--target', made, '-r', REQUIREMENTS], { timeout: INSTALL_LIMIT_MS });
      return made;
    });
    return { python, path };
  } catch (error) {
    return { missing: `no botocore ${VERSION}: ${(error as Error).message.trim().split('\n').at(-1) ?? 'unknown'}` };
  }
}

export interface Expected {
  readonly host: string;
  readonly region: string;
  readonly service: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** A Python process that judges signatures as AWS does. */
export interface Verifier {
  /** @returns undefined when the signature is good, else why not */
  fault(seen: Seen, expected: Expected): Promise<string | undefined>;
  stop(): void;
}

export function startVerifier(botocore: Extract<Botocore, { python: string }>): Verifier {
  const env = { ...process.env, ...(botocore.path === undefined ? {} : { PYTHONPATH: botocore.path }) };
  const child = spawn(botocore.python, [VERIFIER], { stdio: ['pipe', 'pipe', 'inherit'], env });
  const waiting: ((verdict: string | null) => void)[] = [];
  createInterface(child.stdout).on('line', (line) =>
    waiting.shift()?.((JSON.parse(line) as { fault: string | null }).fault),
  );
  child.once('exit', (code) => {
    for (const tell of waiting.splice(0)) tell(`the verifier ended with ${code}`);
  });
  return {
    fault: async (seen, expected) => {
      const headers: [string, string][] = [];
      for (let i = 0; i < seen.rawHeaders.length; i += 2) {
        headers.push([seen.rawHeaders[i] as string, seen.rawHeaders[i + 1] as string]);
      }
      const verdict = new Promise<string | null>((resolve) => {
        waiting.push(resolve);
        setTimeout(() => resolve('no verdict in time'), VERDICT_LIMIT_MS).unref();
      });
      const { host, region, service, accessKeyId: access_key, secretAccessKey: secret_key } = expected;
      const request = {
        host,
        region,
        service,
        access_key,
        secret_key,
        session_token: expected.sessionToken,
        method: seen.method,
        target: seen.url,
        headers,
        body: seen.body.toString('base64'),
      };
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return (await verdict) ?? undefined;
    },
    stop: () => void child.stdin.end(),
  };
}
