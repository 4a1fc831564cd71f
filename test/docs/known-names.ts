import assert from 'node:assert/strict';
import { join } from 'node:path';
import { kindOfMetric, METRIC_NOTES } from '../../scripts/docs/metrics.ts';
import { WIRE } from '../../src/core/refusal.ts';
import { CONNECT_REFUSALS } from '../../src/http/connect-refusals.ts';
import { ROOT } from './page-list.ts';

export const MAIN = join(ROOT, 'src/main.ts');

/** Every reason that an audit line can give for a refusal. */
export const REASONS: ReadonlySet<string> = new Set([...Object.keys(WIRE), ...Object.keys(CONNECT_REFUSALS)]);

const SUFFIX = /_(?:bucket|sum|count)$/;

/** Every metric that the text names is there, with the labels and the reasons that it gives it. */
export function checkMetricNames(text: string): void {
  for (const [, name = '', star, labels = ''] of text.matchAll(/(mcp_identity_\w*)(\*)?(?:\{([^}]*)\})?/g)) {
    const known = Object.keys(METRIC_NOTES);
    if (star)
      assert.ok(
        known.some((metric) => metric.startsWith(name)),
        `no metric begins with ${name}`,
      );
    if (star) continue;
    const base = name.replace(SUFFIX, '');
    const note = METRIC_NOTES[name] ?? (kindOfMetric(base) === 'histogram' ? METRIC_NOTES[base] : undefined);
    assert.ok(note, `there is no metric ${name}`);
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)(?:=~?|!=|!~)?(?:"([^"]*)")?/g)) {
      assert.ok([...note.labels, 'le', 'instance', 'job'].includes(label), `${name} has no label ${label}`);
      if (label === 'reason' && /^\w+$/.test(value)) assert.ok(REASONS.has(value), `there is no reason ${value}`);
    }
  }
}

/** Reasons as prose names them, "reason `scope_missing`" or "reasons `a`, `b` and `c`", and in tables whose first column is the reason. */
export function reasonsNamedIn(prose: string): string[] {
  const inSentences = [...prose.matchAll(/\breasons?:? ((?:(?:, | or | and |, or |, and )?`[\w-]+`)+)/g)];
  const inTables = [...prose.matchAll(/^\| reason \|.*\n\|[ |:-]+\n((?:\|.*\n)+)/gm)].flatMap(([, rows = '']) =>
    rows.split('\n').map((row) => row.split('|')[1] ?? ''),
  );
  return [...inSentences.map(([, list = '']) => list), ...inTables].flatMap((text) =>
    [...text.matchAll(/`([\w-]+)`/g)].map(([, reason = '']) => reason),
  );
}
