import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeCheckRequest } from '../../src/envoy/codec/check-request.ts';
import { decodeProcessingRequest } from '../../src/envoy/codec/processing-request.ts';
import { decodeStruct, encodeStruct } from '../../src/envoy/codec/struct.ts';
import { DecodeError } from '../../src/envoy/codec/wire.ts';
import { CheckRequest, ProcessingRequest, Struct, toProtoStruct, wire } from '../unit/envoy/codec/oracle.ts';
import {
  broken,
  bytes,
  damage,
  NAMESPACE,
  numbers,
  processing,
  request,
  scatter,
  struct,
  tape,
  toFields,
  toProcessingFields,
} from './codec-messages.ts';
import { expectedCheck, expectedProcessing, expectedStruct } from './codec-views.ts';

const readCheck = (input: Buffer) => decodeCheckRequest(input, NAMESPACE);
/** Keeps of `read` what the oracle leaves open. */
const checkOracle = (input: Buffer, read: unknown) => ({ ...(read as object), ...expectedCheck(input, NAMESPACE) });
const readProcessing = (input: Buffer) => decodeProcessingRequest(input, NAMESPACE);
const processingOracle = (input: Buffer) => expectedProcessing(input, NAMESPACE);
const readStruct = (input: Buffer) => structuredClone(decodeStruct(input));

test('requests that protobufjs writes are read as they were meant', () => {
  fc.assert(
    fc.property(request, (from) => {
      const reordered = CheckRequest.serialize(CheckRequest.deserialize(wire(toFields(from))));
      const expected = expectedCheck(wire(toFields(from)), NAMESPACE);
      const { routeMetadata, ...message } = decodeCheckRequest(reordered, NAMESPACE);
      const { routeMetadata: expectedRoute, ...rest } = expected;
      assert.deepEqual(message, rest);
      assert.equal(routeMetadata === undefined, expectedRoute === undefined);
      const object = from.route.findLast(([key]) => key === NAMESPACE)?.[1];
      if (routeMetadata !== undefined) assert.deepEqual(readStruct(routeMetadata), object);
    }),
    { numRuns: 300 },
  );
});

test('order, pieces and unknown fields change nothing', () => {
  fc.assert(
    fc.property(request, numbers, (from, list) => {
      const straight = decodeCheckRequest(wire(toFields(from)), NAMESPACE);
      const scattered = decodeCheckRequest(wire(scatter(toFields(from), tape(list))), NAMESPACE);
      assert.deepEqual(scattered, straight);
    }),
    { numRuns: 300 },
  );
});

/** Reads, or refuses with a DecodeError; whatever is read must be what the oracle reads. */
function agrees(
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

test('damaged requests are refused or read as protobuf reads them', () => {
  let accepted = 0;
  fc.assert(
    fc.property(request, damage, numbers, (from, harm, list) => {
      if (agrees(broken(wire(toFields(from)), harm), readCheck, checkOracle)) accepted++;
      if (agrees(broken(wire(scatter(toFields(from), tape(list))), harm), readCheck, checkOracle)) accepted++;
    }),
    { numRuns: 1000 },
  );
  assert.ok(accepted > 100, `only ${accepted} messages survived the damage`);
});

test('arbitrary bytes are refused or read as protobuf reads them', () => {
  fc.assert(
    fc.property(bytes(60), (input) => {
      agrees(input, readCheck, checkOracle);
      agrees(input, readProcessing, processingOracle);
      agrees(input, readStruct, expectedStruct);
    }),
    { numRuns: 2000 },
  );
});

test('ext_proc messages, whole, scattered and damaged', () => {
  fc.assert(
    fc.property(processing, numbers, damage, (from, list, harm) => {
      const fields = toProcessingFields(from);
      const straight = readProcessing(wire(fields));
      assert.deepEqual(straight, processingOracle(wire(fields)));
      assert.deepEqual(readProcessing(wire(scatter(fields, tape(list)))), straight);
      const rewritten = readProcessing(ProcessingRequest.serialize(ProcessingRequest.deserialize(wire(fields))));
      // protobufjs writes the Struct anew, perhaps in another order.
      assert.deepEqual({ ...rewritten, dynamicMetadata: straight.dynamicMetadata }, straight);
      assert.equal(rewritten.dynamicMetadata === undefined, straight.dynamicMetadata === undefined);
      agrees(broken(wire(fields), harm), readProcessing, processingOracle);
    }),
    { numRuns: 500 },
  );
});

test('structs: there and back, and damaged', () => {
  fc.assert(
    fc.property(struct, damage, (object, harm) => {
      const ours = encodeStruct(object);
      assert.deepEqual(readStruct(ours), object);
      assert.deepEqual(expectedStruct(ours), object);
      assert.deepEqual(readStruct(Struct.serialize(toProtoStruct(object))), object);
      agrees(broken(ours, harm), readStruct, expectedStruct);
    }),
    { numRuns: 500 },
  );
});
