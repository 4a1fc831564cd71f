import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeCheckRequest } from '../../src/envoy/codec/check-request.ts';
import { encodeStruct } from '../../src/envoy/codec/struct.ts';
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
import { agrees, checkOracle, processingOracle, readCheck, readProcessing, readStruct } from './codec-oracles.ts';
import { expectedCheck, expectedStruct } from './codec-views.ts';

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
