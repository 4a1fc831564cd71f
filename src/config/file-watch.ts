import { type FSWatcher, statSync, watch } from 'node:fs';
import { placesOf } from './places.ts';

export interface FileWatchOptions {
  /** Told when the files have changed, and have stayed as they are for `quietMs`. */
  readonly onChange: () => void;
  /** How long nothing may change, so that a file that is being written is not read half; milliseconds. */
  readonly quietMs?: number;
  /** How often it is looked without being told, because network volumes tell nothing; milliseconds. */
  readonly pollMs?: number;
}

const QUIET_MS = 500;
const POLL_MS = 5_000;

/**
 * Tells that one of some files is another one than before, whichever way it was replaced: written in place, renamed
 * over, or behind a symbolic link that was turned elsewhere. Files may be missing. Nothing here keeps the process alive.
 */
export class FileWatch {
  readonly #onChange: () => void;
  readonly #quietMs: number;
  #files: readonly string[] = [];
  /** What was seen last by whoever reads the files. */
  #taken = '';
  /** What was seen since, and when first. */
  #candidate: { readonly state: string; readonly sinceMs: number } | undefined;
  #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #poll: NodeJS.Timeout;

  constructor({ onChange, quietMs = QUIET_MS, pollMs = POLL_MS }: FileWatchOptions) {
    this.#onChange = onChange;
    this.#quietMs = quietMs;
    this.#poll = setInterval(() => this.#look(), pollMs).unref();
  }

  /**
   * Watches these files from now on.
   * @param seen what `stateOf` said before they were read: what has changed since is a change
   */
  watch(files: readonly string[], seen: string): void {
    this.#files = [...new Set(files)];
    this.#taken = seen;
    this.#candidate = undefined;
    this.#listen();
    this.#soon(); // between reading and now
  }

  close(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }

  #listen(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    const names = new Map<string, Set<string>>();
    for (const { folder, name } of this.#files.flatMap(placesOf)) {
      const known = names.get(folder) ?? new Set();
      names.set(folder, known.add(name));
    }
    for (const [folder, ours] of names) {
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          if (name === null || ours.has(name)) this.#soon();
        });
        watcher.on('error', () => watcher.close()); // the poll goes on
        this.#watchers.push(watcher);
      } catch {
        // The folder is not there, or the system watches too much already: the poll looks.
      }
    }
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, this.#quietMs).unref();
  }

  #look(): void {
    const state = stateOf(this.#files);
    if (state === this.#taken) {
      this.#candidate = undefined;
      return;
    }
    const nowMs = performance.now();
    if (this.#candidate?.state !== state) this.#candidate = { state, sinceMs: nowMs };
    else if (nowMs - this.#candidate.sinceMs >= this.#quietMs) {
      this.#taken = state;
      this.#candidate = undefined;
      this.#listen(); // links may lead elsewhere
      this.#onChange();
      return;
    }
    this.#soon();
  }
}

/** Another text when one of the files is another one, was written, has come or has gone. */
export function stateOf(files: readonly string[]): string {
  return [...new Set(files)].map((file) => `${file}\0${stateOfFile(file)}`).join('\0');
}

function stateOfFile(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}
