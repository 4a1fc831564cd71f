import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readXml, textAt, type XmlElement } from '../../../src/strategies/aws-xml.ts';
import { stsAnswer, stsError } from '../../support/sts-server.ts';

describe('the XML of AWS answers', () => {
  it('reads what STS writes', () => {
    const role = {
      roleArn: 'arn:aws:iam::1:role/r',
      sessionName: 's',
      accessKeyId: 'AKID',
      secretAccessKey: 'a/b+c=',
      sessionToken: 't',
    };
    const root = readXml(`<?xml version="1.0" encoding="UTF-8"?>\n${stsAnswer(role, 0)}`);
    assert.equal(root?.name, 'AssumeRoleWithWebIdentityResponse');
    const credentials = ['AssumeRoleWithWebIdentityResult', 'Credentials'];
    assert.equal(textAt(root, ...credentials, 'SecretAccessKey'), 'a/b+c=');
    assert.equal(textAt(root, ...credentials, 'Expiration'), '1970-01-01T00:00:00Z');
    assert.equal(textAt(readXml(stsError('AccessDenied')) as XmlElement, 'Error', 'Code'), 'AccessDenied');
  });

  it('names that are missing, or there twice, have no text', () => {
    const root = readXml('<a><b>1</b><c>2</c><c>3</c><d><e/></d></a>') as XmlElement;
    assert.equal(textAt(root, 'b'), '1');
    assert.equal(textAt(root, 'c'), undefined);
    assert.equal(textAt(root, 'x', 'y'), undefined);
    assert.equal(textAt(root, 'd', 'e'), '');
  });

  it('knows the five entities and character references', () => {
    assert.equal(readXml('<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F600;&amp;lt;</a>')?.text, '<&>"\'A😀&lt;');
  });

  for (const [what, text] of [
    ['a document type', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'],
    ['an entity of its own', '<a>&x;</a>'],
    ['a lone ampersand', '<a>a & b</a>'],
    ['a reference to half a character', '<a>&#xD800;</a>'],
    ['a reference to a control character', '<a>&#0;</a>'],
    ['a reference beyond Unicode', '<a>&#x110000;</a>'],
    ['a comment', '<a><!-- b --></a>'],
    ['CDATA', '<a><![CDATA[b]]></a>'],
    ['a processing instruction', '<a><?b?></a>'],
    ['two declarations', '<?xml version="1.0"?><?xml version="1.0"?><a/>'],
    ['text before the root', 'x<a/>'],
    ['text after the root', '<a/>x'],
    ['two roots', '<a/><b/>'],
    ['elements that cross', '<a><b></a></b>'],
    ['an end that is missing', '<a><b></b>'],
    ['an attribute without quotes', '<a b=c/>'],
    ['an attribute with a tag in it', '<a b="<c>"/>'],
    ['a name with a space', '< a></a>'],
    ['nothing', ''],
    ['HTML', '<html><br></html>'],
    ['JSON', '{}'],
    ['17 levels', `${'<a>'.repeat(17)}${'</a>'.repeat(17)}`],
  ]) {
    it(`refuses ${what}`, () => assert.equal(readXml(text as string), undefined));
  }

  it('is quick to refuse what never ends', () => {
    const startedMs = performance.now();
    for (const piece of ['<a>', '<a b="c" ', '&amp;', '<', ' ', '</a>', '<a b="'])
      readXml(`<a>${piece.repeat(200_000)}`);
    assert.ok(performance.now() - startedMs < 2_000);
  });

  it('reads back whatever is written', () => {
    const name = fc.stringMatching(/^[A-Za-z_][\w.-]{0,8}$/);
    const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((t) => t.isWellFormed() && !/\p{Cc}/u.test(t));
    const leaf = fc.record({ name, text, children: fc.constant([]) }, { noNullPrototype: true });
    const tree = fc.letrec<{ node: XmlElement }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.record(
          { name, text: fc.constant(''), children: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) },
          { noNullPrototype: true },
        ),
      ) as fc.Arbitrary<XmlElement>,
    })).node;
    fc.assert(
      fc.property(tree, (element) => assert.deepEqual(readXml(written(element)), element)),
      { numRuns: 300 },
    );
  });
});

function written({ name, text, children }: XmlElement): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<${name} x="y">${escaped}${children.map(written).join('\n')}</${name}>`;
}
