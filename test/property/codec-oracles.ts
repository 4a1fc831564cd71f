import assert from 'node:assert/strict';
import { decodeCheckRequest } from '../../src/envoy/codec/check-request.ts';
import { decodeProcessingRequest } from '../../src/envoy/codec/processing-request.ts';
import { decodeStruct } from '../../src/envoy/codec/struct.ts';
import { DecodeError } from '../../src/envoy/codec/wire.ts';
import { NAMESPACE } from './codec-messages.ts';
import { expectedCheck, expectedProcessing } from './codec-views.ts';

/** Our readers beside those of protobufjs. */

export const readCheck = (input: Buffer) => decodeCheckRequest(input, NAMESPACE);
/** Keeps of `read` what the oracle leaves open. */
export const checkOracle = (input: Buffer, read: unknown) => ({
  ...(read as object),
  ...expectedCheck(input, NAMESPACE),
});
export const readProcessing = (input: Buffer) => decodeProcessingRequest(input, NAMESPACE);
export const processingOracle = (input: Buffer) => expectedProcessing(input, NAMESPACE);
export const readStruct = (input: Buffer) => structuredClone(decodeStruct(input));

/** Reads, or refuses with a DecodeError; whatever is read must be what the oracle reads. */
export function agrees(
  input: Buffer,
  read: (input: Buffer) => unknown,
  oracle: (input: Buffer, read: unknown) => unknown,
): boolean {
  let message: unknown;
  try {
    message = read(input);
  } catch (error) {
    assert.ok(error instanceof DecodeError, String(error));
    return false;
  }
  assert.deepEqual(message, oracle(input, message));
  return true;
}
