import type { Ports } from './ports.ts';

export interface Step {
  readonly title: string;
  /** To be pasted into a POSIX shell in the project's folder; later steps use variables of earlier ones. */
  readonly command: string;
  /** What comes out, so that a reader sees at once whether it went well. */
  readonly expect: string;
}

/** The tour of the demo. `node` is how a shell calls a Node that runs TypeScript; the tracker's tokens live `tokenSeconds`. */
export function guide(ports: Ports, node: string, tokenSeconds: number): Step[] {
  const envoy = `http://127.0.0.1:${ports.envoy}`;
  const token = (user: string, route: string, scope = 'mcp:read') =>
    `$(curl -sSf http://127.0.0.1:${ports.identityProvider}/token -H 'accept: text/plain' \\
  -d grant_type=urn:demo:grant:user -d client_id=demo-cli -d username=${user} \\
  --data-urlencode 'scope=${scope}' -d resource=${envoy}${route})`;
  const call = (route: string, message: object, ...headers: string[]) =>
    [
      `curl -sS ${envoy}${route} -H 'content-type: application/json' -H 'accept: application/json, text/event-stream'`,
      ...headers.map((header) => `-H "${header}"`),
      `-d '${JSON.stringify({ jsonrpc: '2.0', id: 1, ...message })}'`,
    ].join(' \\\n  ');
  const whoami = {
    method: 'tools/call',
    params: { name: 'whoami', arguments: {} },
  };
  const deleteRepo = { method: 'tools/call', params: { name: 'delete_repo', arguments: { name: 'site' } } };
  const bearer = 'authorization: Bearer $TOKEN';
  const trackerCall = call('/tracker/mcp', whoami, 'mcp-protocol-version: 2025-06-18', bearer);

  return [
    {
      title: 'Without a token: refused, with directions',
      command: `${call('/legacy/mcp', initialize)} -i`,
      expect: '401; www-authenticate names the metadata of this MCP server',
    },
    {
      title: 'Those directions',
      command: `curl -sS ${envoy}/.well-known/oauth-protected-resource/legacy/mcp`,
      expect: `authorization_servers: http://127.0.0.1:${ports.identityProvider}`,
    },
    {
      title: 'A token for alice, made for the legacy backend',
      command: `TOKEN=${token('alice', '/legacy/mcp')}`,
      expect: 'nothing; the token is in $TOKEN',
    },
    {
      title: 'Legacy backend: open a session',
      command: `SESSION=$(${call('/legacy/mcp', initialize, bearer)} -D - -o /dev/null \\
  | grep -i '^mcp-session-id:' | cut -d' ' -f2 | tr -d '\\r'); echo "$SESSION"`,
      expect: 'the id of the session',
    },
    {
      title: 'What does the backend know about the caller? (x-user-sub is made up by us, and replaced)',
      command: call('/legacy/mcp', whoami, bearer, 'mcp-session-id: $SESSION', 'x-user-sub: somebody-else'),
      expect: 'x-user-sub: alice, x-user-email, and no authorization',
    },
    {
      title: 'A tool that is closed to everyone',
      command: `${call('/legacy/mcp', deleteRepo, bearer, 'mcp-session-id: $SESSION')} -i`,
      expect: '403 with a JSON-RPC error',
    },
    {
      title: 'A token for one MCP server is no good at another',
      command: `${modernCall(call, 'whoami', {}, bearer)} -i`,
      expect: '401 invalid_token',
    },
    {
      title: 'Modern backend (2026-07-28), as bob',
      command: `TOKEN=${token('bob', '/modern/mcp')}\n${modernCall(call, 'whoami', {}, bearer)}`,
      expect: 'x-user-sub: bob, x-user-name, x-user-roles',
    },
    {
      title: 'A tool that needs one scope more',
      command: `${modernCall(call, 'delete_repo', { name: 'site' }, bearer)} -i`,
      expect: '403 insufficient_scope, naming mcp:read and mcp:admin',
    },
    {
      title: 'Public route, anonymous, pretending to be alice',
      command: call('/public/mcp', whoami, 'x-user-sub: alice'),
      expect: 'no x-user-sub: an anonymous caller never looks like a person',
    },
    {
      title: 'The official clients: discovery, registration, sign-in with PKCE, whoami',
      command: `${node} demo/client-legacy.ts alice ${envoy}/legacy/mcp\n${node} demo/client-modern.ts bob ${envoy}/modern/mcp`,
      expect: 'each step of the sign-in, then what the backend saw',
    },
    {
      title: 'A client that meets that 403 signs in again for the scope; bob may not have it',
      command: `${node} demo/client-modern.ts alice ${envoy}/modern/mcp delete_repo\n${node} demo/client-modern.ts bob ${envoy}/modern/mcp delete_repo`,
      expect: 'alice signs in twice and "deletes"; bob is refused',
    },
    {
      title:
        'The tracker takes tokens of its own only, and alice has connected no account: the tool answers with a link',
      command: `TOKEN=${token('alice', '/tracker/mcp')}\nANSWER=$(${trackerCall}); echo "$ANSWER"`,
      expect: 'isError, and in the text a link; clients without anything special show it to their user',
    },
    {
      title:
        'Follow that link: in a browser (it stands above), or by a script. It was made for alice; bob gets nowhere with it',
      command: `LINK=$(echo "$ANSWER" | grep -o '${envoy}/connect/tracker?ticket=[A-Za-z0-9_-]*')\n${node} demo/connect.ts bob "$LINK" 2>&1\n${node} demo/connect.ts alice "$LINK"`,
      expect: 'bob is refused; alice signs in, chooses her account at the tracker, and "tracker is connected"',
    },
    {
      title: 'The same call again',
      command: trackerCall,
      expect: 'tracker account: wonderland; a Bearer arrived, and it is none that the client knows',
    },
    {
      title: `The tracker's tokens live for ${tokenSeconds} s. Wait longer, and call again`,
      command: `sleep ${Math.ceil(tokenSeconds * 1.25)}; ${trackerCall}`,
      expect: 'the same account; the token is a new one, 0 or 1 s old: refreshed, and nobody noticed',
    },
    {
      title: `Disconnect: in a browser at ${envoy}/connect, or by the script; then call again`,
      command: `${node} demo/connect.ts alice ${envoy}/connect disconnect; ${trackerCall}`,
      expect: '"tracker is disconnected" (its tokens are revoked there, too), and a link again',
    },
    {
      title:
        'The official client with URL elicitation (2026-07-28), as bob: it is handed the link, and the call goes on by itself',
      command: `${node} demo/client-modern.ts bob ${envoy}/tracker/mcp my_issues`,
      expect: 'the sign-in, the link, what happens there, and the issues of the account builder',
    },
    {
      title: 'Who did what: the audit, and the counters',
      command:
        `grep -E '"event":"(decision|connect|refresh|disconnect)"' .demo/service.log | tail -5\n` +
        `curl -sS http://127.0.0.1:${ports.admin}/metrics | grep -E '^mcp_identity_(decisions|connect_steps|upstream_refreshes)_total'`,
      expect: 'one JSON object per decision, denials included, and per step of an account',
    },
  ];
}

