import { type Handler, sendJson } from './server.ts';

/** What the operator's side asks (contract §2); never exposed through Envoy. */
export interface AdminView {
  /** Why the service is not ready; undefined when it is. */
  readiness(): Promise<string | undefined> | string | undefined;
  /** Problems of a configuration on disk that was rejected; the one before goes on, so that this is no reason. */
  rejected(): number;
  metrics(): Promise<{ contentType: string; text: string }>;
}

export function adminRoutes(view: AdminView): Handler {
  return async (_request, response, url) => {
    switch (url.pathname) {
      case '/livez':
        sendJson(response, 200, { status: 'ok' });
        return true;
      case '/readyz': {
        const reason = await view.readiness();
        const problems = view.rejected();
        const stale = problems > 0 ? { configuration: { onDisk: 'rejected', problems } } : {};
        if (reason === undefined) sendJson(response, 200, { status: 'ok', ...stale });
        else sendJson(response, 503, { status: 'not ready', reason });
        return true;
      }
      case '/metrics': {
        const { contentType, text } = await view.metrics();
        response.writeHead(200, { 'content-type': contentType });
        response.end(text);
        return true;
      }
      default:
        return false;
    }
  };
}
