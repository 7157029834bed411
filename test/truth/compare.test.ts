import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readDomainFacts } from '../../src/domain/domain-facts.ts'
import type { LinkState, MachineState } from '../../src/ipv6/evidence/schema.ts'
import { agree, compareViews, type Sources, waitingForNextStart } from '../../src/truth/compare.ts'

const mac = '52:54:00:aa:bb:01'
const solicited = '33:33:ff:00:00:01'

const domain = (nic: string) =>
  readDomainFacts(`<domain type='qemu'><name>r1</name><metadata><vmr:vm xmlns:vmr='urn:vmr:domain:1' version='1'
    definition='d' os='vyos'><vmr:nic position='0' mac='${mac}' mode='macvtap' role='test' uplink='up1'/></vmr:vm></metadata>
    <devices>${nic}</devices></domain>`)
const macvtap = (more = '', trust = 'no', mode = 'bridge') =>
  domain(`<interface type='direct' trustGuestRxFilters='${trust}'><mac address='${mac}'/>
    <source dev='up1' mode='${mode}'/><target dev='macvtap0'/>${more}</interface>`)
const bridged = domain(
  `<interface type='bridge'><mac address='${mac}'/><source bridge='br1'/><target dev='vnet0'/></interface>`,
)

const link = (name: string, more: Partial<LinkState> = {}): LinkState => ({
  ...{ name, index: 1, mtu: 1500, flags: ['UP'], promiscuity: 0, allMulticast: 0, addresses: [], xdp: false },
  ...more,
})
const machine = (
  links: readonly LinkState[],
  groups: Readonly<Record<string, readonly string[]>> = {},
): MachineState => ({
  links: [...links],
  neighbours: [],
  routes: { ipv4: [], ipv6: [] },
  groups: Object.fromEntries(Object.entries(groups).map(([name, all]) => [name, { link: [...all], ipv6: [] }])),
  checksumErrors: { ipv4: 0, ipv6: 0 },
  routerMessages: {},
  sysctls: {},
  multicastDatabase: [],
  forwardingDatabase: [],
  portVlans: [],
  unread: [],
})
const tap = link('macvtap0', { kind: 'macvtap', lower: 'up1', macvtapMode: 'bridge' })
const up1 = link('up1')
const eth0 = link('eth0', { mac })
const guest = machine([eth0], { eth0: [solicited] })
const healthy: Sources = {
  defined: macvtap('', 'yes'),
  live: macvtap('', 'yes'),
  host: machine([tap, up1], { macvtap0: [solicited] }),
  guest,
}
const words = (sources: Sources) =>
  compareViews(sources).flatMap(({ differences }) => differences.map((each) => each.words))

