// node demo/client-modern.ts [user] [url] [tool]: the official client of SDK 2.x, which must speak revision 2026-07-28.
// When a server sends a link (URL-mode elicitation), a script goes there in place of browser and person.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import type {
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import { connectAccount } from './connect-account.ts';
import { scriptedUser } from './scripted-user.ts';

const [user = 'alice', url = 'http://127.0.0.1:10000/modern/mcp', tool = 'whoami'] = process.argv.slice(2);
const say = (step: string) => console.log(`  client: ${step}`);
const authProvider = scriptedUser<StoredOAuthClientInformation, StoredOAuthTokens, OAuthDiscoveryState>(user, say);
const newTransport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider });
const client = new Client(
  { name: 'demo-client-modern', version: '1.0.0' },
  {
    // By default the client would speak an older revision.
    versionNegotiation: { mode: { pin: '2026-07-28' } },
    // An application that can show a link to its user says so; who does not gets the link as text.
    capabilities: { elicitation: { url: {} } },
  },
);
client.setRequestHandler('elicitation/create', async ({ params }) => {
  if (params.mode !== 'url') return { action: 'decline' };
  say(`is asked to open a link: "${params.message}"`);
  say(params.url);
  try {
    await connectAccount(new URL(params.url), user, say);
    return { action: 'accept' };
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return { action: 'cancel' };
  }
});
let transport = newTransport();

/** The client signs in when it is challenged (401, or 403 for one scope more); the application finishes that and tries again. */
async function signedIn<T>(attempt: () => Promise<T>, beforeRetry = () => {}): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(authProvider.takeCallback());
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
  for (const part of content) if (part.type === 'text') console.log(part.text);
} catch (error) {
  console.error(`refused: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
