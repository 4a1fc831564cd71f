import type { Allow, Deny } from '../core/decision.ts';
import type { HeaderEdits } from '../core/header-edits.ts';
import { HeaderFields, type RequestFacts } from '../core/request-facts.ts';
import { Secret } from '../core/secret.ts';
import type { Step } from '../pipeline/carry-out.ts';
import { openPlan, type Plan } from '../pipeline/plan.ts';
import type { DryDecider } from './dry-decider.ts';
import type { Notebook } from './finding.ts';

export interface Carried {
  /** What ext_proc refuses after all. */
  readonly deny: Deny | undefined;
  /** Names of headers that ext_proc writes, their values hidden, beside those of ext_authz. */
  readonly written: readonly string[];
}

/** Lets the code of ext_proc carry out the request's part of a plan, and tells what it is going to do with the answer. */
export async function carryOut(
  dry: DryDecider,
  { edits, handoff }: Allow,
  { headers, requestId }: RequestFacts,
  body: Buffer | undefined,
  notebook: Notebook,
): Promise<Carried> {
  const plan =
    handoff === undefined ? undefined : openPlan(dry.planSealer, handoff, headers.get('x-request-id') ?? requestId);
  if (!plan) return { deny: undefined, written: [] };
  for (const text of doings(plan)) notebook.step('ext_proc', 'note', text);
  const carrier = dry.newCarrier();
  const held = body ?? Buffer.alloc(0);
  const written: string[] = [];
  const take = (step: Step): Deny | undefined => {
    if (step.kind === 'answer') return step.deny;
    written.push(...(step.edits?.names() ?? []));
    if (step.body) notebook.step('ext_proc', 'note', `the body becomes ${step.body.length} bytes, from ${held.length}`);
    return undefined;
  };
  const first = await carrier.requestHeaders(edited(headers, edits), held.length === 0, handoff);
  const denied = take(first);
  if (denied || first.kind === 'answer' || !first.wantsBody) return { deny: denied, written };
  return { deny: take(await carrier.requestBody(held)), written };
}

function edited(headers: HeaderFields, edits: HeaderEdits): HeaderFields {
  const written = [...edits.written()].flatMap(([name, value]) => [
    name,
    value instanceof Secret ? value.reveal() : value,
  ]);
  const gone = new Set<string | undefined>([...edits.removed(), ...edits.names()]);
  const kept: string[] = [];
  for (let i = 0; i < headers.flat.length; i += 2)
    if (!gone.has(headers.flat[i])) kept.push(headers.flat[i] as string, headers.flat[i + 1] as string);
  return new HeaderFields([...kept, ...written]);
}

/** What a plan makes ext_proc do, in words. */
function* doings(plan: Plan): Iterable<string> {
  const { meta, assertion, session, sign, list, credential, onUnauthorized } = plan;
  if (meta)
    yield meta.json === null
      ? `takes a client's own _meta.${meta.key} out of the body`
      : `sets params._meta.${meta.key} of JSON-RPC requests to ${metaText(meta.json)}`;
  if (assertion) yield `signs ${assertion.header} again, over the final body`;
  if (sign) yield `signs the request for ${sign.host} (AWS ${sign.service} in ${sign.region})`;
  if (session?.presented) yield 'gives the backend its own session id in place of the sealed one';
  if (session?.opens) yield 'seals a session id of the answer to this caller';
  if (list) {
    const hidden = Object.entries(list.hidden)
      .filter(([, isHidden]) => isHidden)
      .map(([name]) => name);
    yield `takes out of the list of tools: ${hidden.join(', ') || 'nothing'}`;
  }
  if (credential) yield 'turns a 401 of the backend into 502, and drops the credential';
  if (onUnauthorized) yield 'answers a 401 of the backend with the link to connect the account';
  yield `takes out of the answer: ${plan.hide.join(', ')}`;
}

function metaText(json: string): string {
  const value = JSON.parse(json) as Record<string, unknown>;
  return JSON.stringify('assertion' in value ? { ...value, assertion: '[hidden]' } : value);
}
