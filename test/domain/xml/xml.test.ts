import assert from 'node:assert/strict'
import fc from 'fast-check'
import { buildXml } from '../../../src/domain/xml/build.ts'
import { childElements, element, sameElement, textOf, type XmlNode, xmlText } from '../../../src/domain/xml/element.ts'
import { maxXmlBytes, parseXml, parseXmlDocument, positionOf } from '../../../src/domain/xml/parse.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { processorTime } from '../../processor-time.ts'

const source = { name: 'some.xml', code: 'TEMPLATE_INVALID' } as const

function refusal(xml: string): string {
  try {
    parseXml(xml, source)
  } catch (error) {
    assert.ok(isVmrError(error), String(error))
    assert.equal(error.code, 'TEMPLATE_INVALID')
    assert.ok(error.hint)
    return error.message
  }
  assert.fail(`accepted: ${xml.slice(0, 80)}`)
}

const nameStart = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzABCXYZ_äλ中')
const namePart = fc.constantFrom(...'abcxyzABC019_.-é')
const localName = fc
  .tuple(nameStart, fc.array(namePart, { maxLength: 6 }))
  .map(([first, rest]) => first + rest.join(''))
  .filter((name) => !(name in Object.prototype) && !['constructor', 'prototype', '__proto__'].includes(name))
const name = fc.oneof(
  { weight: 4, arbitrary: localName },
  { weight: 1, arbitrary: fc.tuple(localName, localName).map(([prefix, local]) => `${prefix}:${local}`) },
)
const characters = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...'<>&"\'\t\n\r ]-;#xa'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  })
  .filter((text) => !/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.test(text))
const content = characters.filter((text) => text.trim() !== '')

const tree = fc.letrec<{ element: ReturnType<typeof element>; node: XmlNode }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'xml' },
    { weight: 1, arbitrary: content.map((text): XmlNode => xmlText(text)) },
    {
      weight: 1,
      arbitrary: characters
        // A parser reads every line end as LF (XML 1.0 section 2.11), and neither form can be escaped in these two.
        .filter((text) => !text.includes(']]>') && !text.includes('\r'))
        .map((text): XmlNode => ({ kind: 'cdata', text })),
    },
    {
      weight: 1,
      arbitrary: characters
        .filter((text) => !text.includes('--') && !text.endsWith('-') && !text.includes('\r'))
        .map((text): XmlNode => ({ kind: 'comment', text })),
    },
    { weight: 3, arbitrary: tie('element') },
  ),
  element: fc
    .record({
      name,
      attributes: fc.dictionary(name, characters, { maxKeys: 4, noNullPrototype: true }),
      children: fc.array(tie('node'), { maxLength: 4, depthIdentifier: 'xml' }),
    })
    // Two texts side by side are one in any document.
    .map((parts) =>
      element(
        parts.name,
        parts.attributes,
        parts.children.filter((child, index, all) => child.kind !== 'text' || all[index - 1]?.kind !== 'text'),
      ),
    ),
})).element

