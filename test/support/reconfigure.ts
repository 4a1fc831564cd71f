import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stack } from './stack.ts';

type Config = Record<string, any>;

/** Writes a file as a careful tool does: under another name, then renamed. */
export function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

/** Changes the config file of one replica. @param change edits its JSON in place */
export function editConfig(stack: Stack, change: (config: Config) => void, index = 0): void {
  const file = join(stack.folder, `sidecar-${index}.yaml`);
  const config = JSON.parse(readFileSync(file, 'utf8')) as Config;
  change(config);
  replaceFile(file, JSON.stringify(config));
}

/** Makes changes and waits until each replica has put them in use, whoever told it of them. */
export async function applied(stack: Stack, act: () => void): Promise<void> {
  await said(stack, '"message":"a new configuration is in use"', act);
}

/** Makes changes and waits until each replica has said so once more. */
export async function said(stack: Stack, text: string, act: () => void): Promise<void> {
  const count = (index: number) => stack.services[index]!.stderr.split(text).length;
  const before = stack.services.map((_, index) => count(index));
  act();
  await Promise.all(stack.services.map((service, index) => service.until(() => count(index) > before[index]!, 20_000)));
}

/** So long a test may take; a load that nobody stops, because a test failed, must not keep the run alive. */
const LOAD_LIMIT_MS = 60_000;

/** Calls, one after the other over many lines, until `stop`. */
export class Load {
  calls = 0;
  readonly failures: string[] = [];
  #stopped = false;
  readonly #lines: Promise<void>[];

  /** @param call resolves to why it failed, or to nothing */
  constructor(lines: number, call: (line: number) => Promise<string | undefined>) {
    this.#lines = Array.from({ length: lines }, async (_, line) => {
      const endMs = performance.now() + LOAD_LIMIT_MS;
      while (!this.#stopped && performance.now() < endMs) {
        const failure = await call(line).catch((error: unknown) => String(error));
        this.calls++;
        if (failure !== undefined) this.failures.push(failure);
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
    });
  }

  /** Resolves after that many more calls. */
  async more(calls: number): Promise<void> {
    const enough = this.calls + calls;
    const endMs = performance.now() + LOAD_LIMIT_MS;
    while (this.calls < enough && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lines);
  }
}
