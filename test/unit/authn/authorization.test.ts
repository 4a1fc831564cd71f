import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readAuthorization } from '../../../src/authn/authorization.ts';
import { HeaderFields } from '../../../src/core/request-facts.ts';

const read = (...values: string[]) =>
  readAuthorization(new HeaderFields(values.flatMap((value) => ['authorization', value])));
const malformed = { kind: 'malformed', refusal: { reason: 'authorization_malformed' } };
const repeated = { kind: 'malformed', refusal: { reason: 'authorization_repeated' } };

describe('the Authorization header', () => {
  const rows: [name: string, values: string[], expected: object][] = [
    ['none', [], { kind: 'none' }],
    ['bearer', ['Bearer abc.def-_~+/=='], { kind: 'bearer', token: 'abc.def-_~+/==' }],
    ['scheme in any case', ['bEARER abc'], { kind: 'bearer', token: 'abc' }],
    ['several spaces', [' Bearer   abc '], { kind: 'bearer', token: 'abc' }],
    ['basic', ['Basic dTpw'], { kind: 'basic', value: 'dTpw' }],
    ['another scheme', ['DPoP abc, def'], { kind: 'other' }],
    ['a scheme without credential', ['Negotiate'], { kind: 'other' }],
    ['no credential', ['Bearer'], malformed],
    ['empty credential', ['Bearer '], malformed],
    ['empty', [''], malformed],
    ['two words', ['Bearer a b'], malformed],
    ['a tab instead of a space', ['Bearer\tabc'], malformed],
    ['padding in the middle', ['Bearer a=b'], malformed],
    ['a byte that is not ASCII', ['Bearer caf\u00e9'], malformed],
    ['a line break', ['Bearer abc\ndef'], malformed],
    // A byte that is white space to JavaScript and the end of a letter to UTF-8.
    ['a no-break space before the credential', ['Bearer \u00a0abc'], malformed],
    ['a no-break space around all', ['\u00a0Bearer abc\u00a0'], malformed],
    ['a line break before the credential', ['Bearer \nabc'], malformed],
    ['a quoted credential', ['Bearer "abc"'], malformed],
    ['two headers', ['Bearer a', 'Bearer b'], repeated],
    ['two equal headers', ['Bearer a', 'Bearer a'], repeated],
    ['two in one, as Envoy joins them', ['Bearer a,Bearer b'], repeated],
    ['two basic ones', ['Basic dTpw, Basic dTpw'], repeated],
  ];
  for (const [name, values, expected] of rows) {
    test(name, () => assert.deepEqual(read(...values), expected));
  }
});
