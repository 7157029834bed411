import assert from 'node:assert/strict'
import fc from 'fast-check'
import { buildXml } from '../../src/domain/xml/build.ts'
import { element } from '../../src/domain/xml/element.ts'
import { xmlDiff } from '../../src/domain/xml-diff.ts'
import { xml } from './specs.ts'

const names = { from: 'persistent', to: 'live' }
const diff = (before: string, after: string, options = {}) => xmlDiff(xml(before), xml(after), { ...names, ...options })

describe('XML diff', () => {
  it('is a unified diff with the lines around a change', () => {
    const domain = (mode: string) =>
      `<domain><name>r1</name><memory>1</memory><devices><interface type="direct"><source dev="u" mode="${mode}"/></interface><rng/></devices></domain>`
    assert.equal(
      diff(domain('bridge'), domain('vepa'), { contextLines: 1 }),
      [
        '--- persistent',
        '+++ live',
        '@@ -5,3 +5,3 @@',
        '     <interface type="direct">',
        '-      <source dev="u" mode="bridge"/>',
        '+      <source dev="u" mode="vepa"/>',
        '     </interface>',
        '',
      ].join('\n'),
    )
  })

  it('is empty for what says the same: quotes, blanks, attribute order, comments, order of different siblings', () => {
    assert.equal(
      diff(
        "<domain type='kvm' id='1'>\n\n<name> r1 </name><!-- x --><memory>1</memory></domain>",
        '<domain id="1" type="kvm"><memory>1</memory><name>r1</name></domain>',
      ),
      '',
    )
  })

  it('shows when two of one kind change places: NICs have an order', () => {
    const nics = (...macs: string[]) =>
      `<devices>${macs.map((mac) => `<interface><mac address="${mac}"/></interface>`).join('')}</devices>`
    assert.notEqual(diff(nics('a', 'b'), nics('b', 'a')), '')
  })

  it('is empty when a NIC was detached and attached again in its slot, which libvirt then lists last', () => {
    const nic = (mac: string, bus: string) =>
      `<interface><mac address="${mac}"/><address type="pci" domain="0x0000" bus="${bus}" slot="0x00" function="0x0"/></interface>`
    const [first, second] = [nic('a', '0x01'), nic('b', '0x02')]
    assert.equal(diff(`<devices>${first}${second}</devices>`, `<devices>${second}${first}</devices>`), '')
  })

  it('can leave out what only a running domain has', () => {
    const persistent = `<domain type="kvm"><devices><interface type="bridge"><source bridge="b"/></interface><serial type="pty"><target port="0"/></serial></devices></domain>`
    const live = `<domain type="kvm" id="3"><devices><interface type="bridge"><source bridge="b"/><target dev="vnet3"/><alias name="net0"/></interface>
      <serial type="pty"><source path="/dev/pts/1"/><target port="0"/><alias name="serial0"/></serial></devices><seclabel type="dynamic" model="dac"/></domain>`
    assert.notEqual(diff(persistent, live), '')
    assert.equal(diff(persistent, live, { ignoreRuntimeState: true }), '')
  })

  it('holds what turns the one into the other, at the lines that it names', () => {
    const rows = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 25 })
    const tree = (letters: readonly string[]) =>
      element(
        'list',
        {},
        letters.map((letter) => element('row', { letter })),
      )
    fc.assert(
      fc.property(rows, rows, fc.integer({ min: 0, max: 4 }), (left, right, contextLines) => {
        const patch = xmlDiff(tree(left), tree(right), { ...names, contextLines })
        assert.equal(applyPatch(buildXml(tree(left)), patch), buildXml(tree(right)), patch)
      }),
      { numRuns: 300 },
    )
  })
})

/** Applies a unified diff strictly: every line that it shows of the old text must stand where it says. */
function applyPatch(text: string, patch: string): string {
  const old = text.split('\n')
  const result: string[] = []
  let at = 0
  for (const line of patch.split('\n').slice(2, -1)) {
    const header = /^@@ -(\d+)(?:,(\d+))? \+/.exec(line)
    if (header !== null) {
      const start = Number(header[1]) - (header[2] === '0' ? 0 : 1)
      result.push(...old.slice(at, start))
      at = start
      continue
    }
    if (!line.startsWith('+')) {
      assert.equal(old[at], line.slice(1))
      at += 1
    }
    if (!line.startsWith('-')) result.push(line.slice(1))
  }
  return [...result, ...old.slice(at)].join('\n')
}
