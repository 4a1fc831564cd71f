import type { Problem } from '../core/problem.ts';
import { isLoopback } from '../core/scalars.ts';
import { sameHost } from '../policy/envoy-config/clusters.ts';
import type { Config } from './schema.ts';

type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Takes `unix:/path`, `host:port` or `[v6]:port` apart; the host comes without brackets. */
function parseAddress(text: string): Address {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const colon = text.lastIndexOf(':');
  return { kind: 'tcp', host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

/** True when only this machine can reach `address`. */
function isLocal(address: Address): boolean {
  return address.kind === 'unix' || address.host === '::1' || isLoopback(address.host);
}

/** V-30, ports that do not exist, and listeners that would take each other's place. */
export function listenerProblems({ server }: Config): Problem[] {
  const problems: Problem[] = [];
  const add = (code: Problem['code'], key: string, message: string, mend: string) =>
    problems.push({ code, severity: 'error', file: '', path: ['server', key], message, mend });
  if (!server.grpcTls && !isLocal(parseAddress(server.grpc))) {
    // Who may call gRPC decides everything: policy and peer arrive in the call (contract §2).
    add(
      'V-30',
      'grpc',
      'the gRPC listener can be reached from a network, and callers need no certificate',
      'use a loopback address or unix:/path, or set server.grpcTls',
    );
  }
  const seen = new Map<string, string>();
  for (const key of ['grpc', 'http', 'admin'] as const) {
    const address = parseAddress(server[key]);
    if (address.kind === 'tcp' && address.port > 65_535)
      add('SCHEMA', key, 'the port does not exist', 'use a port up to 65535');
    const other = seen.get(server[key]);
    if (other !== undefined && !(address.kind === 'tcp' && address.port === 0))
      add('SCHEMA', key, `is the address of server.${other} too`, 'give each listener its own');
    seen.set(server[key], key);
  }
  return problems;
}

/** `server.grpc` in the form in which Envoy configurations name endpoints. */
export function grpcAddress({ server }: Config): string {
  return parseAddress(server.grpc).kind === 'unix' ? server.grpc : sameHost(server.grpc);
}
