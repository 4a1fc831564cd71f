// node demo/client-legacy.ts [user] [url] [tool]: the official client of SDK 1.x, which opens a session.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import type { OAuthDiscoveryState } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { OAuthClientInformationMixed, OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js';
import { scriptedUser } from './scripted-user.ts';

const [user = 'alice', url = 'http://127.0.0.1:10000/legacy/mcp', tool = 'whoami'] = process.argv.slice(2);
const authProvider = scriptedUser<OAuthClientInformationMixed, OAuthTokens, OAuthDiscoveryState>(user, (step) =>
  console.log(`  client: ${step}`),
);
const newTransport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider });
const client = new Client({ name: 'demo-client-legacy', version: '1.0.0' });
let transport = newTransport();

/** The client signs in when it is challenged (401, or 403 for one scope more); the application finishes that and tries again. */
async function signedIn<T>(attempt: () => Promise<T>, beforeRetry = () => {}): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(authProvider.takeCallback().get('code') ?? '');
    beforeRetry();
    return attempt();
  }
}

try {
  // A transport that failed to start cannot start again.
  await signedIn(
    () => client.connect(transport),
    () => (transport = newTransport()),
  );
  const { content } = await signedIn(() => client.callTool({ name: tool, arguments: { name: 'site', text: 'hello' } }));
  console.log(`\n${tool} behind ${url} answered:`);
  for (const part of content as { text?: string }[]) console.log(part.text);
  await transport.terminateSession();
} catch (error) {
  console.error(`refused: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
