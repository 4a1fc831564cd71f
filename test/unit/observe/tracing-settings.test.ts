import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readTracingSettings } from '../../../src/observe/tracing-settings.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
const read = (env: Readonly<Record<string, string>>) => readTracingSettings(env);
const settings = (env: Readonly<Record<string, string>>) => {
  const { settings: found, problems } = read(env);
  assert.ok(found, problems.join());
  return found;
};

describe('whether there are traces', () => {
  for (const [why, env] of Object.entries({
    'nothing is set': {},
    'only a name is set': { OTEL_SERVICE_NAME: 'x' },
    'the SDK is disabled': { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' },
    'the exporter is none': { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' },
    'the sampler takes nothing': { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'always_off' },
    'the endpoint is empty': { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' },
  } as Record<string, Record<string, string>>))
    test(`off when ${why}`, () => assert.deepEqual(read(env), { settings: undefined, problems: [] }));

  for (const [variable, env] of Object.entries({
    OTEL_TRACES_EXPORTER: { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'zipkin' },
    OTEL_EXPORTER_OTLP_ENDPOINT: { OTEL_EXPORTER_OTLP_ENDPOINT: 'grpc://collector:4317' },
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://user:s3cret@collector/' },
    OTEL_EXPORTER_OTLP_PROTOCOL: { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
  } as Record<string, Record<string, string>>))
    test(`off, and told, when ${variable} asks for what cannot be done`, () => {
      const { settings: none, problems } = read(env);
      assert.equal(none, undefined);
      assert.equal(problems.length, 1);
      assert.ok(problems[0]?.startsWith(`${variable}: `));
      assert.ok(!problems.join().includes('s3cret'));
    });
});

describe('what is asked for', () => {
  test('the defaults of OpenTelemetry', () => {
    assert.deepEqual(settings({ OTEL_TRACES_EXPORTER: 'otlp' }), {
      endpoint: 'http://localhost:4318/v1/traces',
      headers: {},
      encoding: 'protobuf',
      gzip: false,
      timeoutMs: 10_000,
      sampler: { parentBased: true, ratio: 1 },
      batch: { delayMs: 5_000, size: 512, queue: 2_048 },
      handOn: true,
    });
  });

  test('what is said for traces comes before what is said for all signals', () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/base/',
      OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer%20abc, x-team = a%2Cb ,',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x-team=c',
      OTEL_EXPORTER_OTLP_TIMEOUT: '2000',
      OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '500',
    };
    const { endpoint, headers, timeoutMs } = settings(env);
    assert.equal(endpoint, 'https://collector/base/v1/traces');
    assert.deepEqual(headers, { authorization: 'Bearer abc', 'x-team': 'c' });
    assert.equal(timeoutMs, 500);
    const own = { ...env, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://other/path' };
    assert.equal(settings(own).endpoint, 'https://other/path');
  });

  test('samplers', () => {
    const of = (name: string, arg = '0.25') =>
      settings({ ...ENDPOINT, OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg }).sampler;
    assert.deepEqual(of('always_on'), { parentBased: false, ratio: 1 });
    assert.deepEqual(of('traceidratio'), { parentBased: false, ratio: 0.25 });
    assert.deepEqual(of('parentbased_traceidratio'), { parentBased: true, ratio: 0.25 });
    assert.deepEqual(of('parentbased_always_off'), { parentBased: true, ratio: 0 });
  });

  test('a batch is no larger than the queue, and others learn of the trace unless told not to', () => {
    const { batch, handOn } = settings({ ...ENDPOINT, OTEL_BSP_MAX_QUEUE_SIZE: '10', OTEL_PROPAGATORS: 'none' });
    assert.deepEqual([batch.size, batch.queue, handOn], [10, 10, false]);
  });

  test('a wrong value is told by the name of its variable, never by itself, and the default is used', () => {
    const { settings: found, problems } = read({
      ...ENDPOINT,
      OTEL_BSP_SCHEDULE_DELAY: 'soon',
      OTEL_TRACES_SAMPLER: 'sometimes',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd',
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/ca.pem',
      OTEL_EXPORTER_OTLP_HEADERS: 'a b=s3cret,x-good=1,broken=%zz,two=s3cret%0d%0ax: y',
    });
    assert.equal(found?.batch.delayMs, 5_000);
    assert.deepEqual(found?.headers, { 'x-good': '1' });
    assert.deepEqual(found?.sampler, { parentBased: true, ratio: 1 });
    assert.deepEqual(problems.map((problem) => problem.split(':')[0] ?? '').sort(), [
      'OTEL_BSP_SCHEDULE_DELAY',
      'OTEL_EXPORTER_OTLP_CERTIFICATE',
      'OTEL_EXPORTER_OTLP_COMPRESSION',
      'OTEL_EXPORTER_OTLP_HEADERS',
      'OTEL_EXPORTER_OTLP_HEADERS',
      'OTEL_EXPORTER_OTLP_HEADERS',
      'OTEL_TRACES_SAMPLER',
    ]);
    assert.ok(!problems.join().includes('s3cret'));
  });
});
