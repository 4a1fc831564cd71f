import { setTimeout as pause } from 'node:timers/promises';
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  completable,
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  inputRequired,
  inputResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  McpServer,
  originValidationResponse,
  ResourceTemplate,
  type ServerContext,
  type ServerNotifier,
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

export interface ModernFixtureOptions {
  /** Believes whatever the `Mcp-*` headers say, as servers do that never look at them. */
  readonly ignoresHeaders?: boolean;
}

/** A server of revision 2026-07-28 (SDK 2.x) that has what the conformance scenarios ask for. */
export async function startModernFixture({ ignoresHeaders = false }: ModernFixtureOptions = {}): Promise<Running> {
  const handler = createMcpHandler(() => createServer(handler.notify));
  const running = await listenWeb(
    async (request) =>
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins()) ??
      handler.fetch(ignoresHeaders ? await withHeadersOfBody(request) : request),
    { port: 0 },
  );
  return {
    url: running.url,
    async stop() {
      await handler.close();
      await running.stop();
    },
  };
}

/** The request with `Mcp-Method` and `Mcp-Name` as its body has them: the SDK would refuse it otherwise. */
async function withHeadersOfBody(request: Request): Promise<Request> {
  if (request.method !== 'POST') return request;
  const body = await request.text();
  const headers = new Headers(request.headers);
  const { method, params } = JSON.parse(body) as { method?: string; params?: { name?: string; uri?: string } };
  for (const [name, value] of [
    ['mcp-method', method],
    ['mcp-name', params?.name ?? params?.uri],
  ] as const)
    if (value === undefined) headers.delete(name);
    else headers.set(name, value);
  return new Request(request.url, { method: 'POST', headers, body, signal: request.signal });
}

const states = createRequestStateCodec({ key: 'a key of this fixture, 32 bytes or more' });

function createServer(notify: ServerNotifier): McpServer {
  const server = new McpServer(
    { name: 'conformance-modern', version: '1.0.0' },
    {
      capabilities: { logging: {}, tools: { listChanged: true }, prompts: { listChanged: true } },
      requestState: { verify: (state, context) => states.verify(state, context) },
    },
  );
  registerTools(server, notify);
  registerInputTools(server);
  registerResources(server);
  registerPrompts(server);
  return server;
}

const done = (value: string) => ({ content: [text(value)] });

function declared({ mcpReq }: ServerContext): ClientCapabilities {
  const envelope: Readonly<Record<string, unknown>> = mcpReq.envelope ?? {};
  return envelope[CLIENT_CAPABILITIES_META_KEY] ?? {};
}

function registerTools(server: McpServer, notify: ServerNotifier): void {
  for (const [name, content] of Object.entries(fixedTools))
    server.registerTool(name, { description: name }, () => ({ content: [...content] }));
  server.registerTool('test_error_handling', { description: 'Always fails' }, () => {
    throw new Error(TOOL_ERROR);
  });
  server.registerTool('test_tool_with_progress', { description: 'Tells how far it is' }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined)
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      await pause(PAUSE_MS);
    }
    return done(String(progressToken));
  });
  server.registerTool('test_logging_tool', { description: 'Logs' }, async ({ mcpReq }) => {
    await mcpReq.log('info', 'logged');
    return done('logged');
  });
  server.registerTool('test_trigger_tool_change', { description: 'Says that the tools changed' }, () => {
    notify.toolsChanged();
    return done('told');
  });
  server.registerTool('test_trigger_prompt_change', { description: 'Says that the prompts changed' }, () => {
    notify.promptsChanged();
    return done('told');
  });
  server.registerTool(
    'in_region',
    {
      description: 'Mirrors an argument in a header',
      inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }),
    },
    ({ region }) => done(region),
  );
}

const ask = (message: string, field: string) =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [field]: { type: 'string' } }, required: [field] },
  });
const sample = (question: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(question) }], maxTokens });

type Answer = ReturnType<typeof done> | ReturnType<typeof inputRequired>;

