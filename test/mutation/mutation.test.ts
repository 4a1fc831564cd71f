// Every mistake that validation knows, made once in a pair of files that is otherwise right.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { validateFiles } from '../../src/cli/validate-files.ts';
import { pathText, type Problem } from '../../src/core/problem.ts';
import { GOOD_ENV, goodPair, type Loose } from '../support/good-pair.ts';
import { type Mutation, mutated } from './mutation.ts';
import { configMutations } from './mutations-config.ts';
import { envoyMutations } from './mutations-envoy.ts';
import { policyMutations } from './mutations-policy.ts';
import { trafficMutations } from './mutations-traffic.ts';

const folder = mkdtempSync(join(tmpdir(), 'mcp-identity-mutation-'));
after(() => rmSync(folder, { recursive: true }));

async function problemsOf(pair: { sidecar: Loose; envoy: Loose }): Promise<readonly Problem[]> {
  const config = join(folder, 'sidecar.yaml');
  const envoy = join(folder, 'envoy.json');
  writeFileSync(config, JSON.stringify(pair.sidecar, null, 1));
  writeFileSync(envoy, JSON.stringify(pair.envoy, null, 1));
  return (await validateFiles(config, envoy, GOOD_ENV)).problems;
}

function told(problems: readonly Problem[]): string {
  return problems
    .map(
      ({ code, severity, path, line, message }) => `${severity} ${code} ${line ?? '-'} ${pathText(path)}: ${message}`,
    )
    .join('\n');
}

const ALL: readonly Mutation[] = [...configMutations, ...policyMutations, ...envoyMutations, ...trafficMutations];

test('the unbroken pair is clean', async () => {
  assert.equal(told(await problemsOf(goodPair())), '');
});

test('every code of the contract has a mutation', () => {
  const made = new Set(ALL.map((mutation) => mutation.code));
  const codes = [
    '01',
    '02',
    '03',
    '04',
    '06',
    '07',
    '10',
    '11',
    '12',
    '13',
    '14',
    '15',
    '16',
    '17',
    '20',
    '21',
    '22',
    '23',
    '24',
    '25',
    '26',
    '27',
    '28',
    '29',
    '30',
    '31',
    '32',
    '33',
    '34',
    '35',
  ];
  assert.deepEqual(
    codes.filter((code) => !made.has(`V-${code}`)),
    [],
  );
  assert.ok(ALL.length >= 60, `${ALL.length} mutations`);
});

for (const mutation of ALL) {
  const { name, code, severity = 'error', count = 1, says, mend, alsoWarns = false, alsoCodes = [] } = mutation;
  test(`${code}: ${name}`, async () => {
    const problems = await problemsOf(mutated(mutation));
    const own = problems.filter((problem) => problem.code === code && problem.severity === severity);
    const others = problems.filter(
      (problem) => !own.includes(problem) && !alsoCodes.includes(problem.code) && !(alsoWarns && problem.code === code),
    );
    assert.equal(told(others), '', 'nothing else is wrong');
    assert.equal(own.length, count, told(problems));
    if (says) assert.match(told(own), says);
    if (mend) assert.match(own.map((problem) => problem.mend).join('\n'), mend);
    assert.ok(own.every((problem) => problem.file !== '' && problem.mend !== ''));
  });
}