describe('XML', () => {
  it('reads back exactly what it wrote, whatever the names, values, text, comments and CDATA', () => {
    fc.assert(
      fc.property(tree, (root) => {
        assert.deepEqual(parseXml(buildXml(root), source), root)
      }),
      { numRuns: 300 },
    )
  })

  it('lets no value break out of its attribute or element', () => {
    fc.assert(
      fc.property(characters, (value) => {
        const root = parseXml(buildXml(element('domain', { a: value }, [element('name', {}, [value])])), source)
        assert.equal(root.attributes.a, value)
        assert.equal(childElements(root).length, 1)
        assert.equal(textOf(root.children[0]?.kind === 'element' ? root.children[0] : root), value.trim())
      }),
    )
    for (const value of [`"/><evil/>`, `'><evil>`, ']]><evil/>', '--><evil/>', '&lt;', '&#60;evil/>', '<!DOCTYPE a>']) {
      const root = parseXml(buildXml(element('a', { b: value }, [value])), source)
      assert.deepEqual(root, element('a', { b: value }, [value]))
    }
  })

  it('refuses to write what no XML document can hold', () => {
    for (const bad of ['\0', '\u0001', '\u001b', '\ud800', '\udc00x', '\ufffe', '\uffff']) {
      assert.throws(() => buildXml(element('a', { b: bad })), { code: 'CONFIG_INVALID' })
      assert.throws(() => buildXml(element('a', {}, [`x${bad}`])), { code: 'CONFIG_INVALID' })
    }
    assert.throws(() => buildXml(element('a', {}, [{ kind: 'comment', text: 'a -- b' }])), { code: 'CONFIG_INVALID' })
    assert.throws(() => buildXml(element('a', {}, [{ kind: 'cdata', text: 'a]]>b' }])), { code: 'CONFIG_INVALID' })
    for (const bad of ['', 'a b', 'a>', '1a', 'a:b:c', 'a"', '__proto__'])
      assert.throws(() => buildXml(element(bad)), { code: 'INTERNAL' })
  })

  it('leaves out attributes that are undefined', () => {
    assert.equal(buildXml(element('a', { b: undefined, c: 1 })), '<a c="1"/>\n')
  })

  it('indents elements, and leaves text as it is', () => {
    const root = element('a', {}, [element('b', {}, ['  x ']), element('c', {}, [element('d')])])
    assert.equal(buildXml(root), '<a>\n  <b>  x </b>\n  <c>\n    <d/>\n  </c>\n</a>\n')
  })

  const malformed: readonly (readonly [string, RegExp])[] = [
    ['', /some\.xml:1:1: /],
    ['   ', /some\.xml/],
    ['no markup', /:1:1: there is text outside the root/],
    ['<a>', /Unclosed tag 'a'/],
    ['<a>\n  <name>x</nam>\n</a>', /:2:10: Expected closing tag 'name' \(opened in line 2, col 3\)/],
    ['<a/>\n<b/>', /:2:1: <b> is a second root element beside <a>/],
    ['<a/> x', /:1:6: there is text outside the root/],
    ['<a b="1" b="2"/>', /Attribute 'b' is repeated/],
    ['<a b=1/>', /:1:4: /],
    ['<a b/>', /:1:4: /],
    ['<a b="<"/>', /:1:\d+: an attribute value holds a bare "<"/],
    ['<a>x & y</a>', /:1:6: a "&" that starts no known reference/],
    ['<a>&nbsp;</a>', /:1:4: a "&" that starts no known reference/],
    ['<a b="&x;"/>', /:1:7: a "&" that starts no known reference/],
    ['<a>&#0;</a>', /:1:4: a "&" that starts no known reference/],
    ['<a>&#x110000;</a>', /:1:4: /],
    ['<a>\n\u0001</a>', /:2:1: character U\+0001 is not allowed/],
    ['<a>]]></a>', /:1:4: text holds "\]\]>"/],
    ['<a><!-- x -- y --></a>', /:1:11: a comment cannot hold "--"/],
    ['<a><!-- x</a>', /:1:4: /],
    ['<a><![CDATA[x</a>', /:1:4: /],
    ['<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', /:1:1: a DOCTYPE is not accepted/],
    ['<a><!DOCTYPE b></a>', /:1:4: a DOCTYPE is not accepted/],
    ['<a __proto__="x"/>', /__proto__/],
    ['<constructor/>', /constructor/],
    ['<a "x/>', /:1:1: the markup that starts here is not closed/],
  ]
  for (const [xml, message] of malformed) {
    it(`refuses ${JSON.stringify(xml)} and says where`, () => {
      assert.match(refusal(xml), message)
    })
  }

  it('refuses a document beyond the size limit and one nested without end', () => {
    assert.match(refusal(`<a>${' '.repeat(maxXmlBytes)}</a>`), /larger than the limit of 2 MiB/)
    assert.match(refusal(`${'<a>'.repeat(20000)}${'</a>'.repeat(20000)}`), /nested/i)
  })

  it('either accepts or refuses any text with one clear error, in a time that grows with its length only', () => {
    const pieces = fc.constantFrom(
      '<',
      '>',
      '/',
      'a',
      ' ',
      '"',
      "'",
      '=',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '&',
      ';',
      '?',
      '!',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        try {
          parseXml(parts.join(''), source)
        } catch (error) {
          assert.ok(isVmrError(error) && error.code === 'TEMPLATE_INVALID', String(error))
        }
      }),
      { numRuns: 500 },
    )
    const started = processorTime()
    for (const piece of ['<a b="', '<a ', '<!--', '&', '"', '<a b="x" ', "<'"]) refusal(piece.repeat(100_000))
    assert.ok(processorTime() - started < 5000, 'hostile input took too long')
  })

  it('keeps element order, comments, CDATA and elements it does not know', () => {
    const xml =
      '<a>\n  <z/>\n  <!-- why -->\n  <y:b xmlns:y="urn:y">t</y:b>\n  <z n="2"/>\n  <c><![CDATA[<x>]]></c>\n</a>\n'
    assert.equal(buildXml(parseXml(xml, source)), xml)
  })

  it('drops the declaration and a byte order mark', () => {
    assert.deepEqual(parseXml('\u{FEFF}<?xml version="1.0" encoding="UTF-8"?>\n<a/>', source), element('a'))
  })

  it('knows the line and column of every element, with any kind of line end', () => {
    for (const newline of ['\n', '\r\n', '\r']) {
      const root = parseXml(['<a>', '  <b/>', '   <c>', '</c></a>'].join(newline), source)
      assert.deepEqual(childElements(root).map(positionOf), [
        { line: 2, column: 3 },
        { line: 3, column: 4 },
      ])
    }
  })

  it('hands out the comments before the root with their lines', () => {
    const { leadingComments } = parseXmlDocument(
      '<?xml version="1.0"?>\n<!-- one -->\n\n<!-- two --><a><!-- no --></a>',
      source,
    )
    assert.deepEqual(
      leadingComments.map(({ text, position }) => [text.trim(), position.line]),
      [
        ['one', 2],
        ['two', 4],
      ],
    )
  })

  it('compares elements by what they say, not by attribute order or comments', () => {
    const parse = (xml: string) => parseXml(xml, source)
    assert.ok(sameElement(parse('<a x="1" y="2"><b/><!-- c --></a>'), parse('<a y="2" x="1"><b/></a>')))
    for (const other of [
      '<a x="1"/>',
      '<a x="1" y="3"><b/></a>',
      '<a x="1" y="2"><c/></a>',
      '<a x="1" y="2"><b/><b/></a>',
      '<a x="1" y="2">b</a>',
    ])
      assert.ok(!sameElement(parse('<a x="1" y="2"><b/></a>'), parse(other)), other)
  })
})
