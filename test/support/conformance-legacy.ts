import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  type EventStore,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { SubscribeRequestSchema, UnsubscribeRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type { ElicitRequestFormParams, ElicitResult, JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import {
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { listenWeb, type Running } from '../../demo/web-server.ts';
import {
  fixedResources,
  fixedTools,
  fromTemplate,
  PAUSE_MS,
  prompts,
  TEMPLATE,
  text,
  TOOL_ERROR,
} from './conformance-content.ts';

/** A server of revision 2025-11-25 (SDK 1.x, with sessions) that has what the conformance scenarios ask for. */
export function startLegacyFixture(): Promise<Running> {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  return listenWeb(
    async (request) => {
      const foreign =
        hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
        originValidationResponse(request, localhostAllowedOrigins());
      if (foreign) return foreign;
      const id = request.headers.get('mcp-session-id');
      if (id !== null)
        return sessions.get(id)?.handleRequest(request) ?? new Response('unknown session\n', { status: 404 });
      const transport = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: (opened) => void sessions.set(opened, transport),
        onsessionclosed: (closed) => void sessions.delete(closed),
        eventStore: createEventStore(),
        retryInterval: RETRY_MS,
      });
      await createServer().connect(transport);
      return transport.handleRequest(request);
    },
    { port: 0 },
  );
}

/** Milliseconds after which a client may come back to a stream that was closed. */
const RETRY_MS = 100;

/** The events of one session, in order, so that a client can go on behind the last one it has seen. */
function createEventStore(): EventStore {
  const events: { readonly streamId: string; readonly message: JSONRPCMessage }[] = [];
  return {
    storeEvent: async (streamId, message) => String(events.push({ streamId, message }) - 1),
    replayEventsAfter: async (lastEventId, { send }) => {
      const last = Number(lastEventId);
      const { streamId } = events[last] ?? { streamId: '' };
      for (const [i, event] of events.entries())
        if (i > last && event.streamId === streamId) await send(String(i), event.message);
      return streamId;
    },
  };
}

function createServer(): McpServer {
  const server = new McpServer(
    { name: 'conformance-legacy', version: '1.0.0' },
    { capabilities: { logging: {}, resources: { subscribe: true } } },
  );
  registerTools(server);
  registerElicitations(server);
  registerResources(server);
  registerPrompts(server);
  return server;
}

function registerTools(server: McpServer): void {
  for (const [name, content] of Object.entries(fixedTools))
    server.registerTool(name, { description: name }, () => ({ content: [...content] }));
  server.registerTool('test_error_handling', { description: 'Always fails' }, () => {
    throw new Error(TOOL_ERROR);
  });
  server.registerTool('test_tool_with_logging', { description: 'Logs thrice' }, async (extra) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
      await pause(PAUSE_MS);
    }
    return { content: [text('logged')] };
  });
  server.registerTool('test_tool_with_progress', { description: 'Tells how far it is' }, async (extra) => {
    const progressToken = extra._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined)
        await extra.sendNotification({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 100 },
        });
      await pause(PAUSE_MS);
    }
    return { content: [text(String(progressToken))] };
  });
  server.registerTool('test_reconnection', { description: 'Closes its stream before it answers' }, async (extra) => {
    extra.closeSSEStream?.();
    await pause(2 * RETRY_MS);
    return { content: [text('reconnected')] };
  });
  server.registerTool(
    'test_sampling',
    { description: 'Asks a model', inputSchema: { prompt: z.string() } },
    async ({ prompt }, extra) => {
      const { content } = await server.server.createMessage(
        { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 },
        { relatedRequestId: extra.requestId },
      );
      return { content: [text(`LLM response: ${content.type === 'text' ? content.text : ''}`)] };
    },
  );
}

function registerElicitations(server: McpServer): void {
  const elicit = (
    message: string,
    properties: ElicitRequestFormParams['requestedSchema']['properties'],
    requestId: string | number,
    required: string[] = [],
  ): Promise<ElicitResult> =>
    server.server.elicitInput(
      { message, requestedSchema: { type: 'object', properties, required } },
      { relatedRequestId: requestId },
    );
  const told = ({ action, content }: ElicitResult) => `action=${action}, content=${JSON.stringify(content ?? {})}`;

  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user', inputSchema: { message: z.string() } },
    async ({ message }, extra) => {
      const field = (description: string) => ({ type: 'string' as const, description });
      const properties = { username: field("User's response"), email: field("User's email address") };
      const answer = await elicit(message, properties, extra.requestId, ['username', 'email']);
      return { content: [text(`User response: ${told(answer)}`)] };
    },
  );
  server.registerTool('test_elicitation_sep1034_defaults', { description: 'Asks with defaults' }, async (extra) => {
    const answer = await elicit(
      'Defaults of every kind',
      {
        name: { type: 'string', default: 'John Doe' },
        age: { type: 'integer', default: 30 },
        score: { type: 'number', default: 95.5 },
        status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
        verified: { type: 'boolean', default: true },
      },
      extra.requestId,
    );
    return { content: [text(`Elicitation completed: ${told(answer)}`)] };
  });
  server.registerTool('test_elicitation_sep1330_enums', { description: 'Asks with choices' }, async (extra) => {
    const titled = (noun: string) =>
      ['First', 'Second', 'Third'].map((nth, i) => ({ const: `value${i + 1}`, title: `${nth} ${noun}` }));
    const options = ['option1', 'option2', 'option3'];
    const answer = await elicit(
      'Choices of every kind',
      {
        untitledSingle: { type: 'string', enum: options },
        titledSingle: { type: 'string', oneOf: titled('Option') },
        legacyEnum: {
          type: 'string',
          enum: ['opt1', 'opt2', 'opt3'],
          enumNames: ['Option One', 'Option Two', 'Option Three'],
        },
        untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
        titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
      },
      extra.requestId,
    );
    return { content: [text(`Elicitation completed: ${told(answer)}`)] };
  });
}

function registerResources(server: McpServer): void {
  for (const [uri, content] of Object.entries(fixedResources)) {
    const about = { description: uri, mimeType: content.mimeType };
    server.registerResource(uri, uri, about, () => ({ contents: [{ uri, ...content }] }));
  }
  server.registerResource(
    'template',
    new ResourceTemplate(TEMPLATE, { list: undefined }),
    { description: 'By id', mimeType: 'application/json' },
    ({ href }, { id }) => fromTemplate(href, String(id)),
  );
  server.server.setRequestHandler(SubscribeRequestSchema, () => ({}));
  server.server.setRequestHandler(UnsubscribeRequestSchema, () => ({}));
}

function registerPrompts(server: McpServer): void {
  server.registerPrompt('test_simple_prompt', { description: 'Without arguments' }, prompts.simple);
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'With arguments',
      argsSchema: {
        arg1: completable(z.string(), (value) => ['paris', 'park', 'party'].filter((word) => word.startsWith(value))),
        arg2: z.string(),
      },
    },
    ({ arg1, arg2 }) => prompts.withArguments(arg1, arg2),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'With a resource', argsSchema: { resourceUri: z.string() } },
    ({ resourceUri }) => prompts.withResource(resourceUri),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'With an image' }, prompts.withImage);
}
