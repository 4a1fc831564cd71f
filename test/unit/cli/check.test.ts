import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { check } from '../../../src/cli/check.ts';
import { printProblems } from '../../../src/cli/report.ts';
import type { Problem } from '../../../src/core/problem.ts';
import { GOOD_ENV } from '../../support/good-pair.ts';

const CONFIG = join(import.meta.dirname, '../../config');

function output(isTTY = false) {
  let text = '';
  return { isTTY, write: (more: string) => (text += more), text: () => text };
}

async function run(args: readonly string[], env: Record<string, string> = GOOD_ENV, isTTY = false) {
  const [stdout, stderr] = [output(isTTY), output()];
  const code = await check(args, { stdout, stderr, env, cwd: CONFIG });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

describe('usage', () => {
  test('help', async () => {
    for (const flag of ['--help', '-h']) {
      const { code, stdout } = await run([flag]);
      assert.equal(code, 0);
      assert.match(stdout, /--config FILE/);
    }
  });
  for (const args of [[], ['--confg', 'x'], ['x'], ['--config'], ['--config', '']]) {
    test(`wrong: ${args.join(' ') || 'nothing'}`, async () => {
      const { code, stdout, stderr } = await run(args);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, /^check: .+\n\nenvoy-mcp-identity check/);
    });
  }
});

test('a file that is not there is a problem, not a crash', async () => {
  const { code, stdout } = await run(['--config', join(CONFIG, 'none.yaml')]);
  assert.equal(code, 1);
  assert.match(stdout, /^error FILE {2}none\.yaml\n {4}cannot be read \(ENOENT\)/);
  const envoy = await run(['--config', join(CONFIG, 'good/full.sidecar.yaml'), '--envoy', join(CONFIG, 'none.yaml')]);
  assert.equal(envoy.code, 1);
  assert.match(envoy.stdout, /^error FILE {2}none\.yaml/);
});

test('problems of both files are told', async () => {
  const { code, stdout } = await run([
    '--config',
    join(CONFIG, 'bad/V-30-grpc.sidecar.yaml'),
    '--envoy',
    join(CONFIG, 'bad/V-21-fails-open.envoy.yaml'),
  ]);
  assert.equal(code, 1);
  assert.match(stdout, /V-30[^]*V-21/);
});

test('envoy.bootstrap is read when nothing else is named', async () => {
  const { code, stdout } = await run(['--config', join(CONFIG, 'good/small.sidecar.yaml')]);
  assert.deepEqual([code, stdout], [0, 'no problems found in 1 route\n']);
});

test('--json', async () => {
  const { code, stdout } = await run(['--json', '--config', join(CONFIG, 'bad/V-30-grpc.sidecar.yaml')]);
  assert.equal(code, 1);
  const { problems, routes } = JSON.parse(stdout);
  assert.equal(routes, null);
  assert.equal(problems.length, 1);
  const { message, mend, ...rest } = problems[0];
  assert.deepEqual(rest, {
    code: 'V-30',
    severity: 'error',
    file: 'bad/V-30-grpc.sidecar.yaml',
    line: 5,
    path: 'server.grpc',
  });
  assert.ok(message && mend);
});

const ESCAPE = '\u001b';

describe('printing', () => {
  const problem = (more: Partial<Problem> = {}): Problem => ({
    code: 'V-10',
    severity: 'error',
    file: '/w/a.yaml',
    path: ['a', 0],
    line: 3,
    message: 'm',
    mend: 'n',
    ...more,
  });
  const printed = (problems: readonly Problem[], isTTY: boolean, env: Record<string, string> = {}) => {
    const out = output(isTTY);
    printProblems(problems, out, { env, cwd: '/w' });
    return out.text();
  };

  test('plain', () => assert.equal(printed([problem()], false), 'error V-10  a.yaml:3  a[0]\n    m\n    mend: n\n'));
  test('in colour on a terminal', () =>
    assert.ok(printed([problem()], true).startsWith(`${ESCAPE}[31merror V-10${ESCAPE}[0m`)));
  test('not in colour with NO_COLOR', () => assert.ok(!printed([problem()], true, { NO_COLOR: '1' }).includes(ESCAPE)));
  test('files outside keep their whole path', () =>
    assert.match(printed([problem({ file: '/x/a.yaml' })], false), / \/x\/a\.yaml:3 /));
  test('in the order of files and lines', () => {
    const text = printed([problem({ line: 9 }), problem({ file: '/w/b.yaml', line: 1 }), problem({ line: 2 })], false);
    assert.deepEqual(text.match(/\w\.yaml:\d/g), ['a.yaml:2', 'a.yaml:9', 'b.yaml:1']);
  });
  test('nothing in it moves the cursor', () => {
    const text = printed([problem({ path: ['\u001b[2J'], message: '\u202etxt\r', mend: '\u0007' })], false);
    for (const char of [ESCAPE, '\u202e', '\r', '\u0007']) assert.ok(!text.includes(char));
    assert.match(text, /\\u\{1b\}\[2J/);
  });
});
