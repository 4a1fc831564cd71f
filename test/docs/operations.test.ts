// docs/operations/: the dashboard, the alert rules and the queries in the text ask for metrics and labels that exist.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { METRIC_NOTES, kindOfMetric } from '../../scripts/docs/metrics.ts';
import { REFUSALS } from '../../src/explain/refusal-help.ts';
import { HeaderFields, type RequestFacts } from '../../src/core/request-facts.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { auditRecord, type Decided } from '../../src/pipeline/audit-record.ts';
import { fences } from './fences.ts';

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'docs/operations');
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8');

/** Prometheus adds these to every series that it scrapes. */
const TARGET = ['instance', 'job'];
/** Labels by metric: ours, and those of every Node process. */
const known = new Map<string, readonly string[]>();

before(async () => {
  for (const [name, { labels }] of Object.entries(METRIC_NOTES)) {
    const suffixes = kindOfMetric(name) === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    for (const suffix of suffixes) known.set(name + suffix, suffix === '_bucket' ? [...labels, 'le'] : labels);
  }
  for (const [, name = '', labels = ''] of (await createMetrics().text()).matchAll(/^(\w+)(?:\{(.*)\})? /gm))
    if (!known.has(name))
      known.set(
        name,
        [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label ?? ''),
      );
});

/** What is wrong with a query. */
function* faults(query: string): Iterable<string> {
  const asked = new Set<string>();
  // The variables of Grafana are values, and an empty matcher is as good as none.
  const text = query.replaceAll(/\$__rate_interval|\$\w+/g, '1m');
  for (const [, name = '', , matchers = ''] of text.matchAll(
    /\b((?:mcp_identity|nodejs|process)_\w+)(\{([^}]*)\})?/g,
  )) {
    const labels = known.get(name);
    if (!labels) {
      yield `there is no ${name}`;
      continue;
    }
    for (const label of labels) asked.add(label);
    for (const [, label = '', operator = '', value = ''] of matchers.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)) {
      if (!labels.includes(label) && !TARGET.includes(label)) yield `${name} has no label ${label}`;
      const words = operator.endsWith('~') ? value.split('|') : [value];
      if (name.startsWith('mcp_identity_decisions') && label === 'reason')
        for (const word of words) if (!Object.hasOwn(REFUSALS, word)) yield `there is no reason ${word}`;
    }
  }
  if (asked.size === 0 && !/\b(mcp_identity|nodejs|process)_/.test(text)) yield 'it asks for none of our metrics';
  for (const [, list = ''] of text.matchAll(/\b(?:by|on|without)\s*\(([^)]*)\)/g))
    for (const label of list.split(',').map((one) => one.trim()))
      if (label !== '' && !asked.has(label) && !TARGET.includes(label)) yield `nothing in it has a label ${label}`;
}

test('a query about what does not exist is found', () => {
  assert.deepEqual([...faults('rate(mcp_identity_decision_total[5m])')], ['there is no mcp_identity_decision_total']);
  assert.deepEqual(
    [...faults('sum by (user) (rate(mcp_identity_decisions_total{provider="x", reason="because"}[5m]))')],
    [
      'mcp_identity_decisions_total has no label provider',
      'there is no reason because',
      'nothing in it has a label user',
    ],
  );
  assert.deepEqual([...faults('up == 0')], ['it asks for none of our metrics']);
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}

describe('the dashboard', () => {
  const dashboard = JSON.parse(read('grafana-dashboard.json')) as {
    readonly panels: readonly Panel[];
    readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  };
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');

  for (const { title, targets = [] } of panels)
    test(`${title}: its queries`, () => {
      assert.ok(targets.length > 0);
      for (const { expr } of targets) assert.deepEqual([...faults(expr)], [], expr);
    });

  test('its variables', () => {
    const names = dashboard.templating.list.map(({ name }) => name);
    for (const [, name = ''] of JSON.stringify(dashboard).matchAll(/\$\{?(\w+)/g))
      assert.ok([...names, '__rate_interval', '__all'].includes(name), name);
    for (const { definition } of dashboard.templating.list)
      if (definition) assert.deepEqual([...faults(definition.replace(/, (\w+)\)$/, ') by ($1)'))], [], definition);
  });

  test('panels have ids and places of their own', () => {
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
    );
    assert.equal(new Set(cells).size, cells.length);
  });

  test('every metric of ours is on it, but for those that say the same as another', () => {
    const text = JSON.stringify(panels);
    const missing = Object.keys(METRIC_NOTES).filter((name) => !text.includes(name));
    assert.deepEqual(missing.sort(), ['mcp_identity_api_key_uses_total']);
  });
});

describe('the alert rules', () => {
  const { groups } = parse(read('prometheus-alerts.yaml')) as {
    groups: { rules: { alert: string; expr: string; labels: object; annotations: Record<string, string> }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);

  for (const { alert, expr, labels, annotations } of rules)
    test(alert, () => {
      assert.deepEqual([...faults(expr)], [], expr);
      assert.match(String((labels as Record<string, string>)['severity']), /^(page|ticket)$/);
      assert.match(annotations['summary'] ?? '', /.{10,}/);
      assert.match(annotations['runbook'] ?? '', /.{40,}/s);
      for (const [, label = ''] of (annotations['summary'] ?? '').matchAll(/\$labels\.(\w+)/g))
        assert.match(expr, new RegExp(`by \\([^)]*\\b${label}\\b|^min_over_time`), `${label} is left by the query`);
      assert.ok(read('observability.md').includes(`\`${alert}\``), 'observability.md names it');
      const cases = readFileSync(join(import.meta.dirname, 'prometheus-alerts.promtool.yaml'), 'utf8');
      assert.ok(cases.includes(`alertname="${alert}"`), 'there is a case in which it fires');
    });

  const promtool = process.env['PROMTOOL_BIN'];
  test('promtool agrees, and each fires when it should', {
    skip: promtool === undefined && 'PROMTOOL_BIN is not set: promtool comes with Prometheus',
  }, () => {
    execFileSync(promtool as string, ['check', 'rules', join(FOLDER, 'prometheus-alerts.yaml')]);
    execFileSync(promtool as string, ['test', 'rules', join(import.meta.dirname, 'prometheus-alerts.promtool.yaml')]);
  });
});

test('every field of an audit line is in the table', () => {
  const facts = { requestId: 'r', headers: new HeaderFields([]) } as unknown as RequestFacts;
  const decided = { outcome: 'deny', reason: 'tool_denied', status: 403, headersSet: [], elapsedMs: 1, detail: 'd' };
  const line = auditRecord(0, facts, decided as unknown as Decided);
  const [, section = ''] = read('observability.md').split('\n## Audit\n');
  const table = section.split('\n## ')[0] ?? '';
  for (const name of Object.keys(line)) assert.match(table, new RegExp(`^\\|[^|]*\`${name}\``, 'm'), name);
});

test('the queries in the text', () => {
  const pages = [read('observability.md'), readFileSync(join(ROOT, 'docs/reference/metrics.md'), 'utf8')];
  const queries = pages
    .flatMap(fences)
    .filter(({ info }) => info[0] === 'promql')
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => line !== '' && !line.startsWith('#'));
  assert.ok(queries.length > 4);
  for (const query of queries) assert.deepEqual([...faults(query)], [], query);
});
