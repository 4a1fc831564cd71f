/**
 * A replica of its own: vault, provider and refresher in one process, driven over IPC. Configuration comes as JSON in
 * $REFRESHER_CHILD.
 */
import { createEgress } from '../../src/net/egress.ts';
import { createProvider } from '../../src/upstream/provider.ts';
import type { RefreshLimits } from '../../src/upstream/refresh-grant.ts';
import { createRefresher } from '../../src/upstream/refresher.ts';
import { openVault } from '../../src/upstream/vault/open.ts';
import { providerConfig } from '../unit/upstream/support.ts';
import { testTools, vaultConfig } from './vault-tools.ts';

export interface ReplicaInput {
  readonly store: string;
  readonly key: { readonly id: string; readonly base64: string };
  readonly provider: Readonly<Record<string, unknown>>;
  readonly limits: Partial<RefreshLimits>;
  /** How far the clock of this replica is off. */
  readonly skewMs: number;
  readonly egressTimeoutMs: number;
}

export interface ReplicaCall {
  readonly id: number;
  readonly issuer: string;
  readonly subject: string;
  readonly limitMs: number;
}

export type ReplicaAnswer = { readonly id: number } & (
  | { readonly kind: 'token'; readonly token: string; readonly generation: number }
  | {
      readonly kind: 'unconnected' | 'unavailable' | 'error';
      readonly why: string;
      readonly retryAfterSeconds?: number;
    }
);

const input = JSON.parse(process.env['REFRESHER_CHILD'] ?? '') as ReplicaInput;
const tools = testTools();
tools.clock.advance(input.skewMs);
const vault = await openVault(
  vaultConfig(input.store, [{ id: input.key.id, bytes: Buffer.from(input.key.base64, 'base64') }]),
  tools,
);
const egress = createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: input.egressTimeoutMs });
const provider = createProvider('github', providerConfig(input.provider), tools, egress);
const audit = { write: () => {} };
const providers = new Map([['github', provider]]);
const refresher = createRefresher({
  vault,
  providers,
  tools,
  audit,
  ownerId: `child-${process.pid}`,
  limits: input.limits,
});

async function answerOf({ id, issuer, subject, limitMs }: ReplicaCall): Promise<ReplicaAnswer> {
  try {
    const answer = await refresher.token({ issuer, subject }, 'github', AbortSignal.timeout(limitMs));
    if (answer.kind === 'token')
      return { id, kind: 'token', token: answer.accessToken.reveal(), generation: answer.generation };
    if (answer.kind === 'unconnected') return { id, kind: 'unconnected', why: answer.why };
    return { id, kind: 'unavailable', why: answer.reason, retryAfterSeconds: answer.retryAfterSeconds };
  } catch (error) {
    return { id, kind: 'error', why: (error as Error).name };
  }
}

process.on('message', (call: ReplicaCall) => void answerOf(call).then((answer) => process.send?.(answer)));
process.on('disconnect', () => process.exit());
process.send?.({ id: 0, kind: 'error', why: 'ready' } satisfies ReplicaAnswer);