describe('what definition, libvirt, kernel and guest say of a NIC', () => {
  it('is one thing where all is as it should be, in each one’s words', () => {
    const [view] = compareViews(healthy)
    assert.deepEqual(view?.differences, [])
    assert.equal(view?.live, 'macvtap (bridge) on up1, trusting')
    assert.equal(view?.kernel, 'macvtap0: macvtap (bridge) on up1, MTU 1500')
    assert.equal(view?.guest, 'eth0, MTU 1500, no address')
  })

  it('names a change that waits for the next start', () => {
    assert.deepEqual(words({ ...healthy, live: macvtap('', 'no'), guest: undefined }), [
      'runs as macvtap (bridge) on up1; as macvtap (bridge) on up1, trusting from the next start',
    ])
    assert.match(words({ ...healthy, live: domain('') }).join(), /not plugged in: there from the next start/)
    assert.match(words({ ...healthy, defined: domain('') }).join(), /gone after the next start/)
  })

  it('names what was done behind libvirt’s back', () => {
    const behind = (changed: readonly LinkState[]) =>
      words({ ...healthy, host: machine(changed, { macvtap0: [solicited] }) })
    assert.match(behind([up1]).join(), /macvtap0 is its device, and there is none/)
    assert.match(behind([link('macvtap0', { kind: 'tun', lower: 'up1' }), up1]).join(), /is no macvtap but tun/)
    assert.match(behind([{ ...tap, lower: 'up2' }, up1]).join(), /is on up2, not on up1: somebody moved it/)
    assert.match(behind([{ ...tap, macvtapMode: 'vepa' }, up1]).join(), /is in mode vepa, not bridge/)
    assert.match(behind([{ ...tap, flags: [] }, up1]).join(), /macvtap0 is down/)
    assert.match(behind([tap, { ...up1, flags: [] }]).join(), /uplink up1 is down/)
    assert.match(behind([tap]).join(), /uplink up1 is not there/)
    const mtu = "<mtu size='9000'/>"
    assert.match(
      words({ ...healthy, defined: macvtap(mtu, 'yes'), live: macvtap(mtu, 'yes') }).join(),
      /MTU 1500, not 9000/,
    )
    const apart = { ...healthy, defined: bridged, live: bridged }
    const vnet0 = link('vnet0', { kind: 'tun', master: 'br1' })
    assert.match(words({ ...apart, host: machine([vnet0, up1]) }).join(), /up1 is in no bridge, not in br1/)
    assert.deepEqual(words({ ...apart, host: machine([vnet0, { ...up1, master: 'br1' }]) }), [])
  })

  it('names the groups that a macvtap keeps from the guest, unless it lets in all', () => {
    const deaf = machine([tap, up1])
    assert.match(
      words({ ...healthy, host: deaf }).join(),
      /trusts the guest’s filters, and macvtap0 still does not let in 33:33:ff:00:00:01/,
    )
    const untrusted = { ...healthy, defined: macvtap(), live: macvtap() }
    assert.match(words({ ...untrusted, host: deaf }).join(), /IPv6 towards the guest is lost/)
    for (const open of [{ allMulticast: 1 }, { promiscuity: 1 }])
      assert.deepEqual(words({ ...untrusted, host: machine([{ ...tap, ...open }, up1]) }), [])
  })

  it('names such groups for any two lists, and only for a guest that misses one', () => {
    const groups = fc.uniqueArray(
      fc.integer({ min: 0, max: 9 }).map((last) => `33:33:ff:00:00:0${last}`),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(groups, groups, fc.constantFrom('yes', 'no'), (joined, passed, trust) => {
        const lacks = joined.filter((group) => !passed.includes(group))
        const found = words({
          defined: macvtap('', trust),
          live: macvtap('', trust),
          host: machine([tap, up1], { macvtap0: passed }),
          guest: machine([eth0], { eth0: joined }),
        })
        assert.equal(found.length, lacks.length === 0 ? 0 : 1)
        for (const group of lacks.slice(0, 3)) assert.ok(found[0]?.includes(group))
        for (const group of passed) assert.ok(!found[0]?.includes(group))
      }),
    )
  })

  it('names definition and running VM as apart exactly where they are attached in different ways', () => {
    const attachment = fc.record({
      trust: fc.constantFrom('yes', 'no'),
      mode: fc.constantFrom('bridge', 'vepa', 'private', 'passthrough'),
      link: fc.constantFrom('', "<link state='down'/>"),
    })
    fc.assert(
      fc.property(attachment, attachment, (was, is) => {
        const read = ({ trust, mode, link: state }: typeof was) => macvtap(state, trust, mode)
        const found = words({ defined: read(was), live: read(is), host: undefined, guest: undefined })
        const same = was.trust === is.trust && was.mode === is.mode && was.link === is.link
        assert.equal(found.length, same ? 0 : 1)
      }),
    )
  })

  it('names what the guest has otherwise', () => {
    assert.match(words({ ...healthy, guest: machine([]) }).join(), /no interface with MAC address/)
    assert.match(
      words({ ...healthy, guest: machine([{ ...eth0, name: 'eth1' }], { eth1: [solicited] }) }).join(),
      /calls it eth1, vmr eth0/,
    )
    assert.match(
      words({ ...healthy, guest: machine([{ ...eth0, mtu: 9000 }], { eth0: [solicited] }) }).join(),
      /frames of 9000 bytes/,
    )
    const twice = {
      address: '2001:db8::1',
      prefixLength: 64,
      family: 'ipv6',
      scope: 'global',
      tentative: true,
      duplicate: true,
    } as const
    assert.match(
      words({ ...healthy, guest: machine([{ ...eth0, addresses: [twice] }], { eth0: [solicited] }) }).join(),
      /2001:db8::1 is used by somebody else/,
    )
  })

  it('names what of the VM itself waits for the next start', () => {
    const sized = (memory: number, vcpus: number) =>
      readDomainFacts(
        `<domain type='qemu'><name>r1</name><memory unit='MiB'>${memory}</memory><vcpu>${vcpus}</vcpu></domain>`,
      )
    assert.deepEqual(waitingForNextStart({ defined: sized(512, 2), live: sized(384, 2) }), [
      'memory: runs with 384 MiB; 512 MiB from the next start',
    ])
    assert.deepEqual(waitingForNextStart({ defined: sized(512, 1), live: sized(512, 2) }), [
      'vCPUs: runs with 2; 1 from the next start',
    ])
    assert.deepEqual(waitingForNextStart({ defined: sized(512, 2), live: sized(512, 2) }), [])
    assert.deepEqual(waitingForNextStart({ defined: sized(512, 2), live: undefined }), [])
  })

  it('says nothing of what was not asked', () =>
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), (host, asked) => {
        const sources = { ...healthy, host: host ? healthy.host : undefined, guest: asked ? guest : undefined }
        assert.ok(agree(compareViews(sources)))
        assert.ok(agree(compareViews({ ...sources, live: undefined })))
      }),
    ))
})
