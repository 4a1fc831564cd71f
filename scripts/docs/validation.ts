import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Problem } from '../../src/core/problem.ts';
import { validateFiles } from '../../src/cli/validate-files.ts';
import { CODES, type CodeEntry } from './validation-codes.ts';
import { badOf, type Example, type Snippet } from './validation-example.ts';

/** A plain value out of YAML. */
// oxlint-disable-next-line typescript/no-explicit-any -- reaches deep into an Envoy configuration
type Loose = any;

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');

/** Values of the environment variables in base.sidecar.yaml. */
const ENV = { AES_KEY: Buffer.alloc(32, 7).toString('base64'), SECRET: 'a-secret-of-at-least-32-bytes-for-hmac' };

/** What `check` finds in the base files with `snippet` in its place. */
export async function problemsOf(snippet: Snippet): Promise<readonly Problem[]> {
  const folder = mkdtempSync(join(tmpdir(), 'docs-'));
  try {
    const [config, envoy] = [join(folder, 'sidecar.yaml'), join(folder, 'envoy.yaml')];
    writeFileSync(config, withKeys(read('base.sidecar.yaml'), snippet['config file'] ?? ''));
    writeFileSync(envoy, stringify(envoyWith(snippet)));
    return (await validateFiles(config, envoy, ENV)).problems;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As text, because a mistake may be one of YAML itself: top-level keys of `snippet` replace those of `base`. */
function withKeys(base: string, snippet: string): string {
  const keys = new Set([...snippet.matchAll(/^([A-Za-z]+):/gm)].map(([, key]) => key));
  const kept = base.split(/^(?=[A-Za-z]+:)/m).filter((part) => !keys.has(/^([A-Za-z]+):/.exec(part)?.[1]));
  return `${kept.join('')}${snippet}\n`;
}

function envoyWith(snippet: Snippet): Loose {
  const envoy: Loose = parse(read('base.envoy.yaml'));
  const listener = envoy.static_resources.listeners[0];
  const manager = listener.filter_chains[0].filters[0].typed_config;
  const route = manager.route_config.virtual_hosts[0].routes[0];
  const filter = (name: string): Loose => manager.http_filters.find((one: Loose) => one.name === name).typed_config;
  const places: Record<Exclude<keyof Snippet, 'config file' | 'another filter'>, Loose> = {
    'mcp.identity': route.metadata.filter_metadata['mcp.identity'],
    route,
    ext_authz: filter('envoy.filters.http.ext_authz'),
    ext_proc: filter('envoy.filters.http.ext_proc'),
    'connection manager': manager,
    listener,
    cluster: envoy.static_resources.clusters.find((one: Loose) => one.name === 'crm'),
    bootstrap: envoy,
  };
  for (const [place, target] of Object.entries(places)) {
    const values: Loose = parse(snippet[place as keyof Snippet] ?? '{}');
    for (const [key, value] of Object.entries(values)) {
      if (value === null) delete target[key];
      else target[key] = value;
    }
  }
  if (snippet['another filter']) manager.http_filters.unshift(parse(snippet['another filter']));
  return envoy;
}

/** One section per code: what it means, and for each example what is wrong, what `check` says, and what is right. */
export async function validationSections(): Promise<string> {
  const sections: string[] = [];
  for (const [code, entry] of Object.entries(CODES)) sections.push(await section(code, entry));
  return sections.join('\n\n');
}

async function section(code: string, { title, why, examples }: CodeEntry): Promise<string> {
  const parts = [`## ${code}`, `**${title}.** ${why}`];
  for (const example of examples) {
    const [first] = await problemsOf(badOf(example));
    if (!first) throw new Error(`${code}: check finds nothing in the bad example`);
    const severity = first.severity === 'error' ? '' : ' (warning)';
    parts.push(
      `${blocks(example.bad)}\n\n> **${first.code}**${severity} ${first.message}  \n> *mend:* ${first.mend}`,
      `Right:\n\n${blocks(example.good)}`,
    );
  }
  return parts.join('\n\n');
}

function blocks(snippet: Example['bad']): string {
  return Object.entries(snippet)
    .map(([place, text]) => `\`\`\`yaml\n# ${place}\n${text.trim()}\n\`\`\``)
    .join('\n\n');
}
