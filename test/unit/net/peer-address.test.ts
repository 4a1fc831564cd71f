import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf, plainAddress } from '../../../src/net/peer-address.ts';

test('an IPv4 address in IPv6 form is an IPv4 address', () => {
  assert.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(plainAddress('::FFFF:192.0.2.1'), '192.0.2.1');
  for (const other of ['192.0.2.1', '::1', '64:ff9b::192.0.2.1', '::ffff:0:192.0.2.1', '', 'unix']) {
    assert.equal(plainAddress(other), other);
  }
});

test('the network of an address is what one party can be expected to hold', () => {
  const table = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:01:2:ffff:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::1:2:3:4:5', '2001:db8:0:1::/64'],
    ['::1', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['1:2:3:4::', '1:2:3:4::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
    ['1:2::3:4:192.0.2.1', '1:2:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['', ''],
    ['/run/envoy.sock', '/run/envoy.sock'],
  ] as const;
  for (const [address, network] of table) assert.equal(networkOf(address), network, address);
});
