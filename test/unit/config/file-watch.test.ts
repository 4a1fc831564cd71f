import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FileWatch, stateOf } from '../../../src/config/file-watch.ts';
import { placesOf } from '../../../src/config/places.ts';

const QUIET_MS = 60;
/** So rare that only `fs.watch` can be what told. */
const NEVER_MS = 3_600_000;

describe('files that are replaced', () => {
  let folder: string;
  let watch: FileWatch | undefined;
  let changes: number;
  let told: (() => void) | undefined;
  const at = (name: string) => join(folder, name);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'emi-watch-'));
    changes = 0;
  });
  afterEach(() => {
    watch?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (files: readonly string[], pollMs = NEVER_MS): void => {
    watch = new FileWatch({
      quietMs: QUIET_MS,
      pollMs,
      onChange: () => {
        changes++;
        told?.();
      },
    });
    watch.watch(files, stateOf(files));
  };
  /** Resolves at the next change; the timeout of the test run bounds it. */
  const change = async (act: () => void): Promise<void> => {
    const next = new Promise<void>((resolve) => {
      told = resolve;
    });
    act();
    const alive = setInterval(() => {}, 1_000); // the watch keeps no process alive
    await next;
    clearInterval(alive);
  };

  it('written in place, renamed over, removed and written anew, replaced by an editor: each is told', async () => {
    writeFileSync(at('sidecar.yaml'), 'a: 1');
    start([at('sidecar.yaml')]);
    await change(() => writeFileSync(at('sidecar.yaml'), 'a: 22'));
    await change(() => {
      writeFileSync(at('new'), 'a: 3');
      renameSync(at('new'), at('sidecar.yaml'));
    });
    await change(() => {
      unlinkSync(at('sidecar.yaml'));
      writeFileSync(at('sidecar.yaml'), 'a: 4');
    });
    await change(() => {
      renameSync(at('sidecar.yaml'), at('sidecar.yaml~'));
      writeFileSync(at('sidecar.yaml'), 'a: 5');
    });
    assert.equal(changes, 4, 'once each');
  });

  it('a Kubernetes volume: the link ..data is turned to another folder', async () => {
    const publish = (name: string, text: string): void => {
      mkdirSync(at(name));
      writeFileSync(at(`${name}/sidecar.yaml`), text);
      symlinkSync(name, at('..data_tmp'));
      renameSync(at('..data_tmp'), at('..data'));
    };
    publish('..2026_01', 'a: 1');
    symlinkSync(join('..data', 'sidecar.yaml'), at('sidecar.yaml'));
    assert.deepEqual(
      placesOf(at('sidecar.yaml'))
        .filter((place) => place.folder.startsWith(folder))
        .map(({ name }) => name),
      ['sidecar.yaml', '..data', 'sidecar.yaml'],
    );
    start([at('sidecar.yaml')]);
    await change(() => publish('..2026_02', 'a: 1'));
    rmSync(at('..2026_01'), { recursive: true });
    await change(() => publish('..2026_03', 'a: 3'));
  });

  it('a file that is not there yet, in a folder that is not there yet, is found by looking', async () => {
    start([at('secrets/key')], 20);
    await change(() => {
      mkdirSync(at('secrets'));
      writeFileSync(at('secrets/key'), 'x');
    });
    await change(() => rmSync(at('secrets'), { recursive: true }));
  });

  it('while it is being written nothing is told; once, when it is done', async () => {
    writeFileSync(at('sidecar.yaml'), 'a: 1');
    start([at('sidecar.yaml')], 5);
    await change(() => {
      void (async () => {
        for (let i = 0; i < 20; i++) {
          appendFileSync(at('sidecar.yaml'), `\nb${i}: 1`);
          assert.equal(changes, 0);
          await delay(QUIET_MS / 6);
        }
      })();
    });
    assert.equal(changes, 1);
  });

  it('what others do in the same folder is no change, and neither is what was read already', async () => {
    writeFileSync(at('sidecar.yaml'), 'a: 1');
    start([at('sidecar.yaml')], 5);
    writeFileSync(at('audit.jsonl'), '{}');
    writeFileSync(at('sidecar.yaml'), 'a: 2');
    watch?.watch([at('sidecar.yaml')], stateOf([at('sidecar.yaml')]));
    await delay(4 * QUIET_MS);
    assert.equal(changes, 0);
    await change(() => utimesSync(at('sidecar.yaml'), 1, 1));
  });

  it('links that lead in a circle end', () => {
    symlinkSync('b', at('a'));
    symlinkSync('a', at('b'));
    assert.ok(placesOf(at('a')).length > 2);
    assert.match(stateOf([at('a')]), /ELOOP/);
  });
});
