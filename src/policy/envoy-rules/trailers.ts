import type { Node } from '../envoy-config/node.ts';
import type { EnvoyRule } from './context.ts';
import { runningOn } from './other-filters.ts';

const HEADER_MUTATION = 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation';
const EVERYTHING: ReadonlySet<string> = new Set(['.*', '.+', '^.*$', '^.+$']);

/**
 * V-32, a warning: what is decided about headers holds for headers. A client of HTTP/2 sends more of them after the
 * body, and Envoy passes them on to a backend that speaks HTTP/2 (covered by test/e2e/trailers.test.ts).
 */
export const requestTrailers: EnvoyRule = ({ route, model }) => {
  if (!route.forwards) return [];
  const action = route.node.get('route');
  const clusters = [action.get('cluster'), ...action.at('weighted_clusters', 'clusters').items().map(nameOf)];
  const takers = clusters.flatMap((name) => model.takesTrailers(name.text()) ?? []);
  if (takers.length === 0 || runningOn(route, HEADER_MUTATION).some(({ config }) => removesAll(config))) return [];
  return takers.map((node) => ({
    code: 'V-32',
    severity: 'warning',
    node,
    message: 'the trailers of requests reach this cluster, and clients may fill them with any header',
    mend: `take them out by a filter of type ${HEADER_MUTATION}, with \`mutations: {request_trailers_mutations: [{remove_on_match: {key_matcher: {safe_regex: {regex: ".*"}}}}]}\``,
    route: route.label,
  }));
};

function nameOf(cluster: Node): Node {
  return cluster.get('name');
}

function removesAll(config: Node): boolean {
  return config
    .at('mutations', 'request_trailers_mutations')
    .items()
    .some((mutation) => EVERYTHING.has(mutation.at('remove_on_match', 'key_matcher', 'safe_regex', 'regex').text()));
}
