import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './page-list.ts';
import { type Command, commandsOf } from './shell-commands.ts';

const SCRIPTS = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> })
  .scripts;

/** A shell reads the text without complaint, and what it calls of ours is there. @throws */
export function checkShell(text: string): void {
  execFileSync('sh', ['-n'], { input: text, stdio: ['pipe', 'ignore', 'pipe'] });
  for (const command of commandsOf(text)) {
    checkNpm(command);
    for (const word of command.slice(0, 2))
      if (/^(?:\.\/)?(?:scripts|demo|bench)\/[\w/.-]+$/.test(word)) assert.ok(existsSync(join(ROOT, word)), word);
  }
}

/** The arguments, when the command is the program. */
export function argumentsOfProgram(command: Command): readonly string[] | undefined {
  if (command[0] === 'envoy-mcp-identity') return command.slice(1);
  const main = command.findIndex((word, i) => word === 'node' && command[i + 1] === 'dist/main.js');
  return main < 0 ? undefined : command.slice(main + 2);
}

/** `npm run NAME -- --option`: the script is there, and its program knows the option. */
function checkNpm([program, verb = '', ...rest]: Command): void {
  if (program !== 'npm' || !['run', 'test', 'start'].includes(verb)) return;
  const [name = '', ...args] = verb === 'run' ? rest : [verb, ...rest];
  assert.ok(Object.hasOwn(SCRIPTS, name), `package.json has no script ${name}`);
  if (args[0] !== '--') return;
  for (const option of args.filter((word) => /^--./.test(word)))
    assert.ok(optionsOf(name).has(option.slice(2)), `npm run ${name} knows no ${option}`);
  if (name === 'test') for (const path of args.slice(1)) assert.ok(existsSync(join(ROOT, path)), `there is no ${path}`);
}

/** Keys of the `options` that the script's program hands to parseArgs. */
function optionsOf(name: string): ReadonlySet<string> {
  const places = [`${name}/main.ts`, `test/${name}/main.ts`, `scripts/${name}.mjs`, `scripts/${name}/main.ts`];
  const sources = places
    .filter((path) => existsSync(join(ROOT, path)))
    .map((path) => readFileSync(join(ROOT, path), 'utf8'));
  return new Set(
    sources.flatMap((source) =>
      [...source.matchAll(/^\s*['"]?([\w-]+)['"]?: \{ type: '/gm)].map(([, key = '']) => key),
    ),
  );
}
