import { type Node, unpack } from '../envoy-config/node.ts';
import type { EnvoyRule } from './context.ts';

const PROXY_PROTOCOL = 'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol';

/**
 * V-34, a warning: a proxy is trusted by its address on a listener that takes addresses from the PROXY protocol. Of
 * `use_remote_address`, `xff_num_trusted_hops` and `x-forwarded-for` it does not depend (authn/trusted-peers.ts).
 */
export const forgeablePeers: EnvoyRule = ({ route, policy, world }) => {
  const named = policy.incomingAuth.find((name) => world.methods.get(name)?.trustsAddresses);
  const place = named === undefined ? undefined : proxyProtocolOf(route.connections.listener);
  if (!place) return [];
  return [
    {
      code: 'V-34',
      severity: 'warning',
      node: place,
      message: `whoever connects here says by the PROXY protocol from which address, and ${named} trusts proxies by their address`,
      mend: 'let only the load balancer connect, or name proxies by their certificates',
      route: route.label,
    },
  ];
};

function proxyProtocolOf(listener: Node): Node | undefined {
  const filter = listener
    .get('listener_filters')
    .items()
    .find((one) => unpack(one.get('typed_config')).type === PROXY_PROTOCOL);
  const chains = [...listener.get('filter_chains').items(), listener.get('default_filter_chain')];
  return filter ?? chains.map((chain) => chain.get('use_proxy_proto')).find((flag) => flag.flag());
}
