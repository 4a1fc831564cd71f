import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { type CheckedFiles, validateFiles } from '../../src/cli/validate-files.ts';
import type { Config } from '../../src/config/schema.ts';
import { fences } from '../docs/fences.ts';
import type { Loose } from './good-pair.ts';

const ROOT = join(import.meta.dirname, '../..');
const BASE = join(ROOT, 'scripts/docs');

/** What a page of docs/recipes/ shows: its `yaml sidecar` blocks put together, and the policies of its `yaml route` blocks. */
export interface RecipePage {
  readonly sidecar: Loose;
  readonly policies: readonly Loose[];
}

export function readRecipePage(page: string): RecipePage {
  const blocks = fences(readFileSync(join(ROOT, 'docs/recipes', page), 'utf8'));
  const of = (kind: string): Loose[] =>
    blocks.filter(({ info }) => info[0] === 'yaml' && info[1] === kind).map(({ text }) => parse(text));
  const sidecar: Loose = {};
  for (const block of of('sidecar'))
    for (const [key, value] of Object.entries<Loose>(block))
      sidecar[key] = typeof value === 'object' ? { ...sidecar[key], ...value } : value;
  return { sidecar, policies: of('route') };
}

/** Values for all that a configuration takes from the environment: any will do, as long as it is a key where it has to be; private keys are named `…_PEM`. */
function envOf(config: unknown): Record<string, string> {
  const names = [...JSON.stringify(config).matchAll(/\{"env":"(\w+)"\}/g)].map(([, name = '']) => name);
  return Object.fromEntries(
    names.map((name) => [name, name.endsWith('_PEM') ? privateKey() : Buffer.alloc(32, 9).toString('base64')]),
  );
}

function privateKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
}

/**
 * An Envoy configuration with the policies of a page, that Envoy itself takes.
 * What a page leaves out comes from the examples of docs/reference/validation.md.
 */
export function envoyOf({ policies }: RecipePage): Loose {
  const envoy: Loose = parse(readFileSync(join(BASE, 'base.envoy.yaml'), 'utf8'));
  const manager = envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  manager.route_config.virtual_hosts[0].routes = policies.map((policy) => ({
    match: { path: policy.resource === undefined ? `/${policy.backend}/mcp` : new URL(policy.resource).pathname },
    route: { cluster: 'backend', timeout: '0s' },
    metadata: { filter_metadata: { 'mcp.identity': policy } },
  }));
  const [service] = envoy.static_resources.clusters;
  envoy.static_resources.clusters.push({ ...structuredClone(service), name: 'backend' });
  return envoy;
}

/** What `check` says about a page. */
export async function checkPage(page: RecipePage): Promise<CheckedFiles> {
  const base: Loose = parse(readFileSync(join(BASE, 'base.sidecar.yaml'), 'utf8'));
  const sidecar = { ...base, ...page.sidecar };
  const folder = mkdtempSync(join(tmpdir(), 'recipe-page-'));
  try {
    const [config, envoyFile] = [join(folder, 'sidecar.yaml'), join(folder, 'envoy.yaml')];
    writeFileSync(config, stringify(sidecar));
    writeFileSync(envoyFile, stringify(envoyOf(page)));
    return await validateFiles(config, envoyFile, envOf(sidecar));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The configuration of a page, secrets filled in. @throws when something is wrong with it */
export async function configOf(page: RecipePage): Promise<Config> {
  const { config, problems } = await checkPage(page);
  if (!config) throw new Error(problems.map(({ code, message }) => `${code} ${message}`).join('\n'));
  return config;
}
