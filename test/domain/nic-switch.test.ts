import assert from 'node:assert/strict'
import fc from 'fast-check'
import { findNicMode } from '../../src/domain/nic-modes.ts'
import { supportsChild } from '../../src/domain/nic-support.ts'
import { planNicSwitch, switchedInterface } from '../../src/domain/nic-switch.ts'
import { buildXml } from '../../src/domain/xml/build.ts'
import {
  childElements,
  element,
  firstChild,
  sameElement,
  withChildren,
  type XmlElement,
} from '../../src/domain/xml/element.ts'
import { documentedChildren } from './interface-elements.ts'
import { shippedModes, sourceFor, xml } from './specs.ts'

const modeNames = [...shippedModes.modes.keys()]
const modeName = fc.constantFrom(...modeNames)
const mode = (name: string) => findNicMode(shippedModes, name)

/** What libvirt shows of a running NIC in this mode that was defined with these children. */
function liveInterface(name: string, children: readonly string[]): XmlElement {
  const start = element('interface', {}, [
    xml(documentedChildren.mac ?? ''),
    ...children.filter((child) => child !== 'mac').map((child) => xml(documentedChildren[child] ?? '')),
  ])
  const { element: attached } = switchedInterface({ live: start, to: mode(name), source: sourceFor(name) })
  const target =
    firstChild(attached, 'target') ??
    element('target', { dev: attached.attributes.type === 'direct' ? 'macvtap3' : 'vnet12' })
  const alias = firstChild(attached, 'alias') ?? element('alias', { name: 'net0' })
  const others = attached.children.filter((node) => node.kind === 'element' && !['target', 'alias'].includes(node.name))
  return withChildren(attached, [...others, ...(attached.attributes.type === 'user' ? [] : [target]), alias])
}

const child = (of: XmlElement, name: string) => {
  const found = firstChild(of, name)
  return found && buildXml(found).trim()
}

