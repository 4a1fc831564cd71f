import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Parts } from '../../../src/app/parts.ts';
import { Secret } from '../../../src/core/secret.ts';
import { testTools } from '../../support/vault-tools.ts';

describe('parts that outlive a generation', () => {
  const world = () => {
    const tools = testTools();
    const closed: string[] = [];
    const parts = new Parts(tools, tools.metrics);
    const make = (keep: ReturnType<Parts['hold']>, settings: unknown, name = 'part') =>
      keep.take(
        name,
        settings,
        () => ({ name }),
        ({ name: gone }) => void closed.push(gone),
      );
    return { tools, parts, closed, make };
  };

  it('the same settings, in whichever order, give the same part; it is closed after the last who holds it', () => {
    const { parts, closed, make } = world();
    const [first, second] = [parts.hold(), parts.hold()];
    const part = make(first, { a: 1, b: [1, 2], secret: new Secret('x') });
    assert.equal(make(second, { secret: new Secret('x'), b: [1, 2], a: 1, c: undefined }), part);
    assert.equal(make(second, { a: 1, b: [1, 2], secret: new Secret('x') }), part, 'asked for twice, held once');
    first.release();
    assert.deepEqual(closed, []);
    second.release();
    assert.deepEqual(closed, ['part']);
    assert.notEqual(make(parts.hold(), { a: 1, b: [1, 2], secret: new Secret('x') }), part, 'closed is gone');
  });

  it('another value, order of a list, secret or name is another part', () => {
    const { parts, make } = world();
    const keep = parts.hold();
    const made = new Set([
      make(keep, { a: [1, 2] }),
      make(keep, { a: [2, 1] }),
      make(keep, { a: ['1', '2'] }),
      make(keep, { a: { '0': 1, '1': 2 } }),
      make(keep, { a: new Secret('x') }),
      make(keep, { a: new Secret('y') }),
      make(keep, { a: '[secret]' }),
      make(keep, { a: [1, 2] }, 'other'),
    ]);
    assert.equal(made.size, 8);
  });

  it('a part holds what it was built with', () => {
    const { parts, closed, make } = world();
    const [first, second] = [parts.hold(), parts.hold()];
    const outer = (keep: typeof first) => keep.take('outer', 1, (_tools, own) => make(own as typeof first, 2, 'inner'));
    const inner = outer(first);
    assert.equal(outer(second), inner);
    first.release();
    assert.equal(make(second, 2, 'inner'), inner);
    assert.deepEqual(closed, []);
    second.release();
    assert.deepEqual(closed, ['inner']);
  });

  it('its gauges go with it, and what could not be built leaves nothing', async () => {
    const { tools, parts, closed, make } = world();
    const keep = parts.hold();
    keep.take('gauge', 1, ({ metrics }) => metrics.gauge('mcp_identity_x', 'x', () => 7, { method: 'a' }));
    assert.match(await tools.metrics.text(), /mcp_identity_x\{method="a"\} 7/);
    keep.release();
    assert.doesNotMatch(await tools.metrics.text(), /mcp_identity_x\{/);
    assert.throws(() =>
      keep.take('broken', 1, (_tools, own) => {
        make(own as typeof keep, 1);
        throw new Error('cannot be built');
      }),
    );
    assert.deepEqual(closed, ['part']);
  });
});
