import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createSealer, type Sealer } from '../../../src/core/seal.ts';
import { Secret } from '../../../src/core/secret.ts';
import { Browser } from '../../../src/upstream/connect-browser.ts';
import { cookieSealKeys } from '../../../src/upstream/connect-keys.ts';
import { createStates, type Flow, STATE_LIFE_MS } from '../../../src/upstream/connect-state.ts';
import { VaultError } from '../../../src/upstream/vault/vault-error.ts';
import { bounded } from '../authn/support.ts';

const USER = { issuer: 'https://idp.example.com', subject: 'alice' };
const CONNECT: Flow = { kind: 'connect', provider: 'github', user: USER };

function world(sealer: Sealer = createSealer([{ id: 'k', key: randomBytes(32) }], 'connect-state')) {
  const used = new Map<string, number>();
  const clock = { nowMs: 0 };
  let away = false;
  const once = async (key: string, ttlMs: number) => {
    if (away) throw new VaultError('unavailable', 'away');
    const first = !used.has(key);
    used.set(key, ttlMs);
    return first;
  };
  const states = createStates(sealer, { once }, { nowMs: () => clock.nowMs });
  return { states, used, clock, setAway: (now: boolean) => void (away = now) };
}

test('a state is good once, in its browser, and gives back the flow', async () => {
  const { states, used } = world();
  const browser = new Browser();
  const begun = states.begin(CONNECT, browser);
  const { state, codeVerifier, nonce } = begun;
  const redeemed = await states.redeem('connect', 'github', state, browser, bounded());
  assert.deepEqual(redeemed, { ok: true, flow: CONNECT, ...begun });
  assert.match(codeVerifier, /^[\w-]{43}$/);
  assert.notEqual(codeVerifier, nonce);
  const again = await states.redeem('connect', 'github', state, browser, bounded());
  assert.deepEqual(again, { ok: false, fault: 'state_used' });
  assert.ok([...used.values()].every((ttlMs) => ttlMs >= STATE_LIFE_MS));
});

test('what does not belong is refused and stays unused', async () => {
  const { states, used, clock } = world();
  const browser = new Browser();
  const { state } = states.begin(CONNECT, browser);
  const fault = async (kind: 'sign_in' | 'connect', provider: string | undefined, text: string, who?: Browser) => {
    const redeemed = await states.redeem(kind, provider, text, who, bounded());
    return redeemed.ok ? 'ok' : redeemed.fault;
  };
  assert.equal(await fault('connect', 'github', 'x', browser), 'state_invalid');
  assert.equal(await fault('connect', 'github', `${state.slice(0, -2)}AA`, browser), 'state_invalid');
  assert.equal(await fault('connect', 'github', state, undefined), 'other_browser');
  assert.equal(await fault('connect', 'github', state, new Browser()), 'other_browser');
  assert.equal(await fault('connect', 'jira', state, browser), 'state_mixed_up');
  assert.equal(await fault('sign_in', undefined, state, browser), 'state_mixed_up');
  clock.nowMs = STATE_LIFE_MS + 1;
  assert.equal(await fault('connect', 'github', state, browser), 'state_expired');
  assert.equal(used.size, 0);
  clock.nowMs = STATE_LIFE_MS;
  assert.equal(await fault('connect', 'github', state, browser), 'ok');
});

test('a state of other keys, or of another purpose, is not ours', async () => {
  const key = { id: 'k', key: randomBytes(32) };
  const browser = new Browser();
  for (const sealer of [
    createSealer([{ id: 'k', key: randomBytes(32) }], 'connect-state'),
    createSealer([key], 'ticket'),
  ]) {
    const { state } = world(sealer).states.begin(CONNECT, browser);
    const { states } = world(createSealer([key], 'connect-state'));
    assert.deepEqual(await states.redeem('connect', 'github', state, browser, bounded()), {
      ok: false,
      fault: 'state_invalid',
    });
  }
});

test('when it cannot be told whether it was used, it is not good', async () => {
  const { states, setAway } = world();
  const browser = new Browser();
  const { state } = states.begin({ kind: 'sign_in' }, browser);
  setAway(true);
  await assert.rejects(states.redeem('sign_in', undefined, state, browser, bounded()), { code: 'unavailable' });
  setAway(false);
  assert.equal((await states.redeem('sign_in', undefined, state, browser, bounded())).ok, true);
});

test('flows of one browser have nothing in common; the verifier is not in the state', () => {
  const { states } = world();
  const browser = new Browser();
  const [one, other] = [states.begin(CONNECT, browser), states.begin(CONNECT, browser)];
  assert.equal(new Set([one.state, one.codeVerifier, one.nonce, other.state, other.codeVerifier, other.nonce]).size, 6);
  assert.equal(Buffer.from(one.state, 'base64url').includes(one.codeVerifier), false);
});

test('a browser: derived values differ by purpose and text, and are compared whole', () => {
  const browser = new Browser();
  const value = browser.derive('form', 'a', 'b');
  assert.ok(browser.derived(value, 'form', 'a', 'b'));
  for (const texts of [['ab'], ['a', 'bc'], ['', 'ab'], []])
    assert.equal(browser.derived(value, 'form', ...texts), false);
  assert.equal(browser.derived(value, 'other', 'a', 'b'), false);
  assert.equal(new Browser().derived(value, 'form', 'a', 'b'), false);
  for (const text of [undefined, '', value.slice(1), `${value}x`, 'é'.repeat(43)])
    assert.equal(browser.derived(text, 'form', 'a', 'b'), false);
  assert.equal(Browser.from(browser.bytes())?.id, browser.id);
  assert.equal(Browser.from(Buffer.alloc(31)), undefined);
});

test('cookie keys are named by what they are, so their order may change', () => {
  const texts = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64url')];
  const secrets = texts.map((text) => new Secret(text));
  const keys = cookieSealKeys(secrets);
  assert.deepEqual(cookieSealKeys(secrets.toReversed()), keys.toReversed());
  assert.equal(cookieSealKeys([...secrets, ...secrets]).length, 2);
  const digest = createHash('sha256')
    .update(Buffer.from(texts[0] ?? '', 'base64'))
    .digest('hex');
  assert.equal(keys[0]?.id, `k${digest.slice(0, 12)}`);
  const sealed = createSealer(keys, 'x').seal('text', []);
  assert.equal(createSealer(keys.toReversed(), 'x').open(sealed, []).ok, true);
  assert.throws(() => cookieSealKeys([new Secret('short')]), /connect\.cookieKeys\[0\] must be 32 bytes in base64/);
});
