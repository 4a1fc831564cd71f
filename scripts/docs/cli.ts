import { execFileSync } from 'node:child_process';

/** What `--help` prints. @param args the command, or nothing */
export function help(main: string, args: readonly string[]): string {
  return execFileSync(process.execPath, [main, ...args, '--help'], { encoding: 'utf8', env: { NO_COLOR: '1' } });
}

/** The commands that the program itself lists. */
export function commandsIn(usage: string): string[] {
  return [...usage.matchAll(/^ {2}([a-z-]+) +\S/gm)].map(([, name = '']) => name);
}

/** One section per command, in its own words. */
export function commandSections(main: string): string {
  const usage = help(main, []);
  const sections = commandsIn(usage).map((name) => `## ${name}\n\n\`\`\`text\n${help(main, [name]).trim()}\n\`\`\``);
  return [`\`\`\`text\n${usage.trim()}\n\`\`\``, ...sections].join('\n\n');
}
