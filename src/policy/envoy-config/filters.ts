import type { HttpFilter, Unseen } from './model.ts';
import { type Node, unpack } from './node.ts';

const KINDS: Readonly<Record<string, HttpFilter['kind']>> = {
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz': 'ext_authz',
  'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor': 'ext_proc',
};

/** What a chain holds that matters here, and what cannot be seen of it. */
export interface FiltersFound {
  readonly filters: HttpFilter[];
  readonly unseen: Unseen[];
}

/**
 * The ext_authz and ext_proc filters of a chain, recognised by `@type`, wherever they stand.
 * @param list `http_filters` of a connection manager, or `filters` of an upgrade
 * @param discovered filters that Envoy got from ECDS, by name; empty for a bootstrap
 */
export function readFilters(list: Node, discovered: ReadonlyMap<string, Node>): FiltersFound {
  const found: FiltersFound = { filters: [], unseen: [] };
  list.items().forEach((node, index) => {
    const name = node.get('name').text();
    const common = { index, name, node, offByDefault: node.get('disabled').flag() };
    const typed = node.get('config_discovery').there
      ? (discovered.get(name) ?? node.at('config_discovery', 'default_config'))
      : node.get('typed_config');
    if (!typed.there) {
      if (node.get('config_discovery').there)
        found.unseen.push({
          node,
          message: `the filter ${name} comes from a control plane`,
          mend: 'check the running Envoy: set `envoy.admin`',
        });
      return;
    }
    const { type, message } = unpack(typed);
    const kind = KINDS[type];
    if (kind) found.filters.push({ ...common, kind, config: message, conditional: false });
    else
      for (const [inner, config] of wrapped(message))
        found.filters.push({ ...common, kind: inner, config, conditional: true });
  });
  return found;
}

/** Filters inside another one: match delegates, composites. */
function* wrapped(node: Node): Iterable<[HttpFilter['kind'], Node]> {
  for (const child of [...node.items(), ...node.entries().map(([, entry]) => entry)]) {
    const { type, message } = unpack(child);
    const kind = KINDS[type];
    if (kind) yield [kind, message];
    else yield* wrapped(child);
  }
}
