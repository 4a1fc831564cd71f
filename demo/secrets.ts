import { randomBytes } from 'node:crypto';

/** The secrets that `demo/sidecar.yaml` names, as environment variables. */
const variables = ['DEMO_LOGIN_SECRET', 'DEMO_TRACKER_SECRET', 'DEMO_VAULT_KEY', 'DEMO_COOKIE_KEY'] as const;

export type DemoSecrets = Readonly<Record<(typeof variables)[number], string>>;

/** Those that are set, and new ones for the rest: 32 bytes in base64. No two runs of the demo share any by themselves. */
export function demoSecrets(env: NodeJS.ProcessEnv): DemoSecrets {
  return Object.fromEntries(
    variables.map((name) => [name, env[name] || randomBytes(32).toString('base64')]),
  ) as DemoSecrets;
}

/** Seconds that the tracker's access tokens live; throws when `text` is no whole number of them from 2 to 3600. */
export function chooseTokenSeconds(text = '20'): number {
  const seconds = Number(text);
  if (!/^\d+$/.test(text) || seconds < 2 || seconds > 3600)
    throw new Error(`DEMO_TOKEN_SECONDS is "${text}"; it must be a number from 2 to 3600`);
  return seconds;
}
