import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createTracing, type Tracing } from '../../../src/observe/tracing.ts';
import { readTracingSettings, type TracingSettings } from '../../../src/observe/tracing-settings.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { testTools } from '../../support/vault-tools.ts';

type Send = (body: Uint8Array) => Promise<{ status: number }>;

function tracing(env: Record<string, string>, send: Send) {
  const { settings } = readTracingSettings({ OTEL_TRACES_EXPORTER: 'otlp', ...env });
  const tools = { ...testTools(), metrics: createMetrics({ process: false }) };
  const made: Tracing = createTracing(settings as TracingSettings, {
    ...tools,
    version: '1.2.3',
    send: (_url, _headers, body) => send(body),
  });
  return { ...tools, ...made };
}

const entry = { from: undefined };

describe('spans', () => {
  test('a step that is done at once is none, one that is waited for is; an error is told by its kind alone', async () => {
    const sent: string[] = [];
    const { tracer, close } = tracing({ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, async (body) => {
      sent.push(Buffer.from(body).toString('utf8'));
      return { status: 200 };
    });
    await tracer.enter('check', entry, async () => {
      assert.equal(
        tracer.step('at hand', {}, () => 7),
        7,
      );
      await tracer.step('waited for', { 'mcp_identity.method': undefined }, async () => {});
      const failing = async () => {
        throw Object.assign(new TypeError('about a s3cret'), { code: 'with a s3cret' });
      };
      await assert.rejects(async () => tracer.step('failing', {}, failing), TypeError);
    });
    assert.equal(tracer.here, undefined);
    await tracer.step('outside', {}, async () => {});
    await close(1_000);
    const text = sent.join();
    assert.deepEqual(
      ['check', 'at hand', 'waited for', 'failing', 'outside'].map((name) => text.includes(`"name":"${name}"`)),
      [true, false, true, true, false],
    );
    assert.ok(text.includes('TypeError') && !text.includes('s3cret'));
  });

  test('the queue has an end: what finds no room is counted, and nobody waits', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const env = { OTEL_BSP_MAX_QUEUE_SIZE: '4', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2' };
    const { tracer, metrics, close } = tracing(env, () => held.then(() => ({ status: 200 })));
    for (let i = 0; i < 20; i++) void tracer.enter('check', entry, () => i);
    const counted = /mcp_identity_trace_spans_total\{outcome="dropped"\} (\d+)/.exec(await metrics.text());
    assert.equal(counted?.[1], '14'); // two are on their way, four wait
    release();
    await close(1_000);
    assert.match(await metrics.text(), /outcome="exported"\} 6/);
  });

  test('closing ends in time while the collector hangs', async () => {
    const { tracer, close, metrics } = tracing({}, (_body) => new Promise(() => {}));
    void tracer.enter('check', entry, () => 1);
    const hanging = close(20);
    await Promise.race([
      hanging,
      new Promise((_, reject) => setTimeout(() => reject(new Error('did not end')), 20_000).unref()),
    ]);
    assert.match(await metrics.text(), /outcome="failed"\} 1/);
  });
});
