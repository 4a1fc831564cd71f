import assert from 'node:assert/strict';
import { CLIENT_CAPABILITIES_KEY, type McpMessage, PROTOCOL_VERSION_KEY } from '../../src/mcp/message.ts';

export type Obj = Record<string, unknown>;
export const isObject = (value: unknown): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** Everything that was read of `body` is what JSON.parse reads. */
export function sameAsParsed(message: McpMessage, body: Buffer): void {
  const parsed = JSON.parse(body.toString('utf8')) as Obj;
  const params = isObject(parsed['params']) ? parsed['params'] : {};
  const meta = isObject(params['_meta']) ? params['_meta'] : {};
  assert.equal(message.id, parsed['id']);
  assert.equal(message.idJson === undefined ? undefined : JSON.parse(message.idJson), parsed['id']);
  assert.equal(message.method, parsed['method']);
  assert.equal(message.name, textOf(params['name']));
  assert.equal(message.uri, textOf(params['uri']));
  assert.equal(message.taskId, textOf(params['taskId']));
  assert.equal(message.protocolVersion, meta[PROTOCOL_VERSION_KEY]);
  const declares = (capabilities: unknown) =>
    isObject(capabilities) && isObject(capabilities['elicitation']) && isObject(capabilities['elicitation']['url']);
  assert.equal(
    message.clientElicitationUrl,
    declares(meta[CLIENT_CAPABILITIES_KEY]) || (message.method === 'initialize' && declares(params['capabilities'])),
  );
  const slice = (span: { start: number; end: number } | undefined) =>
    span === undefined ? undefined : JSON.parse(body.toString('utf8', span.start, span.end));
  assert.deepEqual(slice(message.spans.message), parsed);
  assert.deepEqual(slice(message.spans.params), parsed['params']);
  assert.deepEqual(slice(message.spans.meta), params['_meta']);
}
