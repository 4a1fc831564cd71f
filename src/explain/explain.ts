import type { Config } from '../config/schema.ts';
import { worldOf } from '../config/world.ts';
import { grpcAddress } from '../config/listeners.ts';
import type { Allow, Decision, Deny } from '../core/decision.ts';
import type { AuditRecord, Log, Observe, Tools } from '../core/ports.ts';
import { HeaderFields, type RequestFacts } from '../core/request-facts.ts';
import { createMetrics } from '../observe/metrics.ts';
import { createEgress } from '../net/egress.ts';
import type { EnvoyModel } from '../policy/envoy-config/model.ts';
import type { Limits } from '../policy/envoy-rules/context.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import { validateEnvoy } from '../policy/validate-envoy.ts';
import { openVaultReadOnly } from '../upstream/vault/open-read-only.ts';
import { resign } from './assume-signed.ts';
import { carryOut } from './carry.ts';
import { chooseEnvoyRoute, type RouteWish } from './choose-route.ts';
import { createDryDecider } from './dry-decider.ts';
import { createDryEgress } from './dry-egress.ts';
import { envoyWay, type EnvoyWay, receivedHeaders } from './envoy-way.ts';
import { Notebook, type Sent } from './finding.ts';
import { seenText } from './reasons.ts';
import { byEnvoy, conclude, type Explanation } from './verdict.ts';

