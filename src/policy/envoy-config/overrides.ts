import type { Override } from './model.ts';
import { type Node, unpack } from './node.ts';

const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';
const EMPTY: ReadonlyMap<string, Override> = new Map();

/** What one level (route, virtual host, …) sets for filters, by the name of the filter. */
export function readOverrides(level: Node): ReadonlyMap<string, Override> {
  const configs = level.get('typed_per_filter_config');
  if (!configs.there) return EMPTY;
  return new Map(configs.entries().map(([name, node]) => [name, readOverride(node)]));
}

/** `FilterConfig` is a switch around the filter's own message: disabled, on with a message, or just on. */
function readOverride(node: Node): Override {
  const { type, message } = unpack(node);
  if (type !== FILTER_CONFIG) return { node, disabled: false, message };
  if (message.get('disabled').flag()) return { node, disabled: true, message: undefined };
  const inner = unpack(message.get('config'));
  return { node, disabled: false, message: inner.type === '' ? undefined : inner.message };
}
