import { resourceMetadataUrl } from './challenge.ts';

/** RFC 9728 2. */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly scopes_supported?: readonly string[];
  readonly bearer_methods_supported: readonly string[];
  readonly dpop_signing_alg_values_supported?: readonly string[];
  readonly dpop_bound_access_tokens_required?: true;
}

/** What one route says of a resource. */
export interface ResourceFacts {
  readonly issuers: readonly string[];
  readonly scopes: readonly string[];
  /** Accepted `alg` values of DPoP proofs; empty where no method checks any. */
  readonly dpopAlgorithms: readonly string[];
  /** No method takes a token that is not bound to a key. */
  readonly dpopRequired: boolean;
}

interface Known {
  readonly url: URL;
  readonly issuers: Set<string>;
  readonly scopes: Set<string>;
  readonly dpopAlgorithms: Set<string>;
  dpopRequired: boolean;
}

/** The MCP servers this service has heard of, from the bootstrap, the running Envoy or policies seen on requests. */
export class ResourceDirectory {
  readonly #byResource = new Map<string, Known>();
  /** By the path and query of the metadata URL. */
  readonly #byPath = new Map<string, [resource: string, known: Known][]>();

  /** Forgets everything: what Envoy runs has changed. */
  clear(): void {
    this.#byResource.clear();
    this.#byPath.clear();
  }

  /** Adds what one route says of a resource; several routes may share one. */
  add(resource: string, { issuers, scopes, dpopAlgorithms, dpopRequired }: ResourceFacts): void {
    let known = this.#byResource.get(resource);
    if (!known) {
      known = {
        url: new URL(resourceMetadataUrl(resource)),
        issuers: new Set(),
        scopes: new Set(),
        dpopAlgorithms: new Set(),
        dpopRequired: true,
      };
      this.#byResource.set(resource, known);
      const path = known.url.pathname + known.url.search;
      this.#byPath.set(path, [...(this.#byPath.get(path) ?? []), [resource, known]]);
    }
    for (const issuer of issuers) known.issuers.add(issuer);
    for (const scope of scopes) known.scopes.add(scope);
    for (const algorithm of dpopAlgorithms) known.dpopAlgorithms.add(algorithm);
    known.dpopRequired &&= dpopRequired;
  }

  /**
   * The document for a request to `path` (with query) at `host`. The host only decides between resources whose paths
   * are equal; a proxy in front may have rewritten it.
   */
  find(path: string, host: string | undefined): ResourceMetadata | undefined {
    const candidates = this.#byPath.get(path) ?? [];
    const found =
      candidates.find(([, { url }]) => url.host === host) ?? (candidates.length === 1 ? candidates[0] : undefined);
    if (!found || found[1].issuers.size === 0) return undefined;
    const [resource, known] = found;
    return {
      resource,
      authorization_servers: [...known.issuers],
      ...(known.scopes.size > 0 ? { scopes_supported: [...known.scopes] } : {}),
      bearer_methods_supported: ['header'],
      ...(known.dpopAlgorithms.size > 0 ? { dpop_signing_alg_values_supported: [...known.dpopAlgorithms] } : {}),
      ...(known.dpopRequired ? { dpop_bound_access_tokens_required: true } : {}),
    };
  }
}
