import type { TraceContext } from './trace-context.ts';

/**
 * The header fields of one request as Envoy saw them: lower-case names, copies kept apart, values as
 * latin-1 text (one character per byte). Held flat: name, value, name, value, …
 */
export class HeaderFields {
  readonly flat: readonly string[];

  constructor(flat: readonly string[]) {
    this.flat = flat;
  }

  /** The first value of `name` (lower case), or undefined. */
  get(name: string): string | undefined {
    const { flat } = this;
    for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return flat[i + 1];
    return undefined;
  }

  /** Every value of `name` (lower case), in order. */
  all(name: string): string[] {
    const { flat } = this;
    const values: string[] = [];
    for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) values.push(flat[i + 1] as string);
    return values;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }
}

/** Who opened the connection to Envoy, as Envoy saw it. */
export interface Peer {
  /** IP address without port; empty for a unix socket. */
  readonly address: string;
  /** The peer certificate's URI SAN, DNS SAN or subject; empty without mutual TLS. */
  readonly principal: string;
}

/** What is known about one request. The only thing the pipeline reads of the outside. */
export interface RequestFacts {
  /** Envoy's `x-request-id`, else its stream id. */
  readonly requestId: string;
  readonly method: string;
  /** Path with query, as the client sent it to Envoy. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly headers: HeaderFields;
  /** The whole body when Envoy sent it along; undefined when there was none or the route does not buffer. */
  readonly body: Buffer | undefined;
  /** Envoy sent the body as text, which hides bytes that are not UTF-8: a misconfiguration where we decide on it. */
  readonly bodyAsText: boolean;
  readonly peer: Peer;
  /** Where it stands in a trace; undefined when nobody traces, or says so in a way that is none. */
  readonly trace?: TraceContext | undefined;
  /** Bytes of the `mcp.identity` Struct of the route, undefined when the route has none. */
  readonly routeMetadata: Buffer | undefined;
}
