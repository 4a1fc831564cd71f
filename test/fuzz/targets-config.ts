import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { worldOf } from '../../src/config/world.ts';
import { type Dialect, parseSource } from '../../src/core/source-document.ts';
import { readEnvoyConfig } from '../../src/policy/envoy-config/read.ts';
import { validateEnvoy } from '../../src/policy/validate-envoy.ts';
import { validatePolicy } from '../../src/policy/validate.ts';
import { GOOD_ENV, goodPair } from '../support/good-pair.ts';
import { SLOW_FILE_MS, target } from './target.ts';
import { altered, near } from './texts.ts';

const ROOT = join(import.meta.dirname, '../..');
const yamlOf = (folder: string, end: string) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => readFileSync(join(ROOT, folder, name), 'utf8'));
const BOOTSTRAPS = [...yamlOf('envoy', '.yaml'), ...yamlOf('test/config/good', '.envoy.yaml')];
const CONFIGS = yamlOf('test/config/good', '.sidecar.yaml');
const ALIASES = 'a: &a [1, 2]\nb: &b [*a, *a]\nc: {<<: {x: 1}, y: !ignore z}\n? d\n: "\\u0041"\n';

const { sidecar, envoy } = goodPair();
const file = join(ROOT, 'test/config/good/full.sidecar.yaml');
const loaded = loadConfig(file, GOOD_ENV);
assert.ok(loaded.ok);
const world = worldOf(loaded.config);
const limits = { maxBody: 4_194_304, grpcAddress: '127.0.0.1:9191' };
const policies: unknown[] = [];
collectPolicies(envoy);

function collectPolicies(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'mcp.identity') policies.push(inner);
    else collectPolicies(inner);
  }
}

/** What the text is by the parser of npm alone; undefined where that refuses it. */
function oracle(text: string): { value: unknown } | undefined {
  try {
    return { value: parse(text, { merge: true, maxAliasCount: -1, logLevel: 'silent' }) as unknown };
  } catch {
    return undefined;
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'emi-fuzz-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** What operators write, and what an admin address of Envoy answers. */
export const CONFIG_TARGETS = [
  target(
    'yaml',
    'what the yaml parser refuses is refused, and what both read is the same; lines are found for any path',
    fc.tuple(near([...CONFIGS, ALIASES, '{"a": [1, {"b": null}]}']), fc.constantFrom<Dialect>('own', 'envoy')),
    ([text, dialect]) => {
      const read = parseSource('x.yaml', text, dialect);
      if (!read.ok) {
        assert.ok(read.problems.length > 0);
        return;
      }
      read.document.lineOf(['a', 0, 'b']);
      if (dialect === 'envoy') return;
      const expected = oracle(text);
      assert.ok(expected, 'the parser refuses it');
      assert.deepEqual(read.document.value, expected.value);
    },
    [],
    SLOW_FILE_MS,
  ),
  target(
    'envoy-yaml',
    'an Envoy file of any text is read or refused, and judged, without a throw',
    near(BOOTSTRAPS),
    (text) => {
      const read = parseSource('envoy.yaml', text, 'envoy');
      if (!read.ok) return;
      const model = readEnvoyConfig(read.document);
      if ('routes' in model) validateEnvoy(model, world, limits);
    },
    [],
    SLOW_FILE_MS,
  ),
  target(
    'envoy-config',
    'any shape is judged; a policy without a problem is one that the strict schema takes',
    altered(envoy),
    (value) => {
      const model = readEnvoyConfig({ file: 'envoy.yaml', value, lineOf: () => undefined });
      if (!('routes' in model)) return;
      const judged = validateEnvoy(model, world, limits);
      for (const policy of judged.policies) assert.ok(policy.backend !== '' && policy.incomingAuth.length > 0);
      for (const { message } of judged.problems) assert.ok(message.length > 0);
    },
  ),
  target(
    'route-policy',
    'a policy is taken only as the strict schema has it, with names that are defined',
    fc.constantFrom(...policies).chain((policy) => altered(policy)),
    (raw) => {
      const { policy, problems } = validatePolicy(raw, world);
      if (!policy) {
        assert.ok(problems.length > 0);
        return;
      }
      assert.ok(!problems.some((problem) => problem.severity === 'error'));
      for (const name of policy.incomingAuth) assert.ok(world.methods.has(name));
    },
  ),
  target(
    'config-yaml',
    'a config is read or refused with problems, and no problem tells a secret',
    altered(sidecar),
    (value) => {
      const place = join(scratch, 'sidecar.yaml');
      writeFileSync(place, JSON.stringify(value) ?? '');
      const read = loadConfig(place, GOOD_ENV);
      const problems = read.ok ? read.warnings : read.problems;
      if (!read.ok) assert.ok(problems.length > 0);
      const told = JSON.stringify(problems);
      for (const [name, secret] of Object.entries(GOOD_ENV)) assert.ok(!told.includes(secret), `${name} is told`);
    },
    [],
    SLOW_FILE_MS,
  ),
];
