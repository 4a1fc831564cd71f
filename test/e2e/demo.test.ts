import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { guide } from '../../demo/guide.ts';
import { choosePorts } from '../../demo/ports.ts';
import { Child } from '../support/child.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Consecutive ports below the range that the system hands out by itself. */
const BASE = String(21_000 + (process.pid % 900) * 10);

/** What each step of the tour must print; the order is that of the guide. */
const EXPECTED: readonly RegExp[] = [
  /401[\s\S]*resource_metadata=/,
  /"authorization_servers":\["http:\/\/127\.0\.0\.1:\d+"\]/,
  /^$/,
  /[0-9a-f-]{20,}/,
  /x-user-sub: alice/,
  /403[\s\S]*"jsonrpc"/,
  /401[\s\S]*invalid_token/,
  /x-user-sub: bob/,
  /403[\s\S]*insufficient_scope[\s\S]*mcp:admin/,
  /x-forwarded-for/,
  /x-user-sub: alice[\s\S]*x-user-sub: bob/,
  /Pretended to delete site/,
  /Connect your tracker account first.*\/connect\/tracker\?ticket=/,
  /made for somebody else[\s\S]*signs in at the identity provider as alice[\s\S]*account wonderland[\s\S]*"tracker is connected"/,
  /tracker account: wonderland[\s\S]*authorization: Bearer \[/,
  /tracker account: wonderland\\ntoken of the tracker: [01] s old/,
  /"tracker is disconnected"[\s\S]*Connect your tracker account first/,
  /connect\/tracker\?ticket=[\s\S]*account builder[\s\S]*Can we fix it\?/,
  /"event":"decision"(?=[\s\S]*mcp_identity_decisions_total)(?=[\s\S]*mcp_identity_upstream_refreshes_total)/,
];
/** Where an anonymous caller pretends to be alice. */
const ANONYMOUS_STEP = 9;
/** Lifetime of the tracker's tokens, so that the tour need not wait for 25 s. */
const TOKEN_SECONDS = 3;

describe('npm start: the demo and every command it prints', { timeout: 120_000 }, () => {
  let demo: Child;
  before(async () => {
    demo = new Child('demo', process.execPath, [fileURLToPath(new URL('../../demo/main.ts', import.meta.url))], {
      DEMO_PORT_BASE: BASE,
      DEMO_TOKEN_SECONDS: String(TOKEN_SECONDS),
    });
    await demo.until(() => demo.stdout.includes('Everything runs'), 60_000);
  });
  after(async () => {
    assert.equal(await demo.stop('SIGINT', 20_000), 0, 'Ctrl-C ends it with 0');
  });

  it('the tour, pasted step by step into one shell', async () => {
    const steps = guide(choosePorts(BASE), process.execPath, TOKEN_SECONDS);
    assert.equal(steps.length, EXPECTED.length);
    const marker = (i: number) => `--- end of step ${i} ---`;
    const script = steps.map((step, i) => `${step.command}\necho; echo '${marker(i)}'`).join('\n');
    const shell = spawn('bash', ['-c', `exec 2>&1\n${script}`], { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    shell.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    await once(shell, 'close');
    let from = 0;
    for (const [i, expected] of EXPECTED.entries()) {
      const to = output.indexOf(marker(i), from);
      assert.ok(to >= 0, `step ${i + 1} did not run\n${output}`);
      const printed = output.slice(from, to).trim();
      assert.match(printed, expected, `step ${i + 1}: ${steps[i]?.title}`);
      if (i === ANONYMOUS_STEP)
        assert.doesNotMatch(printed, /x-user-sub/, 'an anonymous caller never looks like a person');
      from = to + marker(i).length;
    }
  });
});
