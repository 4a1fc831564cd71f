import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readBasicCredentials } from '../../../src/authn/basic-credentials.ts';

const encode = (text: string, encoding: BufferEncoding = 'utf8') => Buffer.from(text, encoding).toString('base64');

describe('a user name and password', () => {
  const table: readonly [value: string, username: string, password: string][] = [
    // RFC 7617 2 and 2.1
    ['QWxhZGRpbjpvcGVuIHNlc2FtZQ==', 'Aladdin', 'open sesame'],
    ['dGVzdDoxMjPCow==', 'test', '123£'],
    [encode('a:b:c'), 'a', 'b:c'],
    [encode(':'), '', ''],
    [encode('a:'), 'a', ''],
    [encode(':b'), '', 'b'],
    [encode('\ufeffa:b'), '\ufeffa', 'b'],
  ];
  for (const [value, username, password] of table) {
    test(value, () => assert.deepEqual(readBasicCredentials(value), { username, password }));
  }
});

describe('anything else', () => {
  const table: readonly [what: string, value: string][] = [
    ['nothing', ''],
    ['no colon', encode('alice')],
    ['base64 without its padding', 'QWxhZGRpbjpvcGVuIHNlc2FtZQ'],
    ['base64 with other bits in its last letter', 'QWxhZGRpbjpvcGVuIHNlc2FtZR=='],
    ['base64url', encode('a:\u00ff\u00fe?>').replaceAll('/', '_').replaceAll('+', '-')],
    ['base64 with something inside', 'QWxh.ZGRpbjpvcGVu'],
    ['latin1', encode('zo\xeb:x', 'latin1')],
    ['half a character', encode('a:\xc3', 'latin1')],
    ['a line break', encode('a:b\n')],
    ['NUL', encode('a\0:b')],
    ['DEL', encode('a:\x7f')],
    ['4,100 characters', encode(`a:${'x'.repeat(3_073)}`)],
  ];
  for (const [what, value] of table) {
    test(what, () => assert.equal(readBasicCredentials(value), undefined));
  }
});
