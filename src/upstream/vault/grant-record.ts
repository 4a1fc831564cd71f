import { z } from 'zod';
import { Secret } from '../../core/secret.ts';
import type { Sealer } from '../../core/seal.ts';
import { VaultError } from './vault-error.ts';
import { recordKeyOf } from './record-key.ts';
import type { StoredRecord } from './store.ts';
import type { Grant, GrantContent, GrantKey } from './vault.ts';

/** What stands sealed in a record. Unknown keys are ignored, so that replicas of two versions can share a store. */
const payloadSchema = z.object({
  issuer: z.string(),
  subject: z.string(),
  accessToken: z.string(),
  refreshToken: z.string().optional(),
  tokenType: z.string(),
  scopes: z.array(z.string()),
  requestedScopes: z.array(z.string()),
  expiresAtMs: z.number().optional(),
  issuedAtMs: z.number(),
  connectedAtMs: z.number(),
  refreshedAtMs: z.number().optional(),
  storedAtMs: z.number().optional(),
  stale: z.boolean().optional(),
  issuedBy: z.string().optional(),
});
type Payload = z.output<typeof payloadSchema>;

export function sealGrant(sealer: Sealer, key: GrantKey, generation: number, content: GrantContent): StoredRecord {
  const payload: Payload = {
    issuer: key.issuer,
    subject: key.subject,
    accessToken: content.accessToken.reveal(),
    refreshToken: content.refreshToken?.reveal(),
    tokenType: content.tokenType,
    scopes: [...content.scopes],
    requestedScopes: [...content.requestedScopes],
    expiresAtMs: content.expiresAtMs,
    issuedAtMs: content.issuedAtMs,
    connectedAtMs: content.connectedAtMs,
    refreshedAtMs: content.refreshedAtMs,
    storedAtMs: content.storedAtMs,
    stale: content.stale,
    issuedBy: content.issuedBy,
  };
  const record = recordKeyOf(key);
  const sealed = sealer.seal(JSON.stringify(payload), associated(record, generation, key.provider));
  return { record, generation, provider: key.provider, sealed };
}

/** @throws VaultError `unknown_key` or `damaged` */
export function openGrant(sealer: Sealer, stored: StoredRecord): { readonly key: GrantKey; readonly grant: Grant } {
  const { record, generation, provider } = stored;
  const opened = sealer.open(stored.sealed, associated(record, generation, provider));
  if (!opened.ok) {
    const keyId = opened.fault === 'malformed' ? undefined : opened.keyId;
    if (opened.fault === 'unknown_key')
      throw new VaultError(
        'unknown_key',
        `vault record ${record} is sealed with key "${keyId}", which is not configured`,
        { record, keyId },
      );
    throw new VaultError(
      'damaged',
      `vault record ${record} does not open${keyId ? ` with key "${keyId}"` : ''}: it was changed, or the key was`,
      { record, keyId },
    );
  }
  const payload = parse(opened.plaintext);
  if (!payload)
    throw new VaultError(
      'damaged',
      `vault record ${record} opens with key "${opened.keyId}" but does not hold a grant`,
      { record, keyId: opened.keyId },
    );
  return { key: { issuer: payload.issuer, subject: payload.subject, provider }, grant: grantOf(payload, generation) };
}

/** Moving a record, or giving it another generation or provider, makes it fail to open. */
function associated(record: string, generation: number, provider: string): string[] {
  return [record, String(generation), provider];
}

function parse(plaintext: Buffer): Payload | undefined {
  try {
    return payloadSchema.parse(JSON.parse(plaintext.toString('utf8')));
  } catch {
    return undefined;
  }
}

function grantOf(payload: Payload, generation: number): Grant {
  const { accessToken, refreshToken, expiresAtMs, refreshedAtMs, storedAtMs, stale, issuedBy } = payload;
  return {
    generation,
    accessToken: new Secret(accessToken),
    ...(refreshToken !== undefined && { refreshToken: new Secret(refreshToken) }),
    tokenType: payload.tokenType,
    scopes: payload.scopes,
    requestedScopes: payload.requestedScopes,
    ...(expiresAtMs !== undefined && { expiresAtMs }),
    issuedAtMs: payload.issuedAtMs,
    connectedAtMs: payload.connectedAtMs,
    ...(refreshedAtMs !== undefined && { refreshedAtMs }),
    ...(storedAtMs !== undefined && { storedAtMs }),
    ...(stale !== undefined && { stale }),
    ...(issuedBy !== undefined && { issuedBy }),
  };
}
