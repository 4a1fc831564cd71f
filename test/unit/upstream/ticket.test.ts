import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createSealer } from '../../../src/core/seal.ts';
import { connectLink, createTickets, TICKET_LIFE_MS } from '../../../src/upstream/ticket.ts';

const ALICE = { issuer: 'https://idp.example.com', subject: 'alice@example.com', provider: 'github' };
const keys = [{ id: 'k1', key: randomBytes(32) }];

function ticketsAt(nowMs: number, sealKeys = keys, purpose = 'ticket') {
  return createTickets(createSealer(sealKeys, purpose), { nowMs: () => nowMs });
}

test('a ticket gives back what it was issued for, for ten minutes', () => {
  const text = ticketsAt(0).issue(ALICE);
  assert.equal(TICKET_LIFE_MS, 600_000);
  assert.deepEqual(ticketsAt(0).open(text), ALICE);
  assert.deepEqual(ticketsAt(TICKET_LIFE_MS).open(text), ALICE);
  assert.equal(ticketsAt(TICKET_LIFE_MS + 1).open(text), 'expired');
});

test('it tells nobody whom it is for, and two of them differ', () => {
  const [one, other] = [ticketsAt(0).issue(ALICE), ticketsAt(0).issue(ALICE)];
  assert.notEqual(one, other);
  for (const text of [one, Buffer.from(one, 'base64url').toString('latin1')])
    assert.doesNotMatch(text, /alice|example|github/);
});

test('texts that are not ours are none', () => {
  const text = ticketsAt(0).issue(ALICE);
  const others = [
    '',
    'x',
    `${text}A`,
    text.slice(0, -1),
    `${text}=`,
    `B${text.slice(1)}`,
    text.toUpperCase(),
    '\u0000',
  ];
  for (const other of others) assert.equal(ticketsAt(0).open(other), undefined, other);
  assert.equal(ticketsAt(0, [{ id: 'k1', key: randomBytes(32) }]).open(text), undefined);
  assert.equal(ticketsAt(0, keys, 'connect-state').open(text), undefined);
});

test('keys rotate: a ticket of the old key still opens', () => {
  const text = ticketsAt(0).issue(ALICE);
  assert.deepEqual(ticketsAt(0, [{ id: 'k2', key: randomBytes(32) }, ...keys]).open(text), ALICE);
});

test('the link names the provider and holds the ticket', () => {
  assert.equal(
    connectLink('https://mcp.example.com', 'github', 'abc'),
    'https://mcp.example.com/connect/github?ticket=abc',
  );
});
