import { writeTraceparent } from '../core/trace-context.ts';
import type { Tracer } from '../core/tracer.ts';
import type { Egress, EgressFetch } from './egress.ts';

/**
 * Egress whose calls are steps of the trace that they are made in. Attributes name whom we called and how it ended; the
 * path and the query stay out, because they may hold what is nobody's business.
 * @param handOn tells those we call which trace it is for; only `traceparent`, never what others have put beside it
 */
export function traceEgress(egress: Egress, tracer: Tracer, handOn: boolean): Egress {
  const traced =
    (fetch: EgressFetch, purpose: string): EgressFetch =>
    async (url, request) => {
      const { hostname, port, protocol } = URL.canParse(url) ? new URL(url) : { hostname: '', port: '', protocol: '' };
      const attributes = {
        'http.request.method': request.method,
        'server.address': hostname,
        'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
        'mcp_identity.purpose': purpose,
      };
      const call = async (): Promise<Response> => {
        const { here } = tracer;
        const headers = handOn && here ? { ...request.headers, traceparent: writeTraceparent(here) } : request.headers;
        const answer = await fetch(url, { ...request, headers });
        const { status } = answer;
        tracer.note({ 'http.response.status_code': status }, status >= 400 ? String(status) : undefined);
        return answer;
      };
      // Outside of a trace there is nothing to note, and nobody to tell about.
      return tracer.here ? tracer.step(`egress ${purpose}`, attributes, call, 'client') : fetch(url, request);
    };
  return {
    fetch: traced(egress.fetch, 'other'),
    for: (purpose, limits) => traced(egress.for(purpose, limits), purpose),
  };
}
