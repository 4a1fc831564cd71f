import { type Reason, WIRE } from '../../src/core/refusal.ts';
import { CONNECT_REFUSALS } from '../../src/http/connect-refusals.ts';
import { type Explanation, REFUSALS } from '../../src/explain/refusal-help.ts';
import { table } from './table.ts';

const CHALLENGE = {
  none: '',
  bare: 'challenge',
  invalid_token: '`invalid_token`',
  invalid_request: '`invalid_request`',
  insufficient_scope: '`insufficient_scope`',
  invalid_dpop_proof: '`invalid_dpop_proof`',
  use_dpop_nonce: '`use_dpop_nonce`',
} as const;

/** Reasons in the order of src/core/refusal.ts, with what goes over the wire. */
export function refusalTable(explanations: Readonly<Record<Reason, Explanation>> = REFUSALS): string {
  const rows = (Object.keys(WIRE) as Reason[]).map((reason) => {
    const { status, challenge, message } = WIRE[reason];
    const { cause, mend } = explanations[reason] ?? missing(reason);
    return [`\`${reason}\``, `${status} ${CHALLENGE[challenge]}`.trim(), `${cause}<br>*${message}.*`, mend];
  });
  return table(['reason', 'answer', 'cause, and what the client hears', 'what to do'], rows);
}

/** Reasons of the connect pages; what the page says is the explanation. */
export function connectTable(): string {
  const rows = Object.entries(CONNECT_REFUSALS).map(([reason, { status, heading, text }]) => [
    `\`${reason}\``,
    String(status),
    `${heading}: ${text}`.replaceAll('PARTY', 'the other site'),
  ]);
  return table(['reason', 'status', 'what the page says'], rows);
}

/** The compiler says it first; whoever runs `npm run docs` may not have asked it. */
function missing(reason: string): never {
  throw new Error(`src/explain/refusal-help.ts has no entry for ${reason}`);
}
