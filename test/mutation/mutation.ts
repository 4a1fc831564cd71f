import { goodPair, type Loose } from '../support/good-pair.ts';

/** One mistake, and how it must be told. */
export interface Mutation {
  readonly name: string;
  readonly code: string;
  /** Default: error. */
  readonly severity?: 'error' | 'warning';
  /** Found in the message or the place. */
  readonly says?: RegExp;
  readonly mend?: RegExp;
  /** How many problems it makes; default 1. */
  readonly count?: number;
  /** Warnings of the same code come along. */
  readonly alsoWarns?: boolean;
  /** Codes that the mistake cannot do without. */
  readonly alsoCodes?: readonly string[];
  readonly config?: (config: Loose) => unknown;
  readonly envoy?: (envoy: EnvoyHandle) => unknown;
}

/** The parts of the good Envoy configuration by name. */
export class EnvoyHandle {
  readonly root: Loose;
  readonly listener: Loose;
  readonly manager: Loose;
  readonly virtualHost: Loose;
  readonly filters: Loose;
  readonly authz: Loose;
  readonly proc: Loose;

  constructor(root: Loose) {
    this.root = root;
    this.listener = root.static_resources.listeners[0];
    this.manager = this.listener.filter_chains[0].filters[0].typed_config;
    this.virtualHost = this.manager.route_config.virtual_hosts[0];
    this.filters = this.manager.http_filters;
    this.authz = this.filters[0].typed_config;
    this.proc = this.filters[1].typed_config;
  }

  route(name: string): Loose {
    return this.virtualHost.routes.find((route: Loose) => route.name === name);
  }

  policy(name: string): Loose {
    return this.route(name).metadata.filter_metadata['mcp.identity'];
  }
}

/** The good pair with one mistake in it. */
export function mutated({ config, envoy }: Mutation): { sidecar: Loose; envoy: Loose } {
  const pair = goodPair();
  config?.(pair.sidecar);
  envoy?.(new EnvoyHandle(pair.envoy));
  return pair;
}
