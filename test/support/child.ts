import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A child process whose output is kept, and which a test can wait on. */
export class Child {
  readonly process: ChildProcess;
  readonly name: string;
  stdout = '';
  stderr = '';
  readonly exited: Promise<number | null>;
  readonly #watchers = new Set<() => void>();

  constructor(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.name = name;
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#tell();
    });
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#tell();
    });
    this.exited = once(this.process, 'close').then(([code]) => {
      this.#tell();
      return code as number | null;
    });
  }

  #tell(): void {
    for (const look of this.#watchers) look();
  }

  /** Resolves when `ready` holds after some output; rejects with the output when the process ends or time is up. */
  async until<T>(ready: () => T | undefined | false, limitMs = 15_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        settle();
      };
      const look = () => {
        const found = ready();
        if (found !== undefined && found !== false) finish(() => resolve(found));
        else if (this.process.exitCode !== null)
          finish(() => reject(this.#problem(`ended with ${this.process.exitCode}`)));
      };
      const timer = setTimeout(() => finish(() => reject(this.#problem('did not get there in time'))), limitMs);
      this.#watchers.add(look);
      look();
    });
  }

  #problem(what: string): Error {
    return new Error(`${this.name} ${what}\n${this.stdout.slice(-3000)}\n${this.stderr.slice(-5000)}`);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM', limitMs = 10_000): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    const cut = setTimeout(() => this.process.kill('SIGKILL'), limitMs);
    const code = await this.exited;
    clearTimeout(cut);
    return code;
  }
}
