import type { AuditRecord, Log } from '../core/ports.ts';
import type { SpanAttributes, Tracer } from '../core/tracer.ts';
import type { AuditSink } from './audit.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Log lines that are written in a trace name it, and the request; what a line says itself comes first. */
export function traceLog<L extends Log>(log: L, tracer: Tracer): L {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields?: Fields): void => {
      const { here, requestId } = tracer;
      if (!here) log[level](message, fields);
      else
        log[level](message, {
          ...(requestId !== undefined && { request_id: requestId }),
          trace_id: here.traceId,
          ...fields,
        });
    };
  return { ...log, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** What a span takes over of an audit line: words of ours and names of the configuration. Nobody's identity. */
const NOTED = ['event', 'outcome', 'reason', 'status', 'backend', 'strategy', 'auth_method', 'provider'];
/** `tools/call` and the like; a client may send any text in that place. */
const MCP_METHOD = /^[a-z]{1,32}(\/[a-z_]{1,32}){0,3}$/i;

/** Audit lines say which trace they belong to, and the span under way says what the line says, people left out. */
export function traceAudit(audit: AuditSink, tracer: Tracer): AuditSink {
  return {
    get broken() {
      return audit.broken;
    },
    write(record) {
      const { here } = tracer;
      if (here) tracer.note(attributesOf(record), record.outcome === 'error' ? record.reason : undefined);
      audit.write(here ? { ...record, trace_id: record['trace_id'] ?? here.traceId } : record);
    },
    flush: () => audit.flush(),
  };
}

function attributesOf(record: AuditRecord): SpanAttributes {
  const attributes: Record<string, string | number> = {};
  for (const name of NOTED) {
    const value = record[name];
    if (typeof value === 'string' || typeof value === 'number') attributes[`mcp_identity.${name}`] = value;
  }
  const { mcp_method: method } = record;
  if (typeof method === 'string' && MCP_METHOD.test(method)) attributes['mcp.method.name'] = method;
  return attributes;
}