/** Tools that ask back, over one round or several (SEP-2322). */
function registerInputTools(server: McpServer): void {
  const tool = (name: string, answer: (context: ServerContext) => Answer | Promise<Answer>) =>
    server.registerTool(`test_${name}`, { description: name }, answer);
  const name = z.object({ name: z.string() });

  for (const asking of ['input_required_result_elicitation', 'streaming_elicitation'])
    tool(asking, ({ mcpReq }) => {
      const given = acceptedContent(mcpReq.inputResponses, 'user_name', name);
      return given
        ? done(`Hello, ${given.name}!`)
        : inputRequired({ inputRequests: { user_name: ask('What is your name?', 'name') } });
    });
  // A client that has not declared sampling hears that from the SDK, in place of this.
  tool('missing_capability', () => inputRequired({ inputRequests: { greeting: sample('Generate a greeting', 50) } }));
  tool('input_required_result_sampling', ({ mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, 'capital_question');
    return given.kind === 'sampling'
      ? done(JSON.stringify(given.result.content))
      : inputRequired({ inputRequests: { capital_question: sample('What is the capital of France?', 100) } });
  });
  tool('input_required_result_list_roots', ({ mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, 'client_roots');
    return given.kind === 'roots'
      ? done(given.roots.map(({ uri }) => uri).join(' '))
      : inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  });
  for (const stateful of ['request_state', 'tampered_state'])
    tool(`input_required_result_${stateful}`, async ({ mcpReq }) =>
      mcpReq.requestState<string>() === 'asked'
        ? done('state-ok')
        : inputRequired({
            inputRequests: {
              confirm: inputRequired.elicit({
                message: 'Please confirm',
                requestedSchema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
              }),
            },
            requestState: await states.mint('asked'),
          }),
    );
  tool('input_required_result_multiple_inputs', async ({ mcpReq }) =>
    mcpReq.requestState<string>() === 'asked'
      ? done(Object.keys(mcpReq.inputResponses ?? {}).join(' '))
      : inputRequired({
          inputRequests: {
            user_name: ask('What is your name?', 'name'),
            greeting: sample('Generate a greeting', 50),
            client_roots: inputRequired.listRoots(),
          },
          requestState: await states.mint('asked'),
        }),
  );
  tool('input_required_result_multi_round', async ({ mcpReq }) => {
    const round = mcpReq.requestState<number>() ?? 0;
    const [question, field] = [
      ['Step 1: What is your name?', 'name'],
      ['Step 2: What is your favorite color?', 'color'],
    ][round] ?? ['', ''];
    return round === 2
      ? done('both steps done')
      : inputRequired({
          inputRequests: { [`step${round + 1}`]: ask(question!, field!) },
          requestState: await states.mint(round + 1),
        });
  });
  tool('input_required_result_capabilities', (context) => {
    const { elicitation, sampling } = declared(context);
    return inputRequired({
      inputRequests: {
        ...(elicitation ? { user_name: ask('What is your name?', 'name') } : {}),
        ...(sampling ? { greeting: sample('Generate a greeting', 50) } : {}),
      },
    });
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
}

function registerPrompts(server: McpServer): void {
  server.registerPrompt('test_simple_prompt', { description: 'Without arguments' }, prompts.simple);
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'With arguments',
      argsSchema: z.object({
        arg1: completable(z.string(), (value) => ['paris', 'park', 'party'].filter((word) => word.startsWith(value))),
        arg2: z.string(),
      }),
    },
    ({ arg1, arg2 }) => prompts.withArguments(arg1, arg2),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'With a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) => prompts.withResource(resourceUri),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'With an image' }, prompts.withImage);
  server.registerPrompt('test_input_required_result_prompt', { description: 'Asks first' }, ({ mcpReq }) => {
    const given = acceptedContent(mcpReq.inputResponses, 'user_context', z.object({ context: z.string() }));
    return given
      ? { messages: [{ role: 'user' as const, content: text(given.context) }] }
      : inputRequired({ inputRequests: { user_context: ask('What context should the prompt use?', 'context') } });
  });
}
