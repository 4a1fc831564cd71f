import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { createRun } from '../../../../src/upstream/vault/operations.ts';
import { VaultError } from '../../../../src/upstream/vault/vault-error.ts';
import { testTools } from '../../../support/vault-tools.ts';

const LIMIT_MS = 50;

function setUp() {
  const { metrics } = testTools();
  return { metrics, run: createRun(metrics, LIMIT_MS) };
}

const never = () => new Promise<never>(() => {});

describe('operations of the vault', () => {
  test('give their result, and are measured', async () => {
    const { metrics, run } = setUp();
    const signal = new AbortController().signal;
    assert.equal(await run('read', async () => 7, signal), 7);
    assert.equal(getEventListeners(signal, 'abort').length, 0, 'nothing stays behind at a long-lived signal');
    const text = await metrics.text();
    assert.match(text, /mcp_identity_vault_duration_seconds_count\{operation="read"\} 1/);
    assert.doesNotMatch(text, /seconds_count\{operation="lease"|code="\w+"\} [1-9]/);
  });

  test('end in time, with an error that is counted', async () => {
    const { metrics, run } = setUp();
    await assert.rejects(run('lease', never, undefined), {
      name: 'VaultError',
      code: 'unavailable',
      message: 'the vault did not answer within 50 ms',
    });
    assert.match(await metrics.text(), /mcp_identity_vault_errors_total\{operation="lease",code="unavailable"\} 1/);
  });

  test('a failure that comes too late disturbs nobody', async () => {
    const { run } = setUp();
    let fail: (error: Error) => void = () => {};
    const job = new Promise<never>((_, reject) => {
      fail = reject;
    });
    await assert.rejects(
      run('read', () => job, undefined),
      { code: 'unavailable' },
    );
    fail(new Error('late'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('each kind of failure is counted under its name; what is no failure of the vault is not', async () => {
    const { metrics, run } = setUp();
    for (const code of ['damaged', 'unknown_key'] as const) {
      const error = new VaultError(code, 'x');
      await assert.rejects(
        run('read', () => Promise.reject(error), undefined),
        error,
      );
    }
    const bug = new TypeError('bug');
    await assert.rejects(
      run('read', () => Promise.reject(bug), undefined),
      bug,
    );
    const text = await metrics.text();
    assert.match(text, /errors_total\{operation="read",code="damaged"\} 1/);
    assert.match(text, /errors_total\{operation="read",code="unknown_key"\} 1/);
    assert.doesNotMatch(text, /code="unavailable"\} [1-9]/);
  });

  test('callers that go are told their own reason; a caller that has gone starts nothing', async () => {
    const { metrics, run } = setUp();
    const controller = new AbortController();
    const reason = new Error('the client hung up');
    const running = run('read', never, controller.signal);
    controller.abort(reason);
    await assert.rejects(running, reason);
    await assert.rejects(
      run('read', () => assert.fail('started'), controller.signal),
      reason,
    );
    assert.doesNotMatch(await metrics.text(), /code="\w+"\} [1-9]/);
  });
});
