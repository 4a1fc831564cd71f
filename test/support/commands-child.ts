/**
 * Runs commands of the program, given as a JSON list of argument lists in $COMMANDS, in the folder it was started in.
 * Prints one JSON line per command: its exit code, and what it wrote to stderr.
 */
import { run } from '../../src/cli/run.ts';

const commands = JSON.parse(process.env['COMMANDS'] ?? '') as readonly (readonly string[])[];
const print = process.stdout.write.bind(process.stdout);
for (const argv of commands) {
  let said = '';
  process.stdout.write = () => true;
  process.stderr.write = (text: string | Uint8Array) => {
    said += String(text);
    return true;
  };
  const code = await run(argv);
  print(`${JSON.stringify({ code, said })}\n`);
}
