import { errors } from 'oidc-provider';
import type { ClientMetadata, Provider, ResourceServer } from 'oidc-provider';
import { allowedScopes, people } from './people.ts';

const grantType = 'urn:demo:grant:user';

/** The client of scripts; it has no secret and no other grant. */
export const userGrantClient: ClientMetadata = {
  client_id: 'demo-cli',
  client_name: 'Scripts of the demo',
  grant_types: [grantType],
  response_types: [],
  redirect_uris: [],
  token_endpoint_auth_method: 'none',
};

/**
 * An extension grant (RFC 6749 4.5) that exists in this demo only: a token for `username`, without a browser.
 * Form fields: `grant_type`, `client_id=demo-cli`, `username`, `resource`, `scope` (default `mcp:read`).
 * With `Accept: text/plain` the answer is the bare token, so that a shell can keep it in a variable.
 */
export function registerUserGrant(provider: Provider, describe: (resource: string) => ResourceServer): void {
  provider.registerGrantType<{ username?: string }>(
    grantType,
    async (context) => {
      const { client, params } = context.oidc;
      const person = people.get(params.username ?? '');
      if (person === undefined) throw new errors.InvalidRequest(`username is one of: ${[...people.keys()].join(', ')}`);
      if (typeof params.resource !== 'string' || !URL.canParse(params.resource)) {
        throw new errors.InvalidTarget('resource is the URL of the MCP server the token is for');
      }
      const resourceServer = new provider.ResourceServer(params.resource, describe(params.resource));
      const scope = allowedScopes(person, (params.scope ?? 'mcp:read').split(' ')).join(' ');

      const grant = new provider.Grant({ accountId: person.sub, clientId: client.clientId });
      grant.addResourceScope(params.resource, scope);
      const grantId = await grant.save();
      const token = new provider.AccessToken({
        accountId: person.sub,
        client,
        grantId,
        gty: grantType,
        scope,
        resourceServer,
      });
      const value = await token.save();

      context.body =
        context.accepts('json', 'text') === 'text'
          ? value
          : { access_token: value, token_type: token.tokenType, expires_in: token.expiration, scope };
    },
    ['username', 'resource', 'scope'],
  );
}
