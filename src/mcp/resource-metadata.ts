import { resourceMetadataUrl } from './challenge.ts';

/** RFC 9728 2. */
export interface ResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly scopes_supported?: readonly string[];
  readonly bearer_methods_supported: readonly string[];
}

interface Known {
  readonly url: URL;
  readonly issuers: Set<string>;
  readonly scopes: Set<string>;
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
  add(resource: string, issuers: readonly string[], scopes: readonly string[]): void {
    let known = this.#byResource.get(resource);
    if (!known) {
      known = { url: new URL(resourceMetadataUrl(resource)), issuers: new Set(), scopes: new Set() };
      this.#byResource.set(resource, known);
      const path = known.url.pathname + known.url.search;
      this.#byPath.set(path, [...(this.#byPath.get(path) ?? []), [resource, known]]);
    }
    for (const issuer of issuers) known.issuers.add(issuer);
    for (const scope of scopes) known.scopes.add(scope);
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
    };
  }
}
