#!/usr/bin/env node
import { run } from './cli/run.ts';

const code = await run(process.argv.slice(2));
// What a slow reader at the other end of a pipe has not taken yet would be lost with the process.
await Promise.all(
  [process.stdout, process.stderr].map((output) => new Promise((taken) => output.write('', () => taken(undefined)))),
);
process.exit(code);
