import type { SourceDocument } from '../../core/source-document.ts';
import type { Node } from './node.ts';

/** What an Envoy bootstrap or a `/config_dump` says about routes and the filters in front of them. */
export interface EnvoyModel {
  readonly document: SourceDocument;
  readonly connections: readonly Connections[];
  readonly routes: readonly RouteUse[];
  /** The route tables that could be read, each for the connections that use it. */
  readonly tables: readonly RouteTable[];
  /** Parts that this file does not show. */
  readonly unseen: readonly Unseen[];
  /** Addresses of a cluster's static endpoints, as `host:port` or `unix:/path`. */
  readonly endpoints: (cluster: string) => readonly string[];
  /** Value of a runtime key in the static layers; the last layer wins. */
  readonly runtime: (key: string) => unknown;
}

export interface RouteTable {
  readonly connections: Connections;
  readonly node: Node;
}

export interface Unseen {
  readonly node: Node;
  readonly message: string;
  readonly mend: string;
}

/** An HTTP connection manager: one filter chain and the routes behind it. */
export interface Connections {
  readonly manager: Node;
  readonly listener: Node;
  readonly filters: readonly HttpFilter[];
  /** Upgrades (WebSocket, CONNECT) that run through filters of their own instead. */
  readonly upgrades: readonly { readonly node: Node; readonly type: string; readonly filters: readonly HttpFilter[] }[];
}

export interface HttpFilter {
  readonly kind: 'ext_authz' | 'ext_proc';
  /** Place in the chain; filters run in this order. */
  readonly index: number;
  /** Under this name routes override it. */
  readonly name: string;
  /** Its entry in `http_filters`. */
  readonly node: Node;
  readonly config: Node;
  /** It runs only where a route enables it (`HttpFilter.disabled`). */
  readonly offByDefault: boolean;
  /** It stands inside a matcher or another filter: whether it runs is decided for each request. */
  readonly conditional: boolean;
}

/** A route as one filter chain sees it; one for each weighted cluster that has overrides of its own. */
export interface RouteUse {
  readonly connections: Connections;
  readonly node: Node;
  readonly virtualHost: Node;
  /** For messages: the route's name, or what it matches. */
  readonly name: string;
  /** The name, and the weighted cluster where it matters. */
  readonly label: string;
  /** True when requests go to a cluster: no redirect, no direct response. */
  readonly forwards: boolean;
  /** The `mcp.identity` metadata. */
  readonly policy: Node;
  /** What was configured for a filter at the weighted cluster, the route, the virtual host and the route table, in this order. */
  readonly overrides: (filterName: string) => readonly Override[];
}

/** An entry of a `typed_per_filter_config`. */
export interface Override {
  readonly node: Node;
  readonly disabled: boolean;
  /** The filter's per-route message; undefined for a bare switch (`FilterConfig`). */
  readonly message: Node | undefined;
}
