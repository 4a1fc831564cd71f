import type { Step } from '../explain/finding.ts';
import type { Explanation } from '../explain/verdict.ts';
import { visible } from './report.ts';

const MARKS: Readonly<Record<Step['result'], string>> = {
  passed: '✓',
  refused: '✗',
  absent: '–',
  assumed: '?',
  note: '·',
};

/** An explanation for people: hop by hop, and the answer last. */
export function explanationText(explanation: Explanation): string {
  const { request, at, steps, answer, forwarded, audit } = explanation;
  const lines = [`${request.method} ${request.url}`, `as of ${at}`];
  let hop: string | undefined;
  for (const step of steps) {
    if (step.hop !== hop) lines.push('', step.hop);
    hop = step.hop;
    lines.push(`  ${MARKS[step.result]} ${step.text}`);
  }
  if (forwarded) {
    lines.push('', 'the backend gets');
    for (const { name, value } of forwarded.set) lines.push(`  set     ${name}: ${value ?? '[hidden]'}`);
    if (forwarded.removed.length > 0) lines.push(`  without ${forwarded.removed.join(', ')}`);
    if (forwarded.byExtProc.length > 0) lines.push(`  ext_proc sets ${forwarded.byExtProc.join(', ')}`);
    if (lines.at(-1) === 'the backend gets') lines.push('  what the client sent');
  }
  if (answer) {
    lines.push('', 'the client hears', `  ${answer.status}`);
    for (const [name, value] of answer.headers) lines.push(`  ${name}: ${value}`);
    if (answer.body !== '') lines.push(`  ${answer.body}`);
  }
  for (const record of audit) lines.push('', 'audit', `  ${JSON.stringify(record)}`);
  lines.push('', ...ending(explanation));
  return `${lines.map(visible).join('\n')}\n`;
}

function ending({ verdict, because, answer }: Explanation): string[] {
  const status = answer ? ` ${answer.status}${answer.reason === undefined ? '' : ` ${answer.reason}`}` : '';
  if (verdict === 'allow') return [`ALLOWED: ${because}`];
  const told =
    verdict === 'deny'
      ? `REFUSED${status}: ${because}`
      : `CANNOT TELL${answer ? ` (from here${status})` : ''}: ${because}`;
  return [
    told,
    ...(answer?.cause ? [`  cause: ${answer.cause}`] : []),
    ...(answer?.mend ? [`  mend: ${answer.mend}`] : []),
  ];
}
