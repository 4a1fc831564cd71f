import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernTransport,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

/** What a test needs of an official client, whichever generation it is. */
export interface SdkClient {
  /** Calls a tool without arguments and gives the text of its answer. */
  call(tool: string): Promise<string>;
  /** The id as the server gave it; undefined before and where there are no sessions. */
  sessionId(): string | undefined;
  /** DELETE of the session. */
  terminate(): Promise<void>;
  close(): Promise<void>;
  /** Status of every answer so far. */
  readonly statuses: readonly number[];
}

export interface SdkOptions {
  /** Added to each request, asked for each time; undefined takes one away. */
  readonly headers: () => Promise<Record<string, string | undefined>>;
  /** Goes on with this session instead of opening one. */
  readonly sessionId?: string;
  /** Where the statuses go, for a client that may not even come to be. */
  readonly statuses?: number[];
}

export type Connect = (url: string, options: SdkOptions) => Promise<SdkClient>;

const ABOUT = { name: 'test', version: '1.0.0' };
// A client that comes back with a session it knows has to say which revision it was opened with.
const REVISION = '2025-11-25';

/** Client and transport of SDK 1.x. */
export const connectLegacy: Connect = async (url, options) => {
  const { statuses, fetch } = watchedFetch(options);
  const { sessionId } = options;
  const client = new LegacyClient(ABOUT);
  const transport = new LegacyTransport(new URL(url), { fetch, ...(sessionId === undefined ? {} : { sessionId }) });
  if (sessionId !== undefined) transport.setProtocolVersion(REVISION);
  await client.connect(transport);
  return {
    statuses,
    call: async (tool) => textOf((await client.callTool({ name: tool, arguments: {} })).content),
    sessionId: () => transport.sessionId,
    terminate: () => transport.terminateSession(),
    close: () => client.close(),
  };
};

/** Client and transport of SDK 2.x. Mode `legacy` opens a session as 1.x does. */
export const connectModern =
  (mode: VersionNegotiationMode): Connect =>
  async (url, options) => {
    const { statuses, fetch } = watchedFetch(options);
    const { sessionId } = options;
    const client = new ModernClient(ABOUT, { versionNegotiation: { mode } });
    const transport = new ModernTransport(new URL(url), {
      fetch,
      ...(sessionId === undefined ? {} : { sessionId, protocolVersion: REVISION }),
    });
    await client.connect(transport);
    return {
      statuses,
      call: async (tool) => textOf((await client.callTool({ name: tool, arguments: {} })).content),
      sessionId: () => transport.sessionId,
      terminate: () => transport.terminateSession(),
      close: () => client.close(),
    };
  };

function watchedFetch(options: SdkOptions) {
  const { statuses = [] } = options;
  return {
    statuses,
    fetch: async (url: string | URL, init: RequestInit = {}): Promise<Response> => {
      const headers = new Headers(init.headers);
      for (const [name, value] of Object.entries(await options.headers()))
        if (value === undefined) headers.delete(name);
        else headers.set(name, value);
      const response = await fetch(url, { ...init, headers });
      statuses.push(response.status);
      return response;
    },
  };
}

function textOf(content: unknown): string {
  return (content as { text?: string }[]).map((part) => part.text ?? '').join('\n');
}
