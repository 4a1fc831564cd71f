import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const ROOT = join(import.meta.dirname, '../..');

/** What docker-compose.yml gives the service to stop, in seconds, which is at least what app.ts takes. */
export function longestStopSeconds(): number {
  const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true });
  const given = Number.parseInt(compose.services.identity.stop_grace_period, 10);
  const app = readFileSync(join(ROOT, 'src/app.ts'), 'utf8');
  const limits = [...app.matchAll(/^const (?:DRAIN|LINGER)_LIMIT_MS = ([\d_]+);/gm)];
  if (limits.length !== 2) throw new Error('app.ts no longer says how long it drains');
  const taken = limits.reduce((sum, [, ms = '']) => sum + Number(ms.replaceAll('_', '')), 0) / 1_000;
  if (taken > given) throw new Error(`stopping takes ${taken} s, and docker-compose.yml gives ${given}`);
  return given;
}
