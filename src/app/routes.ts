import { SIGNATURE_ALGORITHMS } from '../authn/schema.ts';
import type { IncomingMethod } from '../authn/method.ts';
import { grpcAddress } from '../config/listeners.ts';
import type { Config } from '../config/schema.ts';
import { worldOf } from '../config/world.ts';
import type { Tools } from '../core/ports.ts';
import { decodeStruct } from '../envoy/codec/struct.ts';
import { StructKeys } from '../envoy/codec/struct-key.ts';
import { ResourceDirectory } from '../mcp/resource-metadata.ts';
import type { Egress, EgressFetch } from '../net/egress.ts';
import { createFindRoute, type FindRoute } from '../pipeline/find-route.ts';
import type { RouteParts } from '../pipeline/route.ts';
import { LiveEnvoy } from '../policy/live-envoy.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import type { EnvoyValidation } from '../policy/validate-envoy.ts';

/** What is known of Envoy's routes, and the prepared routes. */
export interface Routes {
  readonly find: FindRoute;
  readonly directory: ResourceDirectory;
  readonly envoy: LiveEnvoy;
}

export interface RoutesParts extends RouteParts {
  readonly config: Config;
  /** What the bootstrap file proved. */
  readonly start: Pick<EnvoyValidation, 'policies' | 'proofs'>;
  readonly methods: ReadonlyMap<string, IncomingMethod>;
  /** What the running Envoy said before. */
  readonly seen: string | undefined;
  readonly egress: Egress;
  readonly tools: Tools;
}

/** A dump of a large Envoy is long. */
const MAX_DUMP = 256 * 1024 * 1024;

export function createRoutes(parts: RoutesParts): Routes {
  const { config, start, methods, seen, egress, tools } = parts;
  const directory = new ResourceDirectory();
  const onPolicy = (policy: RoutePolicy): void => {
    if (policy.resource === undefined) return;
    const readers = policy.incomingAuth
      .map((name) => methods.get(name))
      .filter((method) => method?.issuer !== undefined);
    directory.add(policy.resource, {
      issuers: readers.flatMap((method) => method?.issuer ?? []),
      scopes: [...policy.scopes, ...Object.values(policy.tools).flatMap((tool) => tool.scopes)],
      dpopAlgorithms: readers.some((method) => method?.dpop !== undefined) ? SIGNATURE_ALGORITHMS : [],
      dpopRequired: readers.every((method) => method?.dpop === 'required'),
    });
  };
  for (const policy of start.policies) onPolicy(policy);
  const { admin } = config.envoy;
  const fetchDump = egress.for('envoy_admin', { timeoutMs: 30_000, maxResponseBytes: MAX_DUMP });
  const world = worldOf(config);
  const envoy = new LiveEnvoy({
    start,
    fetchDump: admin === undefined ? undefined : (signal) => readDump(fetchDump, admin, signal),
    seen,
    world,
    limits: { maxBody: config.limits.maxBody, grpcAddress: grpcAddress(config) },
    onChange(policies) {
      directory.clear();
      for (const policy of policies) onPolicy(policy);
      find.reset();
    },
    tools,
  });
  const structKeys = new StructKeys();
  const find = createFindRoute({
    ...parts,
    world,
    decode: decodeStruct,
    keyOf: (metadata) => structKeys.keyOf(metadata),
    envoy,
    onPolicy,
  });
  return { find, directory, envoy };
}

async function readDump(fetchDump: EgressFetch, admin: string, signal: AbortSignal): Promise<string> {
  const answer = await fetchDump(`${admin.replace(/\/+$/, '')}/config_dump`, { method: 'GET', headers: {}, signal });
  if (answer.status !== 200) throw new Error(`/config_dump was answered with ${answer.status}`);
  return answer.text();
}
