import { BlockList, isIP } from 'node:net';
import type { Log } from '../core/ports.ts';
import type { Peer } from '../core/request-facts.ts';
import { plainAddress } from '../net/peer-address.ts';

/** Says whether a connection comes from one of those that were named. */
export type TrustsPeer = (peer: Peer) => boolean;

/**
 * Addresses and CIDR blocks are compared with the peer's address, everything else letter by letter with the principal
 * of its certificate.
 *
 * What Envoy reports about the peer, tried on 1.40:
 * - The address is that of the connection. `x-forwarded-for` never changes it, neither with `use_remote_address` and
 *   `xff_num_trusted_hops` nor with an original-IP detection extension. The PROXY protocol listener filter does: whoever
 *   can open a connection to such a listener chooses an address, so name certificates there, or keep others away from it.
 * - The principal is the first URI SAN, else the first DNS SAN, else the subject. It is filled for certificates that
 *   were not verified, too (`trust_chain_verification: ACCEPT_UNTRUSTED`): the listener needs
 *   `require_client_certificate` and a `trusted_ca` that is trusted to issue these names, DNS SANs included.
 * @param place of the list in the config file
 * @throws when an entry is meant as an address or block and is none
 */
export function createTrustedPeers(entries: readonly string[], place: string, log: Log): TrustsPeer {
  const blocks = new BlockList();
  const principals = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const peer = readPeer(entry);
    if (peer === undefined) throw new Error(`${place}[${index}]: ${PEER_FAULT}`);
    if (peer.kind === 'principal') {
      principals.add(entry);
      continue;
    }
    const { address, bits, family } = peer;
    if (bits === 0) log.warn('everybody is a trusted proxy: whoever reaches Envoy can be anybody', { at: place });
    blocks.addSubnet(address, bits, family);
  }
  return ({ address, principal }) => {
    if (principals.has(principal)) return true;
    // BlockList reads the IPv6 form of an IPv4 address as what it is.
    const family = isIP(address);
    return family !== 0 && blocks.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/** What is wrong with an entry that is meant as an address or block and is none. */
export const PEER_FAULT = 'is neither an IP address nor a CIDR block such as 10.0.0.0/8 or 2001:db8::/32';

type TrustedPeer =
  | { readonly kind: 'principal' }
  | { readonly kind: 'block'; readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' };

/** @returns undefined for an entry that is meant as an address or block and is none */
export function readPeer(entry: string): TrustedPeer | undefined {
  const [address = '', prefix, ...rest] = entry.split('/');
  const plain = plainAddress(address);
  const family = isIP(plain);
  if (family === 0) {
    // Digits and dots, or hex and colons: an address with a mistake in it, never a name in a certificate.
    const isMeant = /^[\d.]+$/.test(address) || /^[\da-f.]*(:[\da-f.]*){2,}$/i.test(address);
    return isMeant ? undefined : { kind: 'principal' };
  }
  const allBits = family === 4 ? 32 : 128;
  const given = prefix === undefined ? allBits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  const bits = plain === address || prefix === undefined ? given : given - 96;
  if (rest.length > 0 || !(bits >= 0 && bits <= allBits)) return undefined;
  return { kind: 'block', address: plain, bits, family: family === 4 ? 'ipv4' : 'ipv6' };
}
