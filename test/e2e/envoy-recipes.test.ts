// Every recipe in envoy/: Envoy accepts it, `check` finds nothing, and requests through it meet what its comments say.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { kindOfMetric, METRIC_NOTES } from '../../scripts/docs/metrics.ts';
import { check } from '../../src/cli/check.ts';
import { Child } from '../support/child.ts';
import { startIssuer } from '../support/issuer.ts';
import { startRecipe } from '../support/recipe.ts';
import { envoyBinary } from '../support/stack.ts';
import { RECIPE_ENV, REQUESTS } from './recipe-requests.ts';
import { SURROUNDINGS } from './recipe-surroundings.ts';

const FOLDER = join(import.meta.dirname, '../../envoy');
const recipes = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml') && !name.endsWith('.sidecar.yaml') && name !== 'envoy.yaml')
  .map((name) => name.slice(0, -'.yaml'.length));

test('there is a request for every recipe', () => {
  assert.deepEqual(recipes, [...Object.keys(REQUESTS), ...Object.keys(SURROUNDINGS)].sort());
});

for (const name of recipes) {
  test(`Envoy accepts ${name}.yaml`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'recipe-'));
    const file = join(folder, 'envoy.yaml');
    writeFileSync(join(folder, 'ca.pem'), rootCertificates.join('\n'));
    // Where systems keep them differs.
    const text = readFileSync(join(FOLDER, `${name}.yaml`), 'utf8');
    writeFileSync(file, text.replaceAll('/etc/ssl/certs/ca-certificates.crt', join(folder, 'ca.pem')));
    const child = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', file]);
    t.after(() => rmSync(folder, { recursive: true }));
    assert.equal(await child.exited, 0, child.stderr);
    assert.doesNotMatch(child.stderr, /\[warning\]|deprecated/i);
  });

  test(`check finds nothing in ${name}`, async () => {
    let printed = '';
    const output = { write: (more: string) => (printed += more) };
    const env = { ...RECIPE_ENV, EXCHANGE_SECRET: 'x' };
    const io = { stdout: output, stderr: output, env, cwd: FOLDER };
    const code = await check(['--config', join(FOLDER, `${name}.sidecar.yaml`)], io);
    assert.match(printed, /^no problems found in \d+ routes\n$/);
    assert.equal(code, 0);
  });
}

/** Every metric of the service stands in docs/reference/metrics.md, with its kind and its labels. */
function documented(metrics: string): void {
  const kinds = [...metrics.matchAll(/^# TYPE (mcp_identity_\w+) (\w+)$/gm)];
  assert.ok(kinds.length > 10);
  for (const [, metric = '', kind] of kinds) {
    assert.equal(kind, kindOfMetric(metric), metric);
    const labels = new Set<string>();
    for (const [, pairs = ''] of metrics.matchAll(new RegExp(`^${metric}(?:_bucket)?\\{(.*)\\} `, 'gm')))
      for (const [, label = ''] of pairs.matchAll(/(\w+)="/g)) labels.add(label);
    labels.delete('le'); // of every histogram
    const noted = new Set(METRIC_NOTES[metric]?.labels);
    if (labels.size > 0) assert.deepEqual(labels, noted, metric);
  }
}

describe('requests', () => {
  for (const name of recipes) {
    test(name, async () => {
      const around = await SURROUNDINGS[name]?.();
      const [issuer, partner] = await Promise.all([startIssuer(), startIssuer()]);
      const folder = mkdtempSync(join(tmpdir(), 'recipe-'));
      const env = { ...RECIPE_ENV, ...around?.env };
      const options = { folder, env, issuer, partner, ...(around ? { edit: around.edit } : {}) };
      const recipe = await startRecipe(FOLDER, name, options);
      try {
        await (around?.requests ?? REQUESTS[name])?.(recipe);
        documented(await recipe.metrics());
      } finally {
        await recipe.stop();
        await Promise.all([issuer.stop(), partner.stop(), around?.stop()]);
        rmSync(folder, { recursive: true });
      }
    });
  }
});
