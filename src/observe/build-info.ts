import { readFileSync } from 'node:fs';
import type { Metrics } from '../core/ports.ts';

/** From the package.json beside `src/`, or beside what `npm run build` makes of it. */
export function versionOfPackage(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

/** Which version runs, so that a change in any other metric can be laid beside a change of this one. */
export function registerBuildInfo(metrics: Metrics): void {
  const labels = { version: versionOfPackage(), node: process.versions.node };
  metrics.gauge('mcp_identity_build_info', 'Always 1; the labels tell what runs', () => 1, labels);
}
