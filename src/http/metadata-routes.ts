import type { JsonWebKey } from 'node:crypto';
import type { ResourceDirectory } from '../mcp/resource-metadata.ts';
import { type Handler, sendJson } from './server.ts';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** RFC 9728: what clients need to know before they ask for a token. Open to any origin, because browsers' clients read it. */
export function metadataRoutes(directory: ResourceDirectory): Handler {
  return (request, response, url) => {
    if (url.pathname !== WELL_KNOWN && !url.pathname.startsWith(`${WELL_KNOWN}/`)) return false;
    const open = { 'access-control-allow-origin': '*' };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendJson(response, 405, { error: 'method_not_allowed' }, { ...open, allow: 'GET, HEAD' });
      return true;
    }
    const document = directory.find(url.pathname + url.search, request.headers.host);
    if (document) sendJson(response, 200, document, { ...open, 'cache-control': 'public, max-age=60' });
    else sendJson(response, 404, { error: 'unknown_resource' }, { ...open, 'cache-control': 'no-store' });
    return true;
  };
}

const JWKS_PATH = '/.well-known/mcp-identity/jwks.json';

/** RFC 7517: the keys with which backends verify assertions. */
export function jwksRoute(keys: readonly JsonWebKey[]): Handler {
  return (request, response, url) => {
    if (url.pathname !== JWKS_PATH) return false;
    if (request.method === 'GET' || request.method === 'HEAD') {
      sendJson(response, 200, { keys }, { 'access-control-allow-origin': '*', 'cache-control': 'public, max-age=60' });
    } else {
      sendJson(response, 405, { error: 'method_not_allowed' }, { allow: 'GET, HEAD' });
    }
    return true;
  };
}
