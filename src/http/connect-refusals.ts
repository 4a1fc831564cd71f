import type { ProviderFailure, ProviderFault } from '../upstream/provider-failure.ts';

/**
 * Why a step of the connect pages does not go on: the closed list. The reason goes to the audit word for word.
 * `PARTY` in a text is the other site: the provider, or the login issuer's host.
 */
export type ConnectReason = keyof typeof CONNECT_REFUSALS;

export interface ConnectRefusal {
  readonly status: number;
  readonly outcome: 'deny' | 'error';
  readonly heading: string;
  /** What happened, and what to do now. */
  readonly text: string;
}

const deny = (status: number, heading: string, text: string): ConnectRefusal => ({
  status,
  outcome: 'deny',
  heading,
  text,
});
const error = (status: number, heading: string, text: string): ConnectRefusal => ({
  status,
  outcome: 'error',
  heading,
  text,
});

const NEW_LINK = 'Go back to your MCP client and use the tool again: it shows a new link.';
const NOTHING_CHANGED = 'Nothing was changed.';

export const CONNECT_REFUSALS = {
  ticket_invalid: deny(400, 'This link does not work', `It is incomplete or was not made here. ${NEW_LINK}`),
  ticket_expired: deny(400, 'This link is too old', `Links like this one are good for ten minutes. ${NEW_LINK}`),
  ticket_other_provider: deny(400, 'This link does not work', `It was made for another account. ${NEW_LINK}`),
  other_issuer: deny(
    403,
    'You cannot connect accounts here',
    'Your MCP client signs you in somewhere else than these pages do, so they cannot tell that you are the same person. Whoever runs this service can change that.',
  ),
  other_user: deny(
    403,
    'This link was made for somebody else',
    'Only the person who got it from their MCP client can use it. If that is you, sign in with the account that your client uses.',
  ),

  state_invalid: deny(400, 'This page cannot be opened on its own', `${NOTHING_CHANGED} Start again.`),
  state_mixed_up: deny(
    400,
    'This answer belongs somewhere else',
    `PARTY sent an answer to something else that was asked. ${NOTHING_CHANGED} Start again.`,
  ),
  other_browser: deny(
    403,
    'This was begun in another browser',
    `You can finish only what you began in this browser, and cookies must be allowed. ${NOTHING_CHANGED} Do not go on if somebody else sent you here; otherwise start again.`,
  ),
  state_expired: deny(400, 'That took too long', `For your safety this step ends after five minutes. Start again.`),
  state_used: deny(
    400,
    'This step is already done',
    'Each of these addresses works once. Your accounts page shows whether the account is connected.',
  ),
  user_changed: deny(
    403,
    'You are no longer signed in as the same person',
    `You signed out, signed in as somebody else, or your sign-in ended meanwhile. ${NOTHING_CHANGED} Start again.`,
  ),

  subject_too_long: error(
    502,
    'You cannot be signed in here',
    'PARTY knows you by a name that is too long for a cookie. Whoever runs this service can choose a shorter one.',
  ),
  callbacks_throttled: deny(
    503,
    'Too many answers at once',
    `Too much is being asked from here at this moment. ${NOTHING_CHANGED} Wait a few seconds, then load this page again: it still works.`,
  ),

  declined: deny(403, 'You did not give access', `PARTY says that access was not given. ${NOTHING_CHANGED}`),
  callback_invalid: deny(
    400,
    'This answer belongs somewhere else',
    `The answer does not come from PARTY. ${NOTHING_CHANGED} Start again, and tell whoever runs this service if it happens again.`,
  ),
  code_rejected: deny(400, 'PARTY no longer accepts this answer', `${NOTHING_CHANGED} Start again.`),
  party_unavailable: error(
    503,
    'PARTY cannot be reached',
    `It did not answer, or not in time. ${NOTHING_CHANGED} Try again in a minute.`,
  ),
  party_failed: error(
    502,
    'PARTY did not do its part',
    `It gave an answer that is of no use, or does not accept this service. ${NOTHING_CHANGED} Whoever runs this service finds the reason in its log.`,
  ),
  vault_unavailable: error(
    503,
    'Your accounts cannot be looked up right now',
    'The place where they are kept does not answer. Try again in a minute.',
  ),

  cross_site: deny(
    403,
    'This did not come from our page',
    `Another site sent this form. ${NOTHING_CHANGED} If you did want it, open the page here and press the button there.`,
  ),
  form_outdated: deny(403, 'This page was out of date', `${NOTHING_CHANGED} Open it again and press the button there.`),
  form_type: deny(415, 'This form cannot be read', NOTHING_CHANGED),
  form_too_large: deny(413, 'This form is too large', NOTHING_CHANGED),
  form_broken: deny(400, 'This form did not arrive whole', `${NOTHING_CHANGED} Try again.`),
  signed_out: deny(403, 'You are not signed in any more', `${NOTHING_CHANGED} Sign in and try again.`),

  provider_unknown: deny(404, 'There is no such account', 'Your accounts page shows those that can be connected here.'),
  page_unknown: deny(404, 'There is no such page', 'Your accounts page is a good place to go on.'),
  method: deny(405, 'That does not work on this page', NOTHING_CHANGED),
  speculative: deny(503, 'This page is not opened ahead of time', 'Open it again.'),
  bug: error(500, 'Something went wrong here', 'Try again. Whoever runs this service finds the reason in its log.'),
} as const satisfies Record<string, ConnectRefusal>;

/** The reason for the pages; the fault itself goes to the audit. */
const REASON_OF_FAULT: Readonly<Record<ProviderFault, ConnectReason>> = {
  timeout: 'party_unavailable',
  network: 'party_unavailable',
  overloaded: 'party_unavailable',
  rate_limited: 'party_unavailable',
  server_error: 'party_unavailable',
  callback_invalid: 'callback_invalid',
  code_rejected: 'code_rejected',
  client_rejected: 'party_failed',
  rejected: 'party_failed',
  malformed: 'party_failed',
};

export function reasonOfFailure({ fault }: ProviderFailure): ConnectReason {
  return REASON_OF_FAULT[fault];
}
