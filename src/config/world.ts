import type { IncomingMethodConfig } from '../authn/schema.ts';
import { readPeer } from '../authn/trusted-peers.ts';
import type { World } from '../policy/world.ts';
import type { Config } from './schema.ts';

/** What route policies may name, taken from the config. */
export function worldOf(config: Config): World {
  const { current } = config.signing;
  return {
    methods: new Map(
      Object.entries(config.incomingAuth).map(([name, method]) => [
        name,
        {
          type: method.type,
          ...issuerOf(method),
          headers: headersOf(method),
          trustsAddresses: trustsAddresses(method),
        },
      ]),
    ),
    providers: new Set(Object.keys(config.upstreamProviders)),
    exchanges: new Map(
      Object.entries(config.tokenExchanges).map(([name, { tokenEndpoint }]) => [name, { tokenEndpoint }]),
    ),
    secrets: new Set(Object.keys(config.secrets)),
    hasVaultKeys: config.vault.keys.length > 0,
    loginIssuer: config.connect.login?.issuer,
    loginSubjectClaim: config.connect.login?.subjectClaim,
    signing: { jws: current.jws !== undefined, hmac: current.hmac !== undefined },
    hasSessionKeys: config.session.keys.length > 0,
  };
}

function issuerOf(method: IncomingMethodConfig): { issuer?: string; subjectClaim?: string } {
  return method.type === 'jwt' || method.type === 'introspection'
    ? { issuer: method.issuer, subjectClaim: method.subjectClaim }
    : {};
}

function trustsAddresses(method: IncomingMethodConfig): boolean {
  return method.type === 'trusted_proxy' && method.trustedPeers.some((peer) => readPeer(peer)?.kind === 'block');
}

/** Lower-case names of the headers that `method` reads credentials from. */
function headersOf(method: IncomingMethodConfig): string[] {
  switch (method.type) {
    case 'jwt':
    case 'introspection':
      return method.dpop === 'off' ? ['authorization'] : ['authorization', 'dpop'];
    case 'basic':
      return ['authorization'];
    case 'api_key':
      return [method.header];
    case 'trusted_proxy':
      return [method.userHeader, ...Object.values(method.claimHeaders)];
    default:
      return [];
  }
}
