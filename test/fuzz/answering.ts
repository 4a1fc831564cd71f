import type { Egress } from '../../src/net/egress.ts';

/** An egress that gets its answers from the test, with no network in between. */
export function answering(answer: () => Response): Egress {
  const fetch = async (): Promise<Response> => answer();
  return { fetch, for: () => fetch };
}
