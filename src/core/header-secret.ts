import { HEADER_VALUE } from './scalars.ts';
import type { Secret } from './secret.ts';

/**
 * The secret of that name, for use as a header value.
 * @throws when there is none, or its text holds what no header may carry (RFC 9110 5.5); the text is not shown
 */
export function headerSecret(secrets: ReadonlyMap<string, Secret>, name: string): Secret {
  const secret = secrets.get(name);
  if (!secret) throw new Error(`no secret is named ${name}`);
  if (!HEADER_VALUE.test(secret.reveal()))
    throw new Error(`the secret ${name} holds characters that no header may carry`);
  return secret;
}