export interface Question {
  readonly config: Config;
  readonly model: EnvoyModel;
  readonly wish: RouteWish;
  readonly sent: Sent;
  /** As of when; milliseconds since the epoch. */
  readonly atMs: number;
  /** Nobody is asked; `jwks` are the keys that tokens may be signed with, if there are any. */
  readonly offline: { readonly jwks: unknown } | undefined;
  readonly looksIntoVault: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** For a decision, questions to the identity provider included. */
const LIMIT_MS = 20_000;

/**
 * What would become of a request, and why, by the code that decides in the service. Nothing is refreshed, exchanged,
 * recorded or written.
 * @returns what is wrong with the question, when it names what is not there
 * @throws when the vault cannot be opened
 */
export async function explain(question: Question): Promise<Explanation | { readonly wrong: string }> {
  const { config, model, sent, wish } = question;
  const notebook = new Notebook();
  const limits: Limits = { maxBody: config.limits.maxBody, grpcAddress: grpcAddress(config) };
  const chosen = chooseEnvoyRoute(model, wish, { ...sent, headers: receivedHeaders(sent) }, notebook);
  if (chosen.kind === 'wrong') return { wrong: chosen.what };
  if (chosen.kind === 'none') {
    notebook.step('route', 'refused', chosen.why);
    return byEnvoy(question, notebook, { kind: 'answers', status: 404, why: chosen.why });
  }
  if (chosen.kind === 'unknown') {
    const why = `${chosen.why}; ${chosen.mend}`;
    notebook.step('route', 'assumed', why);
    return byEnvoy(question, notebook, { kind: 'unknown', why });
  }
  const [{ name, virtualHost, node }] = chosen.uses as [(typeof chosen.uses)[number]];
  const line = model.document.lineOf(node.path);
  notebook.step(
    'route',
    'passed',
    `${name} of the virtual host ${virtualHost.get('name').text()}${line === undefined ? '' : `, line ${line}`}`,
  );
  const way = envoyWay(model, chosen.uses, sent, limits, notebook);
  return way.kind === 'asks' ? ask(question, way, limits, notebook) : byEnvoy(question, notebook, way);
}

async function ask(
  question: Question,
  way: Extract<EnvoyWay, { kind: 'asks' }>,
  limits: Limits,
  notebook: Notebook,
): Promise<Explanation> {
  const { config, model, env, sent } = question;
  const nowMs = () => question.atMs;
  const audited: AuditRecord[] = [];
  const audit = { write: (record: AuditRecord) => void audited.push(record) };
  const { facts, jwks } = await withKeys(question, way.facts, notebook);
  let policy: RoutePolicy | undefined;
  const observe: Observe = (seen) => {
    // The assumption says it already.
    if (jwks?.assumed === true && seen.check === 'signature' && !seen.refusal) return;
    const result = seen.absent ? 'absent' : seen.refusal ? 'refused' : 'passed';
    notebook.step(seen.check, result, seenText(seen, dry.methods, way.facts));
  };
  const tools: Tools = { log: logInto(notebook), metrics: createMetrics(), clock: { nowMs }, observe };
  const issuers = Object.values(config.incomingAuth).flatMap((method) => ('issuer' in method ? [method.issuer] : []));
  const egress = createDryEgress({
    real: question.offline ? undefined : createEgress(tools),
    jwks: jwks && (() => jwks.set),
    issuers,
    nowMs,
    notebook,
  });
  const vault = question.looksIntoVault ? await openVaultReadOnly(config.vault, tools) : undefined;
  const onPolicy = (used: RoutePolicy) => {
    policy = used;
    notebook.step('policy', 'note', policyText(used));
  };
  const envoy = { proofOf: (canonical: string) => proofs.get(canonical) };
  const { proofs } = validateEnvoy(model, worldOf(config), limits);
  const dry = createDryDecider(config, { envoy, egress, vault, onPolicy, audit, tools, notebook, env });
  try {
    const decision = way.rawHeaders
      ? await dry.decide(facts, AbortSignal.timeout(LIMIT_MS))
      : dry.decide.unreadable('headers_not_raw', 'set encode_raw_headers: true on the ext_authz filter');
    if (policy) assumePeer(policy, sent, facts, dry, notebook);
    const end = await lastWord(decision, dry, facts, way, sent, notebook);
    return conclude(question, notebook, end, policy, audited);
  } finally {
    dry.close();
    await vault?.close();
  }
}

/** The decision, and what ext_proc makes of it. */
async function lastWord(
  decision: Decision,
  dry: ReturnType<typeof createDryDecider>,
  facts: RequestFacts,
  way: Extract<EnvoyWay, { kind: 'asks' }>,
  { body }: Sent,
  notebook: Notebook,
): Promise<Deny | (Allow & { readonly byExtProc: readonly string[] })> {
  if (decision.kind === 'deny') return decision;
  if (!way.extProc) return { ...decision, byExtProc: [] };
  const { deny, written } = await carryOut(dry, decision, facts, body, notebook);
  return deny ?? { ...decision, byExtProc: written };
}

interface Keys {
  readonly set: unknown;
  readonly assumed: boolean;
}

/** The request as it is judged, and the keys where nobody is asked for them. */
async function withKeys(
  { offline }: Question,
  facts: RequestFacts,
  notebook: Notebook,
): Promise<{ readonly facts: RequestFacts; readonly jwks: Keys | undefined }> {
  if (!offline) return { facts, jwks: undefined };
  if (offline.jwks !== undefined) return { facts, jwks: { set: offline.jwks, assumed: false } };
  const sent = facts.headers.get('authorization') ?? '';
  const [, scheme = '', token = ''] = /^\s*(Bearer)\s+(\S+)\s*$/i.exec(sent) ?? [];
  const resigned = await resign(token);
  if (!resigned) return { facts, jwks: undefined };
  const flat = facts.headers.flat.map((text, i) =>
    i % 2 === 1 && facts.headers.flat[i - 1] === 'authorization' ? `${scheme} ${resigned.token}` : text,
  );
  const { jwks } = resigned;
  const keys: Keys = {
    assumed: true,
    get set() {
      notebook.assume(
        'signature',
        'not checked: there are no keys (give --jwks, or leave out --offline); taken as right',
        true,
      );
      return jwks;
    },
  };
  return { facts: { ...facts, headers: new HeaderFields(flat) }, jwks: keys };
}

/** Whether headers of a proxy count depends on who connects. */
function assumePeer(
  policy: RoutePolicy,
  sent: Sent,
  { headers }: RequestFacts,
  dry: ReturnType<typeof createDryDecider>,
  notebook: Notebook,
): void {
  if (sent.peer) return;
  const proxies = policy.incomingAuth
    .flatMap((name) => dry.methods.get(name) ?? [])
    .filter(({ type }) => type === 'trusted_proxy');
  if (proxies.some(({ credentialHeaders }) => credentialHeaders.some((name) => headers.has(name))))
    notebook.assume(
      'credential',
      'who connects to Envoy was not said (--peer, --peer-cert-san); taken as nobody of `trustedPeers`',
      false,
    );
}

function policyText(policy: RoutePolicy): string {
  const { backend, incomingAuth, outgoingAuth, resource, scopes } = policy;
  const parts = [`backend ${backend}`, `accepts ${incomingAuth.join(', ')}`, `strategy ${outgoingAuth.type}`];
  if (resource !== undefined) parts.push(`resource ${resource}`);
  if (scopes.length > 0) parts.push(`scopes ${scopes.join(' ')}`);
  return parts.join(', ');
}

/** What the service would log, for people; it says nothing about secrets there either. */
function logInto(notebook: Notebook): Log {
  const say = (message: string, fields?: Readonly<Record<string, unknown>>) =>
    notebook.step('log', 'note', `${message}${fields ? ` ${JSON.stringify(fields)}` : ''}`);
  return { debug: () => {}, info: () => {}, warn: say, error: say };
}
