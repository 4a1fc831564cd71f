/** Why a call brought no answer: the closed list. */
export type EgressFault = 'timeout' | 'network' | 'too_large' | 'redirect' | 'refused_url' | 'overloaded';

/**
 * A call that brought no answer. The message names the destination without its query and never holds what was sent
 * or received, so it may be logged. There is no `cause`: errors of fetch quote header values.
 */
export class EgressError extends Error {
  override readonly name = 'EgressError';
  readonly code: EgressFault;

  constructor(code: EgressFault, message: string) {
    super(message);
    this.code = code;
  }
}
