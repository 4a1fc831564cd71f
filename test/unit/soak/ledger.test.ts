// The soak is worth what it would notice.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answered } from '../../../soak/client.ts';
import { growth } from '../../../soak/flat.ts';
import type { Kind } from '../../../soak/kinds.ts';
import { Ledger } from '../../../soak/ledger.ts';
import { Outages } from '../../../soak/outages.ts';

const answer = (status: number, more: Partial<Answered> = {}): Answered => ({
  status,
  headers: {},
  body: '',
  endMs: Date.now(),
  ...more,
});
const RETRY = { headers: { 'retry-after': '1' } };

describe('what becomes of a call', () => {
  const rows: [name: string, kind: Kind, answer: Answered, counted: string, findings: number][] = [
    ['served', 'claims', answer(200), 'allowed', 0],
    ['a forged token that gets through', 'bad credential', answer(200), 'wrong', 1],
    ['a forged token that is refused', 'bad credential', answer(401), 'denied', 0],
    ['refused for another reason than it should be', 'foreign session', answer(401), 'wrong', 1],
    ['a good token that is refused', 'claims', answer(401), 'wrong', 1],
    ['an account that is gone', 'upstream', answer(403), 'wrong', 1],
    ['503 without any cause', 'claims', answer(503, RETRY), 'outside', 1],
    ['503 while what it needs is away', 'upstream', answer(503, RETRY), 'outage', 0],
    ['503 that does not say when to come back', 'upstream', answer(503), 'outside', 1],
    ['a broken connection', 'upstream', answer(0, { broken: 'reset' }), 'outside', 1],
    ['500', 'upstream', answer(500), 'outside', 1],
    ['a stream that is cut', 'stream', answer(200, { broken: 'aborted' }), 'outside', 1],
    ['given up by the client', 'hung up', answer(0, { hungUp: true, broken: 'hung up' }), 'abandoned', 0],
  ];
  for (const [name, kind, given, counted, findings] of rows)
    test(name, () => {
      const outages = new Outages();
      outages.begin({ name: 'x', affects: (one) => one === 'upstream', allows: ['retry later'], graceMs: 0 }, 0);
      const ledger = new Ledger(outages);
      ledger.ended(ledger.begin({ nonce: 'n', kind, user: 'user-1', credential: 't', filler: '' }), given);
      const { calls, ...counts } = ledger.counts[kind];
      const not = Object.entries(counts).filter(([, count]) => count !== 0);
      assert.deepEqual([calls, not, ledger.findingCount], [1, [[counted, 1]], findings]);
    });
});

test('an outage excuses calls until its grace is over, and no others', () => {
  const outages = new Outages();
  const end = outages.begin({ name: 'x', affects: () => true, allows: ['retry later'], graceMs: 1_000 }, 10_000);
  end();
  const { untilMs = 0 } = outages.all[0]!;
  const at = (startMs: number, endMs: number) => outages.excuse('claims', 'retry later', startMs, endMs)?.when;
  assert.equal(at(9_000, 9_999), undefined);
  assert.equal(at(9_000, 10_001), 'inside');
  assert.equal(at(untilMs + 500, untilMs + 600), 'grace');
  assert.equal(at(untilMs + 1_001, untilMs + 1_002), undefined);
});

test('memory that grows is told from memory that breathes', () => {
  const samples = (rssMiB: (minute: number) => number, heapMiB: (minute: number) => number = () => 50) =>
    Array.from({ length: 121 }, (_, i) => ({
      atMs: i * 5_000,
      pid: 1,
      name: 'replica 0',
      rssMiB: rssMiB(i / 12),
      heapMiB: heapMiB(i / 12),
      handles: 30,
      loopMs: 1,
    }));
  const verdict = (rssMiB: (minute: number) => number) => growth(samples(rssMiB))[0]?.verdict;
  assert.equal(
    verdict((minute) => 200 + 20 * Math.sin(minute * 9)),
    'flat',
  );
  assert.equal(
    verdict((minute) => 300 - 100 / (1 + minute)),
    'flat',
    'filling up',
  );
  assert.equal(
    verdict((minute) => 200 + 6 * minute),
    'GROWS',
  );
  const sawtooth = (minute: number) => (minute < 8 ? 40 : 90) * ((minute * 3) % 1);
  assert.equal(
    growth(
      samples(
        () => 200,
        (minute) => 50 + sawtooth(minute),
      ),
    )[0]?.verdict,
    'flat',
  );
  assert.equal(
    growth(
      samples(
        () => 200,
        (minute) => 50 + 6 * minute + sawtooth(minute),
      ),
    )[0]?.verdict,
    'GROWS',
  );
  assert.equal(growth(samples(() => 1).slice(0, 30))[0]?.verdict, 'too short to judge');
});
