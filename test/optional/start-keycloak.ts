import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from '../support/child.ts';
import { type Answer, send } from '../support/http.ts';
import { freePorts } from '../support/ports.ts';

/**
 * For tests against a real Keycloak 26, which are not part of a normal run: unpack org.keycloak:keycloak-quarkus-dist
 * (zip, Maven Central), have Java 17 or newer, and set KEYCLOAK_HOME to the folder.
 */
export const KEYCLOAK_HOME = process.env['KEYCLOAK_HOME'];
export const NO_KEYCLOAK = KEYCLOAK_HOME ? false : 'KEYCLOAK_HOME is not set';

const REALM = fileURLToPath(new URL('keycloak-realm.json', import.meta.url));
const START_LIMIT_MS = 240_000;
const ADMIN = { username: 'admin', password: 'admin-of-the-test' };

/** A Keycloak with the realm `corp`, whose users have their names for passwords. */
export interface Keycloak {
  readonly issuer: string;
  /** A form to `<issuer>/protocol/openid-connect/<path>`. */
  form(path: string, fields: Readonly<Record<string, string>>, headers?: readonly string[]): Promise<Answer>;
  /** The admin API, below `/admin/realms/corp`. @throws when it refuses */
  admin(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

export async function startKeycloak(home: string): Promise<Keycloak> {
  const [port, management] = (await freePorts(2)) as [number, number];
  mkdirSync(join(home, 'data', 'import'), { recursive: true });
  copyFileSync(REALM, join(home, 'data', 'import', 'corp.json'));
  const child = new Child(
    'keycloak',
    join(home, 'bin', 'kc.sh'),
    [
      'start-dev',
      '--import-realm',
      '--db=dev-mem',
      `--http-port=${port}`,
      `--http-management-port=${management}`,
      '--http-host=127.0.0.1',
    ],
    { KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN.username, KC_BOOTSTRAP_ADMIN_PASSWORD: ADMIN.password },
  );
  await child.until(() => child.stdout.includes('Listening on:'), START_LIMIT_MS);
  const origin = `http://127.0.0.1:${port}`;
  const issuer = `${origin}/realms/corp`;
  const post = (url: string, fields: Readonly<Record<string, string>>, headers: readonly string[] = []) =>
    send(url, {
      method: 'POST',
      headers: ['Content-Type', 'application/x-www-form-urlencoded', ...headers],
      body: new URLSearchParams(fields).toString(),
    });
  return {
    issuer,
    form: (path, fields, headers) => post(`${issuer}/protocol/openid-connect/${path}`, fields, headers),
    async admin(method, path, body) {
      const signIn = await post(`${origin}/realms/master/protocol/openid-connect/token`, {
        grant_type: 'password',
        client_id: 'admin-cli',
        ...ADMIN,
      });
      const headers = ['Authorization', `Bearer ${signIn.json().access_token}`, 'Content-Type', 'application/json'];
      const call = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      const answer = await send(`${origin}/admin/realms/corp${path}`, call);
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
      return answer;
    },
    stop: async () => void (await child.stop('SIGTERM', 30_000)),
  };
}
