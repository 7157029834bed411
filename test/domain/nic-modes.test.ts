import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closest } from '../../src/domain/did-you-mean.ts'
import { findNicMode, hostNeeds, loadNicModes, parseNicMode } from '../../src/domain/nic-modes.ts'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { shippedModes } from './specs.ts'

const refusal = (text: string, file = '/n/mine.xml') => {
  try {
    parseNicMode(text, file)
  } catch (error) {
    assert.ok(isVmrError(error) && error.code === 'NIC_MODE_INVALID', String(error))
    assert.ok(error.hint)
    return error.message
  }
  assert.fail(`accepted: ${text}`)
}

describe('NIC modes', () => {
  it('are the ones that the documentation names', () => {
    const macvtaps = ['macvtap', 'macvtap-vepa', 'macvtap-private', 'macvtap-passthrough']
    assert.deepEqual(
      [...shippedModes.modes.keys()].sort(),
      [
        'bridge',
        'bridge-trust',
        ...macvtaps.flatMap((name) => [name, `${name}-trust`]),
        'network',
        'ovs',
        'user',
        'passt',
      ].sort(),
    )
    assert.deepEqual(shippedModes.conflicts, [])
  })

  it('say what they need from the host', () => {
    const needs = (name: string) => hostNeeds(findNicMode(shippedModes, name))
    assert.deepEqual(needs('bridge'), { kind: 'bridge' })
    assert.deepEqual(needs('ovs'), { kind: 'ovs-bridge' })
    assert.deepEqual(needs('macvtap-trust'), { kind: 'uplink', exclusive: false })
    assert.deepEqual(needs('macvtap-passthrough'), { kind: 'uplink', exclusive: true })
    assert.deepEqual(needs('network'), { kind: 'libvirt-network', network: 'default' })
    assert.deepEqual(needs('user'), { kind: 'nothing' })
  })

  it('say what was measured: macvtap loses IPv6 towards the guest, trust mends it, a guest bridge needs passthrough', () => {
    const carries = (name: string) => findNicMode(shippedModes, name).carries
    assert.deepEqual(carries('macvtap').nic, { ipv4: 'works', ipv6: 'outbound-only' })
    assert.deepEqual(carries('macvtap-trust').nic, { ipv4: 'works', ipv6: 'works' })
    assert.deepEqual(carries('macvtap-trust').bridge, { ipv4: 'lost', ipv6: 'lost' })
    assert.deepEqual(carries('macvtap-passthrough-trust').bridge, { ipv4: 'works', ipv6: 'works' })
    assert.deepEqual(carries('ovs').nic, { ipv4: 'not-measured', ipv6: 'not-measured' })
  })

  it('differ from their trusted twin in the one attribute', () => {
    for (const [name, mode] of shippedModes.modes) {
      const twin = shippedModes.modes.get(`${name}-trust`)
      if (twin === undefined) continue
      assert.deepEqual(twin.element, {
        ...mode.element,
        attributes: { ...mode.element.attributes, trustGuestRxFilters: 'yes' },
      })
    }
  })

  it('warn that libvirt ignores trust on a bridge, and keep user networks to management', () => {
    assert.match(findNicMode(shippedModes, 'bridge-trust').warnings.join(), /trustGuestRxFilters .* does nothing/)
    const management = [...shippedModes.modes.values()].filter((mode) => mode.managementOnly).map(({ name }) => name)
    assert.deepEqual(management.sort(), ['passt', 'user'])
  })

  it('are explained in words, every one', () => {
    for (const mode of shippedModes.modes.values()) {
      assert.ok((mode.explain ?? '').length > 80, mode.name)
      assert.ok(mode.needs.length > 0, mode.name)
    }
  })

  it('answer an unknown name with the known ones and the likely one', () => {
    assert.throws(
      () => findNicMode(shippedModes, 'mactap'),
      (error) => {
        assert.ok(isVmrError(error) && error.code === 'NIC_MODE_UNKNOWN')
        assert.match(error.hint ?? '', /Did you mean macvtap\? Known modes: bridge, bridge-trust, macvtap/)
        return true
      },
    )
  })

  const bad: readonly (readonly [string, RegExp])[] = [
    ['<interface type="bridge">\n  <source>\n</interface>', /^\/n\/mine\.xml:3:1: /],
    ['<domain/>', /^\/n\/mine\.xml:1:1: a NIC mode is one <interface>/],
    ['<interface/>', /:1:1: <interface> has no type/],
    ['<interface type="brigde"/>', /:1:1: .*unknown type "brigde", did you mean bridge/],
    ['<interface type="bridge" trustguestrxfilters="yes"/>', /unknown attribute trustguestrxfilters/],
    ['<interface type="bridge" trustGuestRxFilters="true"/>', /only yes and no are known/],
    [
      '<interface type="bridge">\n <mac address="52:54:00:00:00:01"/></interface>',
      /:2:2: <mac> belongs to one VM's NIC/,
    ],
    ['<interface type="bridge">\n <sourse/></interface>', /:2:2: <sourse> is unknown, did you mean <source>/],
    [
      '<interface type="bridge">\n <source/>\n <source/></interface>',
      /:3:2: a second <source>, the first is in line 2/,
    ],
    ['<interface type="direct">\n <source mode="bridged"/></interface>', /:2:2: macvtap has no mode "bridged"/],
    ['<interface type="bridge">text</interface>', /holds text/],
    ['<!-- vmr-nic-mode\nsummary: 5\n-->\n<interface type="bridge"/>', /^\/n\/mine\.xml:2:10: summary: /],
    [
      '\n<!-- vmr-nic-mode\nsumary: x\n-->\n<interface type="bridge"/>',
      /^\/n\/mine\.xml:3:1: sumary: there is no such field/,
    ],
    ['<!-- vmr-nic-mode\n-->\n<!-- vmr-nic-mode\n-->\n<interface type="bridge"/>', /:3: a second vmr-nic-mode comment/],
  ]
  for (const [text, message] of bad) {
    it(`refuse ${JSON.stringify(text)} with file and line`, () => {
      assert.match(refusal(text), message)
    })
  }

  it('refuse a file whose name cannot be a mode', () => {
    assert.match(refusal('<interface type="bridge"/>', '/n/My Mode.xml'), /My Mode\.xml: the file's name/)
  })

  describe('of a user', () => {
    let directory: string
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'vmr-modes-'))
      await mkdir(join(directory, 'a'))
      await mkdir(join(directory, 'b'))
      await writeFile(join(directory, 'a', 'tuned.xml'), '<interface type="bridge"><source/></interface>')
      await writeFile(join(directory, 'b', 'tuned.xml'), '<!-- mine --><interface type="direct"/>')
      await writeFile(join(directory, 'b', 'README.md'), 'not a mode')
    })
    after(() => rm(directory, { recursive: true, force: true }))

    it('need no more than the element; the later directory wins, and that is reported', async () => {
      const { modes, conflicts } = await loadNicModes([
        join(directory, 'a'),
        join(directory, 'none'),
        join(directory, 'b'),
      ])
      assert.deepEqual([...modes.keys()], ['tuned'])
      assert.equal(modes.get('tuned')?.element.attributes.type, 'direct')
      assert.deepEqual(modes.get('tuned')?.carries.nic, { ipv4: 'not-measured', ipv6: 'not-measured' })
      assert.deepEqual(conflicts, [
        { name: 'tuned', used: join(directory, 'b', 'tuned.xml'), ignored: join(directory, 'a', 'tuned.xml') },
      ])
    })

    it('are refused as a whole file when one is bad', async () => {
      await mkdir(join(directory, 'c'))
      await writeFile(join(directory, 'c', 'bad.xml'), '<interface')
      await assert.rejects(loadNicModes([join(directory, 'c')]), {
        code: 'NIC_MODE_INVALID',
        message: /c\/bad\.xml:1:1: /,
      })
    })
  })
})

describe('Did you mean', () => {
  for (const [given, meant] of [
    ['macvtap-trsut', 'macvtap-trust'],
    ['brige', 'bridge'],
    ['passthrough', undefined],
    ['x', undefined],
    ['', undefined],
  ] as const) {
    it(`takes ${JSON.stringify(given)} for ${meant ?? 'nothing known'}`, () => {
      assert.equal(closest(given, shippedModes.modes.keys()), meant)
    })
  }
})
