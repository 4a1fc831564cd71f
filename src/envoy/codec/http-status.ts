import { EncodeError } from './wire.ts';
import type { WireWriter } from './wire-writer.ts';

/**
 * Writes an envoy.type.v3.HttpStatus. Envoy sends 1xx as if it were final, which no client survives, and reads 0 as 403.
 *
 * @throws EncodeError
 */
export function writeHttpStatus(writer: WireWriter, field: number, status: number): void {
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new EncodeError(`${status} is not a final HTTP status`);
  const mark = writer.mark();
  writer.uint(1, status);
  writer.message(field, mark);
}
