import { HeaderFields, type RequestFacts } from '../core/request-facts.ts';
import { encodeStruct, type JsonObject } from '../envoy/codec/struct.ts';
import type { AuthzUse, ProcUse } from '../policy/envoy-config/effective.ts';
import type { EnvoyModel, RouteUse } from '../policy/envoy-config/model.ts';
import type { Limits } from '../policy/envoy-rules/context.ts';
import { filtersOn, forwardsPolicy, ownFilters } from '../policy/envoy-rules/own-filters.ts';
import { partlyEnabled } from '../policy/envoy-rules/reach.ts';
import type { Notebook, Sent } from './finding.ts';

/** What Envoy does with a request of that route before the service decides. */
export type EnvoyWay =
  | {
      readonly kind: 'asks';
      readonly facts: RequestFacts;
      /** Without them the service refuses to decide. */
      readonly rawHeaders: boolean;
      readonly extProc: ProcUse | undefined;
    }
  /** The service is not asked. */
  | { readonly kind: 'passes'; readonly why: string }
  | { readonly kind: 'answers'; readonly status: number; readonly why: string }
  | { readonly kind: 'unknown'; readonly why: string };

/** @param uses of one route; they differ by weighted cluster */
export function envoyWay(
  model: EnvoyModel,
  uses: readonly RouteUse[],
  sent: Sent,
  limits: Limits,
  notebook: Notebook,
): EnvoyWay {
  const [route] = uses as [RouteUse, ...RouteUse[]];
  const hasPolicies = model.routes.some((use) => use.connections === route.connections && use.policy.there);
  const own = ownFilters(route.connections, hasPolicies, model, limits);
  const [filters, ...others] = uses.map((use) => filtersOn(use, own)) as [Filters, ...Filters[]];
  if (others.some((other) => summary(other) !== summary(filters)))
    return { kind: 'unknown', why: 'its weighted clusters differ in their filters' };
  const authz = filters.authz.find(({ runs }) => runs !== 'no');
  const extProc = filters.proc.find(({ runs }) => runs !== 'no');
  notebook.step('filters', 'note', `ext_authz ${authz ? 'on' : 'off'}, ext_proc ${extProc ? 'on' : 'off'}`);
  if (!authz) return { kind: 'passes', why: 'no ext_authz filter of this service runs on the route' };
  if (authz.runs === 'maybe' || extProc?.runs === 'maybe')
    return { kind: 'unknown', why: 'a matcher decides for each request whether the filter runs' };
  if (partlyEnabled(authz, model.runtime))
    return { kind: 'unknown', why: 'ext_authz is enabled for a part of the requests only (`filter_enabled`)' };
  tellOthers(authz, notebook);

  const body = bodyInCheck(authz, sent.body);
  if (body === 'too_large')
    return {
      kind: 'answers',
      status: 413,
      why: 'the body is larger than `with_request_body.max_request_bytes` of ext_authz',
    };
  const held = sent.body?.length ?? 0;
  if (held > 0)
    notebook.step(
      'filters',
      'note',
      body.sent ? `the body (${held} bytes) goes to ext_authz` : 'the body does not go to ext_authz',
    );
  const policy: unknown = forwardsPolicy(authz.filter) ? route.policy.value : undefined;
  const isMap = typeof policy === 'object' && policy !== null && !Array.isArray(policy);
  return {
    kind: 'asks',
    facts: factsOf(sent, body, isMap ? encodeStruct(policy as JsonObject) : undefined),
    rawHeaders: authz.filter.config.get('encode_raw_headers').flag(),
    extProc,
  };
}

type Filters = ReturnType<typeof filtersOn>;

function summary({ authz, proc }: Filters): string {
  return JSON.stringify([
    authz.map(({ runs, settings }) => [runs, settings?.value]),
    proc.map(({ runs, mode }) => [runs, mode.value]),
  ]);
}

/** Filters in front that may answer by themselves. */
function tellOthers({ filter }: AuthzUse, notebook: Notebook): void {
  const all = filter.node.parent?.items() ?? [];
  const before = all.slice(0, filter.index).map((node) => node.get('name').text());
  if (before.length > 0)
    notebook.step('filters', 'note', `not judged here, though they come first: ${before.join(', ')}`);
}

interface CheckedBody {
  readonly sent: boolean;
  readonly bytes: Buffer | undefined;
  /** `pack_as_bytes` is off: the service does not decide on such a body. */
  readonly asText: boolean;
}

function bodyInCheck({ filter, settings }: AuthzUse, body: Buffer | undefined): CheckedBody | 'too_large' {
  const overriding = settings?.get('with_request_body');
  const buffer = overriding?.there ? overriding : filter.config.get('with_request_body');
  const none = { sent: false, bytes: undefined, asText: false };
  if (!buffer.there || settings?.get('disable_request_body_buffering').flag() || !body || body.length === 0)
    return none;
  const most = buffer.get('max_request_bytes').number() ?? 0;
  if (body.length > most && !buffer.get('allow_partial_message').flag()) return 'too_large';
  // A per-route `with_request_body` sends texts, whatever it says (Envoy 1.40, covered by test/e2e/envoy-facts.test.ts).
  const asText = overriding?.there === true || !buffer.get('pack_as_bytes').flag();
  return { sent: true, bytes: asText ? undefined : body.subarray(0, most), asText };
}

/** As they come out of Envoy's connection manager. */
function factsOf(sent: Sent, body: CheckedBody, routeMetadata: Buffer | undefined): RequestFacts {
  const { method, scheme, host, path } = sent;
  const headers = receivedHeaders(sent);
  return {
    requestId: headers.get('x-request-id') ?? '',
    method,
    path,
    host,
    scheme,
    headers,
    body: body.bytes,
    bodyAsText: body.asText,
    peer: sent.peer ?? { address: '', principal: '' },
    routeMetadata,
  };
}

/** Headers of the connection, which Envoy takes off. */
const OF_CONNECTION: ReadonlySet<string> = new Set(['host', 'connection', 'keep-alive', 'proxy-connection', 'upgrade']);

export function receivedHeaders({ method, scheme, host, path, headers, body }: Sent): HeaderFields {
  const flat = [':authority', host, ':path', path, ':method', method, ':scheme', scheme];
  const add = (name: string, value: string) => flat.push(name, value);
  // Envoy keeps Authorization as one header and joins copies (covered by test/e2e/attacks.test.ts).
  const credentials = headers.filter(([name]) => name === 'authorization').map(([, value]) => value);
  if (credentials.length > 0) add('authorization', credentials.join(','));
  for (const [name, value] of headers) if (name !== 'authorization' && !OF_CONNECTION.has(name)) add(name, value);
  const has = (wanted: string) => headers.some(([name]) => name === wanted);
  if (body && body.length > 0 && !has('content-length') && !has('transfer-encoding'))
    add('content-length', String(body.length));
  if (!has('x-forwarded-proto')) add('x-forwarded-proto', scheme);
  if (!has('x-request-id')) add('x-request-id', 'explain');
  return new HeaderFields(flat);
}
