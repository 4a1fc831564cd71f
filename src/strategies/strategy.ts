import type { HeaderPair } from '../core/header-edits.ts';
import type { Identity } from '../core/identity.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Refusal } from '../core/refusal.ts';
import type { AwsSigning } from './aws-signature.ts';

/** What a strategy has to say about one request. */
export type StrategyOutcome =
  | {
      readonly kind: 'write';
      readonly headers: readonly HeaderPair[];
      /** Set when the headers hold a credential, so that a 401 of the backend is ours to answer; `invalidate` goes back to the strategies then. */
      readonly credential?: { readonly invalidate?: unknown };
      /** ext_proc signs the request with it, once the whole body is there. */
      readonly signing?: AwsSigning;
    }
  /** The user has no account at the provider: contract §5 says what the client hears. */
  | {
      readonly kind: 'unconnected';
      readonly provider: string;
      readonly onMissing: 'auto' | 'elicit' | 'tool_error' | 'deny';
      readonly unconnected: 'forward' | 'deny';
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The outgoing side of a route, prepared once from its `outgoingAuth`. */
export interface OutgoingStrategy {
  /** Fetches or builds what the backend gets; answers at once when everything is at hand. */
  credential(identity: Identity, signal: AbortSignal): MaybePromise<StrategyOutcome>;
}

export const NOTHING: StrategyOutcome = { kind: 'write', headers: [] };
