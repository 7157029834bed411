import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readDomainFacts } from '../../../src/domain/domain-facts.ts'
import { buildDomainXml } from '../../../src/domain/domain-xml.ts'
import { hostNeeds } from '../../../src/domain/nic-modes.ts'
import { type Connection, connect } from '../../../src/libvirt/index.ts'
import { readLinks } from '../../../src/os/linux/ip-json.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { askAcceptance } from '../../../src/vm/nic-mode-acceptance.ts'
import { removeDomain } from '../../../src/vm/remove-domain.ts'
import { definitionFrom, shippedModes, specOf } from '../../domain/specs.ts'

const bridge = 'vmrt-mbr'
const uplink = 'vmrt-mup'
const network = `vmrt-net-${process.pid}`
const ip = (...args: readonly string[]) => runChecked(localShell, ['ip', ...args])

/** An empty PC: enough for QEMU to start with the NIC that is looked at. */
const definition = (source: string | undefined) =>
  definitionFrom(
    `os: lab-router\nmemory: 64 MiB\nserialLog: false\nkernel: { file: /unused }\nnics: [{ source: ${source} }]\n`.replace(
      '{ source: undefined }',
      '{}',
    ),
  )

describe('Every shipped NIC mode, on real libvirt', function () {
  this.timeout(30_000)
  const signal = new AbortController().signal
  let connection: Connection

  before(async () => {
    connection = await connect('qemu:///system')
    await ip('link', 'add', bridge, 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0')
    await ip('link', 'set', bridge, 'up')
    await ip('link', 'add', uplink, 'type', 'veth', 'peer', 'name', `${uplink}2`)
    await ip('link', 'set', uplink, 'up')
    await connection.createTransientNetwork(
      `<network><name>${network}</name><forward mode='bridge'/><bridge name='${bridge}'/></network>`,
    )
  })
  after(async () => {
    const active = await connection.listAllNetworks({ active: true })
    for (const each of active) if (each.name === network) await connection.destroyNetwork(each)
    await connection.close()
    for (const link of [bridge, uplink]) await localShell.run(['ip', 'link', 'delete', link])
    const left = (await readLinks(localShell)).map(({ ifname }) => ifname).filter((name) => name.startsWith('vmrt-m'))
    assert.deepEqual(left, [])
  })

  const sources = { bridge, 'ovs-bridge': bridge, uplink, 'libvirt-network': network } as const

  for (const mode of shippedModes.modes.values()) {
    const needs = hostNeeds(mode).kind
    it(`${mode.name} is defined, starts, and is attached as it says`, async () => {
      const source = needs === 'nothing' || needs === 'unmanaged' ? undefined : sources[needs]
      const spec = specOf(definition(source), { mode: mode.name })
      const { kernel: _kernel, ...bare } = spec
      const name = `vmr-test-mode-${process.pid}`
      const xml = buildDomainXml({ ...bare, name, uuid: randomUUID() })
      const accepted = await askAcceptance(connection, mode, signal)
      if (accepted.kind === 'refused') {
        // What libvirt says when asked is what it does: Debian 12's knows no passt.
        await assert.rejects(connection.defineDomain(xml), { message: accepted.reason })
        return
      }
      const domain = await connection.defineDomain(xml, { validate: true })
      try {
        if (needs === 'ovs-bridge') {
          // The bridge is one of the kernel's, or there is no Open vSwitch at all: either way it cannot be a port of it.
          await assert.rejects(connection.createDomain(domain, { paused: true }), /ovs-vsctl|OVS bridge/)
          return
        }
        const running = await connection.createDomain(domain, { paused: true })
        const [nic] = readDomainFacts(await connection.domainXml(running)).nics
        assert.ok(nic)
        assert.equal(nic.type, mode.element.attributes.type)
        assert.equal(nic.source, source)
        if (nic.type === 'direct')
          assert.equal(nic.trustGuestRxFilters, mode.element.attributes.trustGuestRxFilters === 'yes')
        if (nic.type === 'user') return
        const [link] = await readLinks(localShell, { name: nic.target ?? '' })
        if (nic.type === 'direct') {
          assert.equal(link?.linkinfo?.info_kind, 'macvtap')
          const { stdout } = await localShell.run(['ip', '-d', 'link', 'show', 'dev', nic.target ?? ''])
          assert.match(
            stdout,
            new RegExp(`macvtap mode ${nic.macvtapMode === 'passthrough' ? 'passthru' : nic.macvtapMode} `),
          )
        } else {
          assert.equal(link?.master, bridge)
        }
      } finally {
        await removeDomain(connection, domain)
      }
    })
  }
})
