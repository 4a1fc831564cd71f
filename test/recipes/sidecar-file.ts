import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { check } from '../../src/cli/check.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A recipe's configuration, with the secrets in place that an operator would mount. */
export interface SidecarFile {
  readonly file: string;
  readonly certificates: Certificates;
}

/**
 * Copies `source` into `folder`, with new keys for `/keys` and certificates for `/tls`.
 * @param edit what the test changes in the text, such as ports
 */
export function sidecarFile(
  folder: string,
  source: string,
  edit: (text: string) => string = (text) => text,
): SidecarFile {
  const [keys, tls] = [join(folder, 'keys'), join(folder, 'tls')];
  for (const made of [keys, tls]) mkdirSync(made, { recursive: true });
  for (const key of ['vault', 'session']) writeFileSync(join(keys, key), randomBytes(32).toString('base64'));
  const certificates = makeCertificates(tls);
  copyFileSync(certificates.server.cert, join(tls, 'tls.crt'));
  copyFileSync(certificates.server.key, join(tls, 'tls.key'));
  copyFileSync(certificates.ca, join(tls, 'ca.crt'));
  const text = readFileSync(join(ROOT, source), 'utf8').replaceAll('/keys/', `${keys}/`).replaceAll('/tls/', `${tls}/`);
  const file = join(folder, 'sidecar.yaml');
  writeFileSync(file, edit(text));
  return { file, certificates };
}

/** What `check` prints, and the code it ends with. */
export async function checkFiles(sidecar: string, envoy?: string): Promise<{ code: number; printed: string }> {
  let printed = '';
  const output = { write: (more: string) => (printed += more) };
  const args = ['--config', sidecar, ...(envoy === undefined ? [] : ['--envoy', envoy])];
  const code = await check(args, { stdout: output, stderr: output, env: {}, cwd: ROOT });
  return { code, printed };
}
