import { readFileSync, statSync } from 'node:fs';

/** What is wrong with the command line or a file that it names. */
export class WrongUsage extends Error {}

const MAX_BYTES = 64 * 1024 * 1024;

/** @throws WrongUsage that names the flag */
export function readBytes(file: string, flag: string): Buffer {
  try {
    if (statSync(file).size > MAX_BYTES) throw new WrongUsage(`${flag}: ${file} is larger than 64 MiB`);
    return readFileSync(file);
  } catch (error) {
    if (error instanceof WrongUsage) throw error;
    throw new WrongUsage(
      `${flag}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
    );
  }
}
