import type { HeaderFields } from '../../core/request-facts.ts';
import type { EnvoyModel, RouteTable, RouteUse } from '../envoy-config/model.ts';
import type { Node } from '../envoy-config/node.ts';
import { matchHeader, matchQuery } from './fields.ts';
import { chooseVirtualHost, routedHost } from './host.ts';
import { matchPath, pathInDoubt } from './path.ts';
import { allOf, no, unknown, type Verdict, YES } from './verdict.ts';

/** What routing looks at. */
export interface Asked {
  readonly host: string;
  readonly path: string;
  readonly method: string;
  readonly scheme: string;
  readonly headers: HeaderFields;
}

/** A route that was looked at before the one that matched, and why it does not. */
export interface PassedBy {
  readonly route: string;
  readonly why: string;
}

export type Choice =
  /** `uses` differ by weighted cluster only. */
  | { readonly kind: 'route'; readonly uses: readonly RouteUse[]; readonly passedBy: readonly PassedBy[] }
  | { readonly kind: 'none'; readonly why: string; readonly passedBy: readonly PassedBy[] }
  | { readonly kind: 'unknown'; readonly why: string; readonly passedBy: readonly PassedBy[] };

/** The route that Envoy would take for a request that came to the listener of this route table. */
export function chooseRoute(model: EnvoyModel, table: RouteTable, asked: Asked): Choice {
  const { manager, listener } = table.connections;
  const port = listener.at('address', 'socket_address', 'port_value').number();
  const passedBy: PassedBy[] = [];
  const virtualHost = chooseVirtualHost(table.node, routedHost(manager, port, asked.host));
  if (table.node.get('vhds').there)
    return { kind: 'unknown', why: 'its virtual hosts come from a control plane', passedBy };
  if (!virtualHost) return { kind: 'none', why: `no virtual host has a domain that fits ${asked.host}`, passedBy };
  const doubt = pathInDoubt(asked.path, table.node) ?? virtualHostInDoubt(virtualHost, asked);
  if (doubt !== undefined) return { kind: 'unknown', why: doubt, passedBy };
  for (const uses of routesOf(model, table, virtualHost)) {
    const [{ node, name }] = uses;
    const verdict = matchRoute(node.get('match'), asked);
    if (verdict.kind === 'yes' && node.get('route_specifiers').there)
      return { kind: 'unknown', why: `a plugin may replace the route ${name}`, passedBy };
    if (verdict.kind === 'yes') return { kind: 'route', uses, passedBy };
    if (verdict.kind === 'unknown') return { kind: 'unknown', why: `the route ${name}: ${verdict.why}`, passedBy };
    passedBy.push({ route: name, why: verdict.why });
  }
  return { kind: 'none', why: `no route of the virtual host ${virtualHost.get('name').text()} matches`, passedBy };
}

function virtualHostInDoubt(virtualHost: Node, { scheme }: Asked): string | undefined {
  if (virtualHost.get('matcher').there) return 'the virtual host chooses its routes by a matcher tree';
  const tls = virtualHost.get('require_tls').value;
  const demandsTls = tls !== undefined && tls !== null && tls !== 'NONE' && tls !== 0;
  return demandsTls && scheme !== 'https'
    ? 'the virtual host redirects requests without TLS (`require_tls`)'
    : undefined;
}

/** The routes of a virtual host in their order, each with its weighted clusters. */
function routesOf(model: EnvoyModel, { connections }: RouteTable, virtualHost: Node): [RouteUse, ...RouteUse[]][] {
  const here = virtualHost.path.join('\n');
  const groups = new Map<Node, [RouteUse, ...RouteUse[]]>();
  for (const use of model.routes) {
    if (use.connections !== connections || use.virtualHost.path.join('\n') !== here) continue;
    const group = groups.get(use.node);
    if (group) group.push(use);
    else groups.set(use.node, [use]);
  }
  return [...groups.values()];
}

/** Fields of a RouteMatch that are looked at below, in both spellings of proto JSON. */
const KNOWN =
  /^(prefix|path|path_?separated_?prefix|safe_?regex|connect_?matcher|path_?match_?policy|case_?sensitive|headers|query_?parameters|grpc|runtime_?fraction|tls_?context|dynamic_?metadata|filter_?state)$/i;

function matchRoute(match: Node, asked: Asked): Verdict {
  return allOf(conditions(match, asked));
}

function* conditions(match: Node, asked: Asked): Iterable<Verdict> {
  yield matchPath(match, asked.path, asked.method);
  for (const matcher of match.get('headers').items()) yield matchHeader(matcher, asked.headers);
  for (const matcher of match.get('query_parameters').items()) yield matchQuery(matcher, asked.path);
  if (match.get('grpc').there) {
    const type = asked.headers.get('content-type') ?? '';
    yield /^application\/grpc(?:$|[+;])/.test(type) ? YES : no('the request is no gRPC call');
  }
  if (match.get('runtime_fraction').there) yield unknown('the route takes a share of the requests only');
  if (match.get('tls_context').there) yield unknown('the route looks at the certificate of the client');
  for (const name of ['dynamic_metadata', 'filter_state'])
    if (match.get(name).items().length > 0) yield unknown(`the route looks at ${name}, which other filters set`);
  for (const [name] of match.entries()) if (!KNOWN.test(name)) yield unknown(`the route matches by \`${name}\``);
}