describe('Switching a NIC to another mode', () => {
  it('keeps every documented setting untouched that the new mode can have, and sets the others aside', () => {
    fc.assert(
      fc.property(modeName, modeName, fc.subarray(Object.keys(documentedChildren)), (from, to, children) => {
        const live = liveInterface(from, children)
        const { element: after, setAside } = switchedInterface({
          live,
          from: mode(from),
          to: mode(to),
          source: sourceFor(to),
        })
        assert.equal(after.attributes.type, mode(to).element.attributes.type)
        assert.equal(after.attributes.trustGuestRxFilters, mode(to).element.attributes.trustGuestRxFilters)
        for (const name of new Set(['mac', 'model', ...children])) {
          const before = child(live, name)
          // passt's own backend is a way of attaching, not a setting.
          if (before === undefined || before.includes('passt')) continue
          const setAsideToo = setAside.some((each) => each.name === name)
          if (supportsChild(after, name)) assert.deepEqual([child(after, name), setAsideToo], [before, false])
          else assert.deepEqual([child(after, name) === before, setAsideToo], [false, true])
        }
      }),
      { numRuns: 300 },
    )
  })

  it('brings back everything on the way back, also through modes that cannot have it', () => {
    fc.assert(
      fc.property(
        modeName,
        fc.array(modeName, { minLength: 1, maxLength: 4 }),
        fc.subarray(Object.keys(documentedChildren)),
        (first, others, children) => {
          const start = liveInterface(first, children)
          let at = { element: start, setAside: [] as readonly XmlElement[] }
          let from = first
          for (const to of [...others, first]) {
            at = switchedInterface({
              live: at.element,
              from: mode(from),
              to: mode(to),
              source: sourceFor(to),
              setAside: at.setAside,
            })
            from = to
          }
          const expected = switchedInterface({ live: start, to: mode(first), source: sourceFor(first) }).element
          assert.ok(sameElement(at.element, expected), `${buildXml(at.element)}\n${buildXml(expected)}`)
          assert.deepEqual(at.setAside, [])
        },
      ),
      { numRuns: 300 },
    )
  })

  it('drops what only the old attachment had: its source, tap, alias and port', () => {
    const live = xml(`<interface type="bridge"><mac address="52:54:00:00:00:01"/><source bridge="ovsbr0"/>
      <virtualport type="openvswitch"><parameters interfaceid="0b2c"/></virtualport><target dev="vnet4"/><model type="virtio"/>
      <alias name="net0"/><address type="pci" domain="0x0000" bus="0x01" slot="0x00" function="0x0"/></interface>`)
    const { element: after, setAside } = switchedInterface({
      live,
      from: mode('ovs'),
      to: mode('macvtap-trust'),
      source: 'enp1s0',
    })
    assert.equal(
      buildXml(after),
      buildXml(
        xml(`<interface type="direct" trustGuestRxFilters="yes"><mac address="52:54:00:00:00:01"/><source mode="bridge" dev="enp1s0"/>
        <model type="virtio"/><address type="pci" domain="0x0000" bus="0x01" slot="0x00" function="0x0"/></interface>`),
      ),
    )
    assert.deepEqual(setAside, [])
  })

  it('takes along what the old mode’s file brought only if a person changed it since', () => {
    const tuned = {
      ...mode('bridge'),
      name: 'tuned',
      element: xml('<interface type="bridge"><source/><driver queues="4"/></interface>'),
    }
    const live = (driver: string) =>
      xml(`<interface type="bridge"><mac address="52:54:00:00:00:01"/><source bridge="br0"/>${driver}</interface>`)
    const driverAfter = (driver: string) =>
      firstChild(
        switchedInterface({ live: live(driver), from: tuned, to: mode('macvtap'), source: 'u' }).element,
        'driver',
      )
    assert.equal(driverAfter('<driver queues="4"/>'), undefined)
    assert.equal(driverAfter('<driver queues="2"/>')?.attributes.queues, '2')
  })

  it('lets a newer libvirt’s element through that vmr does not know', () => {
    const live = xml(
      '<interface type="bridge"><mac address="52:54:00:00:00:01"/><source bridge="br0"/><novelty a="1"><b/></novelty></interface>',
    )
    const { element: after } = switchedInterface({ live, to: mode('macvtap'), source: 'u' })
    assert.equal(child(after, 'novelty'), '<novelty a="1">\n  <b/>\n</novelty>')
  })

  it('never takes the present MAC of a guest that changed it, nor devices from edited metadata', () => {
    const live = xml(
      '<interface type="direct"><mac address="52:54:00:00:00:01" currentAddress="52:54:00:00:00:99"/><source dev="u" mode="bridge"/></interface>',
    )
    const setAside = [xml('<mac address="52:54:00:00:00:77"/>'), xml('<evil/>'), xml('<address type="pci"/>')]
    const { element: after } = switchedInterface({ live, to: mode('bridge'), source: 'br0', setAside })
    assert.deepEqual(firstChild(after, 'mac')?.attributes, { address: '52:54:00:00:00:01' })
    assert.deepEqual(
      childElements(after).map(({ name }) => name),
      ['mac', 'source', 'model'],
    )
  })

  it('refuses an interface without MAC address', () => {
    assert.throws(
      () => switchedInterface({ live: xml('<interface type="bridge"/>'), to: mode('bridge'), source: 'b' }),
      {
        code: 'CONFIG_INVALID',
      },
    )
  })

  const live = (name: string, source?: string) => {
    const full = liveInterface(name, ['model', 'address', 'driver'])
    const own = firstChild(full, 'source')
    if (source === undefined || own === undefined) return full
    const attribute = full.attributes.type === 'bridge' ? 'bridge' : 'dev'
    return withChildren(
      full,
      full.children.map((node) =>
        node === own ? element('source', { ...own.attributes, [attribute]: source }) : node,
      ),
    )
  }
  const plan = (from: string, to: string, oldSource?: string, newSource = sourceFor(to)) =>
    planNicSwitch({ live: live(from, oldSource), from: mode(from), to: mode(to), source: newSource }).kind

  it('has nothing to do in the mode that the NIC is in', () => {
    for (const name of modeNames) assert.equal(plan(name, name), 'nothingToDo', name)
  })

  it('knows the live form of a libvirt network', () => {
    const running =
      xml(`<interface type="network"><mac address="52:54:00:00:00:01"/><source network="default" portid="77a0" bridge="virbr0"/>
      <target dev="vnet0"/><model type="virtio"/><alias name="net0"/></interface>`)
    assert.equal(planNicSwitch({ live: running, to: mode('network') }).kind, 'nothingToDo')
    // One that hands on to a bridge of the host is shown as that.
    const handedOn = { ...running, attributes: { ...running.attributes, type: 'bridge' } }
    assert.equal(planNicSwitch({ live: handedOn, to: mode('network') }).kind, 'nothingToDo')
    assert.equal(planNicSwitch({ live: handedOn, to: mode('bridge'), source: 'virbr0' }).kind, 'detachAttach')
  })

  it('moves from one Linux bridge to another in place, as nothing else can', () => {
    assert.equal(plan('bridge', 'bridge', 'br7'), 'inPlace')
    for (const [from, to] of [
      ['bridge', 'macvtap'],
      ['macvtap', 'bridge'],
      ['bridge', 'ovs'],
      ['ovs', 'bridge'],
      ['bridge', 'network'],
      ['user', 'bridge'],
      ['macvtap', 'macvtap-vepa'],
    ] as const)
      assert.equal(plan(from, to), 'detachAttach', `${from} to ${to}`)
    assert.equal(plan('macvtap', 'macvtap', 'enp9s0'), 'detachAttach')
    assert.equal(plan('ovs', 'ovs', 'ovs9'), 'detachAttach')
  })

  it('does not rely on an update of trustGuestRxFilters, which libvirt answers with success and does not do', () => {
    assert.equal(plan('macvtap', 'macvtap-trust'), 'detachAttach')
    assert.equal(plan('macvtap-trust', 'macvtap'), 'detachAttach')
    assert.equal(plan('bridge', 'bridge-trust'), 'detachAttach')
    assert.equal(plan('bridge', 'bridge-trust', 'br7'), 'detachAttach')
  })
})
