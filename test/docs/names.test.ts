// What pages name is there: metrics with their labels, reasons of refusals, commands with their options.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { commandsIn, help } from '../../scripts/docs/cli.ts';
import { proseOf } from './fences.ts';
import { checkMetricNames, MAIN, REASONS, reasonsNamedIn } from './known-names.ts';
import { ROOT, readPages } from './page-list.ts';
import { checkShell } from './shell-samples.ts';

const pages = readPages();
const helps = new Map(commandsIn(help(MAIN, [])).map((name) => [name, help(MAIN, [name])]));

describe('metrics', () => {
  for (const [page, text] of pages) if (text.includes('mcp_identity_')) test(page, () => checkMetricNames(text));
});

describe('reasons', () => {
  for (const [page, text] of pages) {
    const named = reasonsNamedIn(proseOf(text));
    if (named.length > 0)
      test(page, () =>
        assert.deepEqual(
          named.filter((reason) => !REASONS.has(reason)),
          [],
        ),
      );
  }
});

describe('commands', () => {
  for (const [page, text] of pages) {
    const spans = [...proseOf(text).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
    const ours = spans.filter(
      (code) => /^(?:envoy-mcp-identity|npm (?:run|test|start)) /.test(code) || isCommand(code),
    );
    if (ours.length > 0) test(page, () => ours.forEach(checkCommand));
  }
});

test('lines of the log that pages quote stand in the source', () => {
  const source = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'))
    .join('\n');
  const quoted = [...pages.values()].flatMap((text) =>
    [...proseOf(text).matchAll(/\blog (?:says |has )?`([^`\n]* [^`\n]*)`/g)].map(([, line = '']) => line),
  );
  assert.ok(quoted.length >= 4, quoted.join('\n'));
  assert.deepEqual(
    quoted.filter((line) => !source.includes(line)),
    [],
  );
});

/** `grants list`, `check --envoy`: a command by its own name, with something behind it that only a command has. */
function isCommand(code: string): boolean {
  const [name = '', next = ''] = code.split(' ');
  return helps.has(name) && (/^--\w/.test(next) || /^(?:list|revoke)$/.test(next));
}

function checkCommand(code: string): void {
  if (code.startsWith('npm ')) return checkShell(code);
  const [name = '', ...rest] = code.replace(/^envoy-mcp-identity /, '').split(' ');
  if (/^(?:--(?:help|version)|<command>|…)$/.test(name)) return;
  const told = helps.get(name);
  assert.ok(told, `${code}: there is no such command`);
  for (const word of rest) {
    const option = /^\[?(--[\w-]+)/.exec(word)?.[1];
    if (option) assert.match(told, new RegExp(`${option}\\b`), `${code}: no ${option}`);
  }
}

test('names that are wrong are found', () => {
  const wrong = [
    'mcp_identity_nothing_total',
    'mcp_identity_decisions_total{user="alice"}',
    'mcp_identity_decisions_total{reason="no_such"}',
    'mcp_identity_decisions_total_sum',
    'mcp_identity_nothing_*',
  ];
  for (const text of wrong) assert.throws(() => checkMetricNames(`see \`${text}\``), text);
  checkMetricNames('`mcp_identity_decisions_total{reason="scope_missing",outcome=~"a|b"}`, mcp_identity_vault_*');
  const named = reasonsNamedIn(
    'reason `a`, reasons `b`, `c` and `d`; `e`\n| reason | x |\n| --- | --- |\n| `f`, `g` | `h` |\n',
  );
  assert.equal(named.join(''), 'abcdfg');
  for (const code of [
    'envoy-mcp-identity serve --port 1',
    'envoy-mcp-identity run',
    'check --confg',
    'npm run nothing',
  ])
    assert.throws(() => checkCommand(code), code);
});
