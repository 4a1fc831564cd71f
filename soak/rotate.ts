import { setTimeout as delay } from 'node:timers/promises';
import { applied, editConfig } from '../test/support/reconfigure.ts';
import type { Scene } from './chaos.ts';
import { SESSION_MS } from './sessions.ts';
import { newAesKey, newSigningKey } from './settings.ts';

/** How long backends may go on with the keys they have; what was signed is good for a minute. */
const ASSERTIONS_MS = 60_000;

/**
 * Vault, session, signing and issuer keys, as docs/operations/changing-configuration.md says: known everywhere before
 * used anywhere, and what the round before has replaced goes when nothing needs it any more. Vault keys stay: users who
 * never call keep what an old key has sealed.
 */
export async function rotateKeys(scene: Scene): Promise<void> {
  const { site, people } = scene;
  const { vault, session, signing } = site.settings;
  const [vaultKey, sessionKey, signingKey] = [newAesKey(), newAesKey(), newSigningKey()];
  const { retired } = scene;
  if (retired && Date.now() - retired.atMs > Math.max(SESSION_MS, ASSERTIONS_MS)) {
    session.keys = session.keys.filter(({ id }) => !retired.sessionKeys.has(id));
    signing.keys = signing.keys.filter(({ id }) => !retired.signingKeys.has(id));
  }
  vault.keys = [...vault.keys, vaultKey];
  session.keys = [...session.keys, sessionKey];
  signing.keys = [...signing.keys, signingKey];
  await publish(scene);
  await people.newKeys();
  await delay(500);
  scene.retired = {
    atMs: Date.now(),
    sessionKeys: new Set(session.keys.map(({ id }) => id).filter((id) => id !== sessionKey.id)),
    signingKeys: new Set([signing.current.jws]),
  };
  vault.keys = [vaultKey, ...vault.keys.filter((key) => key !== vaultKey)];
  session.keys = [sessionKey, ...session.keys.filter((key) => key !== sessionKey)];
  signing.current = { ...signing.current, jws: signingKey.id };
  await publish(scene);
}

/** Writes the files of both replicas; now and then SIGHUP tells them before they notice. */
async function publish({ site: { stack, settings }, random }: Scene): Promise<void> {
  const byHand = random.next() < 0.5;
  await applied(stack, () => {
    for (const index of stack.services.keys()) {
      editConfig(stack, (config) => void Object.assign(config, settings), index);
      if (byHand) stack.services[index]?.process.kill('SIGHUP');
    }
  });
}
