import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { encodeStruct } from '../../src/envoy/codec/struct.ts';
import { StructKeys } from '../../src/envoy/codec/struct-key.ts';
import { canonicalJson } from '../../src/policy/resolve.ts';
import {
  broken,
  bytes,
  damage,
  numbers,
  processing,
  request,
  scatter,
  struct,
  tape,
  toFields,
  toProcessingFields,
} from '../property/codec-messages.ts';
import {
  agrees,
  checkOracle,
  processingOracle,
  readCheck,
  readProcessing,
  readStruct,
} from '../property/codec-oracles.ts';
import { expectedStruct } from '../property/codec-views.ts';
import { wire } from '../unit/envoy/codec/oracle.ts';
import { target } from './target.ts';

const damaged = (messages: fc.Arbitrary<Buffer>) =>
  fc.oneof({ weight: 12, arbitrary: fc.tuple(messages, damage).map(([one, harm]) => broken(one, harm)) }, messages, {
    weight: 2,
    arbitrary: bytes(80),
  });

const keys = new StructKeys();
const meanings = new Map<string, string>();

/** What Envoy sends: framed by Envoy, but its texts, headers and bodies are the client's. */
export const WIRE_TARGETS = [
  target(
    'check-request',
    'read as protobufjs reads it, header map included, or refused with a DecodeError',
    damaged(fc.tuple(request, numbers).map(([from, list]) => wire(scatter(toFields(from), tape(list))))),
    (input) => void agrees(input, readCheck, checkOracle),
  ),
  target(
    'processing-request',
    'read as protobufjs reads it, or refused with a DecodeError',
    damaged(fc.tuple(processing, numbers).map(([from, list]) => wire(scatter(toProcessingFields(from), tape(list))))),
    (input) => void agrees(input, readProcessing, processingOracle),
  ),
  target(
    'struct',
    'read as protobufjs reads it, or refused; equal keys mean equal policies',
    damaged(struct.map((object) => encodeStruct(object))),
    (input) => {
      const read = agrees(input, readStruct, expectedStruct);
      const key = keys.keyOf(input);
      const meaning = read ? canonicalJson(readStruct(input)) : 'no struct';
      if (meanings.size > 100_000) meanings.clear();
      assert.equal(meanings.get(key) ?? meaning, meaning);
      meanings.set(key, meaning);
    },
  ),
];
