import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderFields } from '../../../src/core/request-facts.ts';
import { readMessageBody } from '../../../src/pipeline/body.ts';

const BODY = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}');
const readingOf = (type: string) => {
  const reading = readMessageBody(BODY, new HeaderFields(['content-type', type]), 1024);
  return reading.kind === 'refused' ? reading.refusal.reason : reading.kind;
};

describe('readMessageBody: content types', () => {
  for (const type of [
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json ; charset="utf-8"',
  ])
    it(`takes ${type}`, () => assert.equal(readingOf(type), 'message'));

  for (const type of [
    '',
    'text/plain',
    'application/jsonp',
    'application/json-seq',
    'application/json, application/json',
    'application/json; charset=utf-7',
    'application/json; charset=us-ascii',
    'application/json; charset=',
    'application/json; charset=utf-8; charset=utf-7',
    'application/json; a="; charset=utf-8"; charset=utf-7',
    'application/json; charset="utf-8"; Charset="utf\\-7"',
    "application/json; charset*=us-ascii''utf-7",
    'application/json; charset*0=utf-; charset*1=7',
  ])
    it(`refuses ${type || 'an empty one'}`, () => assert.equal(readingOf(type), 'body_type'));
});
