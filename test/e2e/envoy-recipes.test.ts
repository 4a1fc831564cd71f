// Every recipe in envoy/: Envoy accepts it, `check` finds nothing, and requests through it meet what its comments say.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { kindOfMetric, METRIC_NOTES } from '../../scripts/docs/metrics.ts';
import { check } from '../../src/cli/check.ts';
import { Child } from '../support/child.ts';
import { startIssuer } from '../support/issuer.ts';
import { startRecipe } from '../support/recipe.ts';
import { envoyBinary } from '../support/stack.ts';
import { RECIPE_ENV, REQUESTS } from './recipe-requests.ts';

const FOLDER = join(import.meta.dirname, '../../envoy');
const recipes = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml') && !name.endsWith('.sidecar.yaml') && name !== 'envoy.yaml')
  .map((name) => name.slice(0, -'.yaml'.length));

test('there is a request for every recipe', () => {
  assert.deepEqual(recipes, Object.keys(REQUESTS).sort());
});

for (const name of recipes) {
  test(`Envoy accepts ${name}.yaml`, async () => {
    const child = new Child('envoy', envoyBinary(), ['--mode', 'validate', '-c', join(FOLDER, `${name}.yaml`)]);
    assert.equal(await child.exited, 0, child.stderr);
    assert.doesNotMatch(child.stderr, /\[warning\]|deprecated/i);
  });

  test(`check finds nothing in ${name}`, async () => {
    let printed = '';
    const output = { write: (more: string) => (printed += more) };
    const io = { stdout: output, stderr: output, env: RECIPE_ENV, cwd: FOLDER };
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
  for (const [name, requests] of Object.entries(REQUESTS)) {
    test(name, async () => {
      const [issuer, partner] = await Promise.all([startIssuer(), startIssuer()]);
      const folder = mkdtempSync(join(tmpdir(), 'recipe-'));
      const recipe = await startRecipe(FOLDER, name, { folder, env: RECIPE_ENV, issuer, partner });
      try {
        await requests(recipe);
        documented(await recipe.metrics());
      } finally {
        await recipe.stop();
        await Promise.all([issuer.stop(), partner.stop()]);
        rmSync(folder, { recursive: true });
      }
    });
  }
});
