import type { RouteUse } from '../envoy-config/model.ts';
import { type Node, unpack } from '../envoy-config/node.ts';

/** A filter that is not ours, where it runs on a route. */
export interface OtherFilter {
  /** Place in the chain; filters run in this order. */
  readonly index: number;
  readonly config: Node;
}

/** The filters of one kind (the name of their message) that run on every request of the route. */
export function runningOn({ connections, overrides }: RouteUse, kind: string): OtherFilter[] {
  return connections.manager
    .get('http_filters')
    .items()
    .flatMap((node, index) => {
      const { type, message } = unpack(node.get('typed_config'));
      if (type !== kind) return [];
      const [own] = overrides(node.get('name').text());
      const off = own ? own.disabled || own.message?.get('disabled').flag() : node.get('disabled').flag();
      return off ? [] : [{ index, config: message }];
    });
}
