import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { afterEach, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { hashSync } from 'bcryptjs';
import { PasswordPool } from '../../../src/authn/password-pool.ts';
import { bounded } from './support.ts';

const CHEAP = hashSync('secret', 4);
/** About a tenth of a second. */
const DEAR = hashSync('secret', 10);

const pools: PasswordPool[] = [];
function poolOf(size: number, maxWaiting: number): PasswordPool {
  const pool = new PasswordPool(size, maxWaiting);
  pools.push(pool);
  return pool;
}
/** The answer about a password that was let in. */
async function answer(checked: Promise<boolean> | undefined): Promise<boolean> {
  return checked ?? assert.fail('the queue is full');
}
afterEach(() => {
  for (const pool of pools.splice(0)) pool.close();
});

test('says whether passwords are right', { timeout: 20_000 }, async () => {
  const pool = poolOf(2, 10);
  const answers = ['secret', 'wrong', 'secret', '', 'secret'].map((word) => answer(pool.check(CHEAP, word, bounded())));
  assert.deepEqual(await Promise.all(answers), [true, false, true, false, true]);
});

test('the event loop goes on while a password is checked', { timeout: 20_000 }, async () => {
  const pool = poolOf(1, 10);
  await pool.check(CHEAP, 'secret', bounded()); // the thread is up
  const answers: boolean[] = [];
  const checked = answer(pool.check(DEAR, 'secret', bounded())).then((one) => answers.push(one));
  let turns = 0;
  for (; answers.length === 0; turns++) await setImmediate();
  await checked;
  assert.deepEqual(answers, [true]);
  assert.ok(turns > 100, `${turns} turns`);
});

test('a full queue takes no more, and all who wait get their answer', { timeout: 20_000 }, async () => {
  const pool = poolOf(1, 3);
  const answers = [1, 2, 3, 4, 5, 6].map(() => pool.check(CHEAP, 'secret', bounded()));
  assert.deepEqual(answers.map(Boolean), [true, true, true, true, false, false]);
  assert.equal(pool.waiting, 3);
  assert.deepEqual(await Promise.all(answers.slice(0, 4).map(answer)), [true, true, true, true]);
  assert.equal(pool.waiting, 0);
  assert.equal(await pool.check(CHEAP, 'secret', bounded()), true);
});

test('who gives up makes room, and takes no thread', { timeout: 20_000 }, async () => {
  const pool = poolOf(1, 1);
  const running = pool.check(CHEAP, 'secret', bounded());
  const caller = new AbortController();
  const waiting = pool.check(CHEAP, 'secret', caller.signal);
  assert.equal(pool.check(CHEAP, 'secret', bounded()), undefined);
  caller.abort(new Error('gone'));
  await assert.rejects(answer(waiting), { message: 'gone' });
  const next = pool.check(CHEAP, 'wrong', bounded());
  assert.deepEqual(await Promise.all([running, next]), [true, false]);
});

test('who has given up already is not let in', { timeout: 20_000 }, async () => {
  const pool = poolOf(1, 1);
  const running = pool.check(CHEAP, 'secret', bounded());
  const late = pool.check(CHEAP, 'secret', AbortSignal.abort(new Error('too late')));
  await assert.rejects(answer(late), { message: 'too late' });
  assert.equal(pool.waiting, 0);
  assert.equal(await running, true);
});

test('a thread that dies takes only its own password with it', { timeout: 20_000 }, async () => {
  const pool = poolOf(1, 5);
  const answers = ['no hash', CHEAP, 'no hash', CHEAP].map((hash) => answer(pool.check(hash, 'secret', bounded())));
  const settled = await Promise.allSettled(answers);
  assert.deepEqual(
    settled.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message)),
    ['not a password hash', true, 'not a password hash', true],
  );
});

test('closing leaves nobody waiting', { timeout: 20_000 }, async () => {
  const pool = poolOf(1, 5);
  const answers = [1, 2, 3].map(() => answer(pool.check(DEAR, 'secret', bounded())));
  pool.close();
  const settled = await Promise.allSettled(answers);
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  );
});

test('a thread keeps the process alive while it works, and only then', { timeout: 20_000 }, async () => {
  const program = `
    import { PasswordPool } from ${JSON.stringify(new URL('../../../src/authn/password-pool.ts', import.meta.url))};
    const pool = new PasswordPool(1, 5);
    const { signal } = new AbortController();
    for (const word of ['secret', 'wrong']) {
      console.log(await pool.check(${JSON.stringify(CHEAP)}, word, signal));
      await new Promise((resolve) => setTimeout(resolve, 1)); // the thread is idle now
    }
  `;
  const args = ['--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 });
  assert.equal(stdout, 'true\nfalse\n');
});
