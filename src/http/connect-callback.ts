import type { About, ConnectDesk } from './connect-desk.ts';
import { single } from './connect-form.ts';
import type { Reply, Visit } from './connect-visit.ts';

/**
 * What comes before both callbacks: they are refused before `state` is used up unless they can be of use, and have a
 * turn, because each of them costs a write to the vault and a call to the other site.
 * @param party the other site
 * @param finish the rest, with `state`
 */
export async function atCallback(
  desk: ConnectDesk,
  { query, known, peer }: Visit,
  party: string,
  about: About,
  finish: (state: string) => Promise<Reply>,
): Promise<Reply> {
  const state = single(query, 'state');
  if (state === undefined) return desk.refuse('state_invalid', about, { party });
  // Without a cookie of ours it is refused without any cost.
  if (!known) return finish(state);
  // RFC 6749 4.1.2: one of the two. Whether it fits is for whoever finishes the flow.
  if (!query.has('code') && !query.has('error')) return desk.refuse('callback_invalid', about, { party });
  const turn = await desk.turnstile.enter({ party, browser: known.id, peer });
  if (turn.kind === 'refused') {
    const headers = { 'retry-after': String(turn.retryAfterSeconds) };
    return { ...desk.refuse('callbacks_throttled', about, { party }), headers };
  }
  try {
    return await finish(state);
  } finally {
    turn.leave();
  }
}
