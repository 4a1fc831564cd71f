import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Audit, Tools } from '../core/ports.ts';
import type { Provider } from '../upstream/provider.ts';
import { VaultError } from '../upstream/vault/vault-error.ts';
import { createConnectAudit, traceOfHttp } from './connect-audit.ts';
import { type About, type ConnectDesk, type ConnectDeskParts, createConnectDesk } from './connect-desk.ts';
import { readForm, speculative } from './connect-form.ts';
import { finishConnect, showLink, startConnect } from './connect-link.ts';
import { disconnect, showAccounts, showDone } from './connect-overview.ts';
import type { Place } from './connect-paths.ts';
import { finishSignIn, signOut, startSignIn } from './connect-sign-in.ts';
import { openVisit, type Reply, type Visit } from './connect-visit.ts';
import type { Handler } from './server.ts';

export interface ConnectParts extends Omit<ConnectDeskParts, 'clock'> {
  readonly audit: Audit;
  readonly tools: Tools;
}

/** For everything one request waits for, in milliseconds; Envoy gives up on a route after 15 s by default. */
const STEP_LIMIT_MS = 12_000;

type Step = (desk: ConnectDesk, visit: Visit, place: Place) => Reply | Promise<Reply>;

const ofProvider =
  (step: (desk: ConnectDesk, visit: Visit, provider: Provider) => Reply | Promise<Reply>): Step =>
  (desk, visit, place) => {
    const provider = 'provider' in place ? desk.providers.get(place.provider) : undefined;
    return provider ? step(desk, visit, provider) : desk.refuse('provider_unknown');
  };

/** What each place answers to. What changes something is a POST; the two callbacks cannot be, and defend themselves. */
const STEPS: Readonly<Record<Place['kind'], Readonly<Partial<Record<string, Step>>>>> = {
  accounts: { GET: showAccounts },
  sign_in: { POST: startSignIn },
  sign_in_callback: { GET: finishSignIn },
  sign_out: { POST: signOut },
  link: { GET: ofProvider(showLink), POST: ofProvider(startConnect) },
  callback: { GET: ofProvider(finishConnect) },
  done: { GET: ofProvider(showDone) },
  disconnect: { POST: ofProvider(disconnect) },
};

/** What the audit calls it when a place could not do its work; looking at pages is no event. */
const EVENTS: Readonly<Partial<Record<Place['kind'], About['event']>>> = {
  sign_in: 'sign_in',
  sign_in_callback: 'sign_in',
  sign_out: 'sign_out',
  link: 'connect',
  callback: 'connect',
  disconnect: 'disconnect',
};

interface Answer {
  readonly reply: Reply;
  /** Makes the browser known. */
  readonly cookie?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The pages on which people connect their accounts at providers, see what is connected, and end it (contract §5).
 * They sign in at `connect.login` first; what they do is audited.
 */
export function connectRoutes({ audit, tools, ...parts }: ConnectParts): Handler {
  const desk = createConnectDesk({ ...parts, clock: tools.clock });
  const writeAudit = createConnectAudit(audit, tools);

  const answerTo = async (request: IncomingMessage, place: Place, query: URLSearchParams): Promise<Answer> => {
    const method = request.method ?? 'GET';
    const steps = STEPS[place.kind];
    const callback = place.kind === 'callback' || place.kind === 'sign_in_callback';
    // HEAD is a look, and there is nothing to look at in a callback.
    const step = steps[method === 'HEAD' && !callback ? 'GET' : method];
    if (!step) return { reply: desk.refuse('method'), headers: { allow: Object.keys(steps).join(', ') } };
    if (callback && speculative(request)) return { reply: desk.refuse('speculative') };

    const event = EVENTS[place.kind];
    const named = 'provider' in place && desk.providers.has(place.provider) ? { provider: place.provider } : {};
    const about = event && { event, ...named };
    let form = new URLSearchParams();
    if (method === 'POST') {
      const read = await readForm(request, desk.paths.origin);
      // No cookie either: another site's form comes without ours, and must not replace them.
      if (!read.ok) return { reply: desk.refuse(read.fault, about), headers: { connection: 'close' } };
      form = read.fields;
    }
    const visit = openVisit(request, desk.cookies, query, form, AbortSignal.timeout(STEP_LIMIT_MS));
    const cookie = visit.known ? {} : { cookie: desk.cookies.forBrowser(visit.browser) };
    try {
      return { reply: await step(desk, visit, place), ...cookie };
    } catch (error) {
      const user = { user: visit.person };
      if (error instanceof VaultError)
        return { reply: desk.refuse('vault_unavailable', about && { ...about, ...user, detail: error.code }) };
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      tools.log.error('a connect page failed', { place: place.kind, error: text });
      return { reply: desk.refuse('bug', about && { ...about, ...user }) };
    }
  };

  const send = (response: ServerResponse, { reply, cookie, headers = {} }: Answer): void => {
    const { status, show } = reply;
    const cookies = cookie === undefined ? reply.cookies : [cookie, ...reply.cookies];
    if (cookies.length > 0) response.setHeader('set-cookie', cookies);
    const common = { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', ...reply.headers, ...headers };
    if ('location' in show) {
      response.writeHead(status, { ...common, location: show.location, 'content-length': 0 }).end();
      return;
    }
    const text = desk.layout.write(show);
    const length = { 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, { ...desk.layout.headers, ...common, ...length }).end(text);
  };

  return async (request, response, url) => {
    const place = desk.paths.find(url.pathname, request.method ?? 'GET');
    if (place === undefined) return false;
    const serve = async (): Promise<boolean> => {
      const answer =
        place === 'unknown' ? { reply: desk.refuse('page_unknown') } : await answerTo(request, place, url.searchParams);
      for (const told of answer.reply.told) writeAudit(request, answer.reply.status, told);
      send(response, answer);
      return true;
    };
    const { tracer } = tools;
    const name = `connect ${place === 'unknown' ? place : place.kind}`;
    return tracer ? tracer.enter(name, { from: traceOfHttp(request) }, serve) : serve();
  };
}
