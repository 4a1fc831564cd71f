import { NOTHING, type OutgoingStrategy } from './strategy.ts';

/** The backend gets no credential of the user. */
export function createUnauthenticated(): OutgoingStrategy {
  return { credential: () => NOTHING };
}
