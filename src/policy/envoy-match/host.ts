import type { Node } from '../envoy-config/node.ts';
import { asciiLower } from './text.ts';

/**
 * The virtual host that Envoy chooses: an exact domain, else the longest `*.suffix`, else the longest `prefix.*`, else
 * `*`. A wildcard stands for one character at least (envoy.config.route.v3.VirtualHost, `domains`).
 * @param authority as the route table sees it, ports stripped where the listener does so
 */
export function chooseVirtualHost(table: Node, authority: string): Node | undefined {
  const host = asciiLower(table.get('ignore_port_in_host_matching').flag() ? withoutPort(authority) : authority);
  let best: { readonly virtualHost: Node; readonly rank: number; readonly length: number } | undefined;
  for (const virtualHost of table.get('virtual_hosts').items()) {
    for (const text of virtualHost.get('domains').texts()) {
      const domain = asciiLower(text);
      const rank = rankOf(domain, host);
      if (rank === undefined) continue;
      if (!best || rank < best.rank || (rank === best.rank && domain.length > best.length))
        best = { virtualHost, rank, length: domain.length };
    }
  }
  return best?.virtualHost;
}

function rankOf(domain: string, host: string): number | undefined {
  if (domain === '*') return 3;
  if (domain === host) return 0;
  const isLonger = host.length > domain.length - 1;
  if (domain.startsWith('*')) return isLonger && host.endsWith(domain.slice(1)) ? 1 : undefined;
  if (domain.endsWith('*')) return isLonger && host.startsWith(domain.slice(0, -1)) ? 2 : undefined;
  return undefined;
}

/** @param manager the connection manager, which may take the port or a trailing dot off before routing */
export function routedHost(manager: Node, listenerPort: number | undefined, authority: string): string {
  const dotless = manager.get('strip_trailing_host_dot').flag() ? authority.replace(/\.(?=$|:\d+$)/, '') : authority;
  const bare = withoutPort(dotless);
  if (manager.get('strip_any_host_port').flag()) return bare;
  const strips = manager.get('strip_matching_host_port').flag() && dotless === `${bare}:${listenerPort}`;
  return strips ? bare : dotless;
}

function withoutPort(authority: string): string {
  return authority.replace(/:\d+$/, '');
}