const initialize = {
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'curl', version: '1' },
  },
};

/** 2026-07-28: no session; version, method and name stand in headers and must match the body. */
function modernCall(
  call: (route: string, message: object, ...headers: string[]) => string,
  tool: string,
  args: object,
  ...headers: string[]
): string {
  const version = '2026-07-28';
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': { name: 'curl', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const message = {
    method: 'tools/call',
    params: { name: tool, arguments: args, _meta },
  };
  const own = [`mcp-protocol-version: ${version}`, 'mcp-method: tools/call', `mcp-name: ${tool}`];
  return call('/modern/mcp', message, ...own, ...headers);
}

/** The whole text that `npm start` prints once everything runs. */
export function printable(ports: Ports, node: string, tokenSeconds: number): string {
  const at = (port: number) => `http://127.0.0.1:${port}`.padEnd(24);
  const steps = guide(ports, node, tokenSeconds).map(
    ({ title, command, expect }, index) => `# ${index + 1}. ${title}\n${command}\n# → ${expect}\n`,
  );
  return `
Everything runs:

  ${at(ports.envoy)}Envoy: /legacy/mcp, /modern/mcp and /tracker/mcp need a token, /public/mcp does not;
  ${' '.repeat(24)}/connect is a page for browsers: your connected accounts
  ${at(ports.admin)}identity service: /readyz /metrics (Envoy asks it on ${ports.grpc}, clients read from ${ports.http})
  ${at(ports.identityProvider)}identity provider; alice is an admin, bob is not
  ${at(ports.legacy)}MCP backend, revisions up to 2025-11-25, sessions
  ${at(ports.modern)}MCP backend, revision 2026-07-28
  ${at(ports.tracker)}tracker: a service with accounts of its own, OAuth and MCP; alice's is wonderland, bob's builder
  ${at(ports.envoyAdmin)}Envoy's admin page

Paste this, step by step, into another terminal, in this folder:

${steps.join('\n')}
Logs are in .demo/. Ctrl-C stops everything.`;
}
