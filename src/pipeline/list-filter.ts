import type { Identity } from '../core/identity.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { HeaderFields, RequestFacts } from '../core/request-facts.ts';
import { isStateless } from '../mcp/headers.ts';
import { filterList, type ListRules } from '../mcp/list-filter.ts';
import { ListStream } from '../mcp/list-stream.ts';
import type { McpMessage } from '../mcp/message.ts';
import { authorize } from './authorize.ts';
import type { Route } from './route.ts';
import { prepareTools } from './tools.ts';

/** What `Process` needs to filter the lists of tools in one answer. */
export interface ListPlan {
  /**
   * `answer`: the request is `tools/list`. `stream`: a GET, whose event stream may replay the answer to one
   * (MCP 2025-11-25, Streamable HTTP, Resumability).
   */
  readonly of: 'answer' | 'stream';
  /** Tool or pattern of the policy → this caller may not call it. */
  readonly hidden: Readonly<Record<string, boolean>>;
  /** The request is of a revision whose lists say who may cache them. */
  readonly cacheable: boolean;
}

/** @returns undefined where the answer holds no list, or the route filters none */
export function planList(
  facts: RequestFacts,
  { policy }: Route,
  identity: Identity,
  message: McpMessage | undefined,
): ListPlan | undefined {
  if (!policy.filterLists) return undefined;
  const asked = message?.method === 'tools/list';
  if (!asked && facts.method !== 'GET') return undefined;
  const version = message?.protocolVersion ?? facts.headers.get('mcp-protocol-version');
  const call = { method: 'tools/call', name: '' };
  return {
    of: asked ? 'answer' : 'stream',
    // What is hidden is what a call would be refused for, by the same function.
    hidden: Object.fromEntries(
      Object.entries(policy.tools).map(([tool, rule]) => [
        tool,
        authorize(identity, call, policy.scopes, () => rule) !== undefined,
      ]),
    ),
    cacheable: version !== undefined && isStateless(version),
  };
}

/** How much of an answer has to be seen: nothing, all of it before anything passes, or piece by piece. */
export type ListMode = 'pass' | 'buffered' | 'streamed';

/** A part of an answer as it may pass; undefined where it may pass unchanged. */
export type ListPart =
  | { readonly kind: 'body'; readonly body: Buffer | undefined }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

const MEDIA_TYPE = /^(application\/json|text\/event-stream) *(?:;(.*))?$/i;
const CHARSET = /(?:^|;)\s*charset\s*=\s*"?([^";\s]*)"?/i;

/** One answer of a backend: it passes filtered, or not at all. */
export class ListAnswer {
  readonly #of: ListPlan['of'];
  readonly #rules: ListRules;
  readonly #maxBody: number;
  #stream: ListStream | undefined;
  /** The answer says nothing of what it is, as one with nothing in it does. */
  #untyped = false;

  /** @param maxBody bytes of the largest answer, or of the largest event of a stream */
  constructor({ of, hidden, cacheable }: ListPlan, maxBody: number) {
    const rule = prepareTools(
      Object.fromEntries(Object.entries(hidden).map(([tool, deny]) => [tool, { scopes: [], deny }])),
    );
    this.#of = of;
    this.#rules = { hides: (tool) => rule(tool)?.deny === true, cacheable };
    this.#maxBody = maxBody;
  }

  /** @param hasBody more than the headers follows */
  headers(headers: HeaderFields, hasBody: boolean): ListMode | Refusal {
    const status = Number(headers.get(':status') ?? '0');
    if (!hasBody || status < 200 || status > 299) return 'pass';
    const types = headers.all('content-type');
    // The SDKs take any type that has these words in it for an event stream.
    if (this.#of === 'stream' && !types.some((type) => /event-stream/i.test(type))) return 'pass';
    this.#untyped = types.length === 0;
    if (this.#untyped) return 'buffered';
    const [, type, parameters = ''] = (types.length === 1 && MEDIA_TYPE.exec(types[0] as string)) || [];
    const charset = CHARSET.exec(parameters)?.[1]?.toLowerCase() ?? 'utf-8';
    if (type === undefined || charset !== 'utf-8') return unreadable('the answer is neither JSON nor an event stream');
    if (headers.all('content-encoding').some((coding) => coding.toLowerCase() !== 'identity'))
      return unreadable('the answer is encoded, though only `identity` was accepted');
    const isStream = type.toLowerCase() === 'text/event-stream';
    if (isStream) this.#stream = new ListStream(this.#rules, this.#maxBody);
    if (this.#of === 'stream') return 'streamed';
    return Number(headers.get('content-length') ?? '0') > this.#maxBody ? refuse('list_too_large') : 'buffered';
  }

  /** @param end this is the last part, or the only one */
  body(part: Buffer, end: boolean): ListPart {
    const stream = this.#stream;
    if (this.#untyped)
      return part.length === 0 && end
        ? { kind: 'body', body: undefined }
        : refused(unreadable('the answer has no type'));
    if (this.#of === 'answer' && (!end || part.length > this.#maxBody)) return refused(refuse('list_too_large'));
    if (!stream) {
      const edit = filterList(part, this.#rules);
      if (edit.kind === 'unreadable') return refused(unreadable(edit.detail));
      return { kind: 'body', body: edit.kind === 'edited' ? edit.body : undefined };
    }
    const passed = stream.push(part, end);
    if (stream.tooLarge) return refused(refuse('list_too_large'));
    if (this.#of === 'answer' && stream.fault !== undefined) return refused(unreadable(stream.fault));
    return { kind: 'body', body: passed.equals(part) ? undefined : passed };
  }
}

function unreadable(detail: string): Refusal {
  return refuse('list_unreadable', { detail });
}

function refused(refusal: Refusal): ListPart {
  return { kind: 'refused', refusal };
}
