import { isIPv6 } from 'node:net';

/** An IPv4 address that came in its IPv6 form (RFC 4291 2.5.5.2), as IPv4; everything else as it is. */
export function plainAddress(address: string): string {
  return /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)?.[1] ?? address;
}

/**
 * What one party can be expected to hold: the IPv4 address, or the /64 of an IPv6 address (RFC 4291 2.5.1: a site
 * numbers its hosts in the lower half).
 */
export function networkOf(address: string): string {
  const plain = plainAddress(address);
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
    for (let missing = 8 - groups.length - after; missing > 0; missing--) groups.push('0');
    groups.push(...tail.split(':'));
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
