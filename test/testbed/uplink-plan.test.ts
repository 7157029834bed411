import assert from 'node:assert/strict'
import fc from 'fast-check'
import { VmrError } from '../../src/errors/vmr-error.ts'
import type { LinuxLink } from '../../src/os/linux/ip-json.ts'
import { planUplink, type UplinkSituation, type UplinkUse } from '../../src/testbed/uplink-plan.ts'

const link = (ifname: string, change: Partial<LinuxLink> = {}): LinuxLink => ({
  ifindex: 3,
  ifname,
  flags: ['UP', 'LOWER_UP'],
  mtu: 1500,
  link_type: 'ether',
  address: '52:54:00:00:00:01',
  promiscuity: 0,
  allmulti: 0,
  addr_info: [],
  ...change,
})
const bridgeLink = (ifname: string, snooping = 0): LinuxLink =>
  link(ifname, { linkinfo: { info_kind: 'bridge', info_data: { stp_state: 0, mcast_snooping: snooping } } })
const address = (local: string, scope: string) => ({
  ...{ family: 'inet6', local, prefixlen: 64, scope, tentative: false, dadfailed: false },
})
const situation = (links: readonly LinuxLink[], change: Partial<UplinkSituation> = {}): UplinkSituation => ({
  links,
  defaultRouteInterfaces: [],
  ipv6Disabled: true,
  ...change,
})
const commands = (uplink: string, use: UplinkUse, where: UplinkSituation) =>
  planUplink(uplink, use, where).flatMap((change) => change.commands.map((argv) => argv.join(' ')))
const bridged: UplinkUse = { kind: 'bridge', bridge: 'vmr-br1' }

describe('the plan for an uplink', () => {
  it('makes a bridge with the MAC and MTU of the NIC', () => {
    assert.deepEqual(commands('enp1s0', bridged, situation([link('enp1s0', { mtu: 9000 })])), [
      'ip link add name vmr-br1 address 52:54:00:00:00:01 mtu 9000 type bridge stp_state 0 mcast_snooping 0',
      'sysctl -q -w net/ipv6/conf/vmr-br1/disable_ipv6=1',
      'ip link set dev vmr-br1 up',
      'ip link set dev enp1s0 master vmr-br1',
    ])
  })

  it('silences the host on a NIC that it does not use otherwise, and remembers how it was', () => {
    const nic = link('enp1s0', { flags: [], addr_info: [address('fe80::1', 'link')] })
    const plan = planUplink('enp1s0', { kind: 'bare' }, situation([nic], { ipv6Disabled: false }))
    assert.deepEqual(plan, [
      {
        inverse: [{ kind: 'sysctl', key: 'net/ipv6/conf/enp1s0/disable_ipv6', value: '0' }],
        commands: [['sysctl', '-q', '-w', 'net/ipv6/conf/enp1s0/disable_ipv6=1']],
      },
      {
        inverse: [{ kind: 'link-settings', name: 'enp1s0', up: false }],
        commands: [['ip', 'link', 'set', 'dev', 'enp1s0', 'up']],
      },
    ])
  })

  it('makes the bridge before anybody has to let go of the NIC, and touches the NIC only then', () => {
    const nic = link('enp1s0', { master: 'vmr-br2' })
    const plan = planUplink('enp1s0', bridged, situation([nic, bridgeLink('vmr-br2')]))
    const words = (ahead: boolean) =>
      plan.flatMap((change) => ((change.ahead === true) === ahead ? change.commands.map((argv) => argv.join(' ')) : []))
    assert.doesNotMatch(words(true).join('\n'), /enp1s0|vmr-br2/)
    assert.deepEqual(words(false), ['ip link delete dev vmr-br2', 'ip link set dev enp1s0 master vmr-br1'])
  })

  it('works where the kernel has no IPv6', () => {
    assert.deepEqual(
      planUplink('enp1s0', { kind: 'bare' }, situation([link('enp1s0')], { ipv6Disabled: undefined })),
      [],
    )
  })

  it('changes what differs on a bridge that is there', () => {
    const nic = link('enp1s0', { master: 'vmr-br1' })
    assert.deepEqual(commands('enp1s0', bridged, situation([nic, bridgeLink('vmr-br1')])), [])
    assert.deepEqual(commands('enp1s0', bridged, situation([nic, bridgeLink('vmr-br1', 1)])), [
      'ip link set dev vmr-br1 type bridge stp_state 0 mcast_snooping 0',
    ])
  })

  it('lets the NIC go from a bridge of vmr’s that nobody else uses', () => {
    const nic = link('enp1s0', { master: 'vmr-br2' })
    const found = commands('enp1s0', bridged, situation([nic, bridgeLink('vmr-br2')]))
    assert.equal(found[0], 'ip link delete dev vmr-br2')
  })

  const refuses = (use: UplinkUse, where: UplinkSituation, pattern: RegExp) =>
    assert.throws(
      () => planUplink('enp1s0', use, where),
      (error: unknown) => {
        assert.ok(error instanceof VmrError && error.code === 'UPLINK_BUSY', String(error))
        assert.match(error.message, pattern)
        assert.ok(error.hint)
        return true
      },
    )

  it('never takes the way in from the host', () => {
    const nic = link('enp1s0', { addr_info: [address('2001:db8::1', 'global')] })
    for (const use of [bridged, { kind: 'bare' } as const]) {
      refuses(use, situation([link('enp1s0')], { defaultRouteInterfaces: ['enp1s0'] }), /default route/)
      refuses(use, situation([nic]), /address 2001:db8::1/)
    }
    assert.deepEqual(commands('enp1s0', { kind: 'host' }, situation([nic], { ipv6Disabled: false })), [])
  })

  it('names every macvtap that keeps a bridge from the NIC', () => {
    const taps = ['macvtap0', 'macvtap1'].map((name) =>
      link(name, { link: 'enp1s0', linkinfo: { info_kind: 'macvtap' } }),
    )
    refuses(bridged, situation([link('enp1s0'), ...taps]), /held by macvtap macvtap0, macvtap macvtap1/)
    assert.deepEqual(commands('enp1s0', { kind: 'bare' }, situation([link('enp1s0'), ...taps])), [])
    refuses({ kind: 'bare', exclusive: true }, situation([link('enp1s0'), ...taps]), /macvtap0/)
  })

  it('has an inverse for everything that a change of the host needs, whatever the situation', () => {
    const anyUse = fc.constantFrom<UplinkUse>(
      bridged,
      { kind: 'bare' },
      { kind: 'bare', exclusive: true },
      { kind: 'host' },
    )
    const anySituation = fc
      .record({
        up: fc.boolean(),
        master: fc.constantFrom(undefined, 'vmr-br1', 'vmr-br2', 'br0'),
        tap: fc.boolean(),
        addressed: fc.boolean(),
        ipv6Disabled: fc.constantFrom(true, false, undefined),
        other: fc.boolean(),
      })
      .map(({ up, master, tap, addressed, ipv6Disabled, other }) =>
        situation(
          [
            link('enp1s0', {
              flags: up ? ['UP'] : [],
              ...(master === undefined ? {} : { master }),
              addr_info: addressed ? [address('2001:db8::1', 'global')] : [],
            }),
            ...['vmr-br1', 'vmr-br2', 'br0'].map((name) => bridgeLink(name)),
            ...(tap ? [link('macvtap0', { link: 'enp1s0', linkinfo: { info_kind: 'macvtap' } })] : []),
            ...(other && master !== undefined ? [link('vnet0', { master })] : []),
          ],
          { ipv6Disabled },
        ),
      )
    fc.assert(
      fc.property(anyUse, anySituation, (use, where) => {
        try {
          for (const { inverse, commands: made } of planUplink('enp1s0', use, where)) {
            const text = made.map((argv) => argv.join(' ')).join('\n')
            const dissolves = /^ip link delete dev vmr-br/.test(text)
            assert.ok(inverse.length > 0 || dissolves, text)
            assert.doesNotMatch(text, /\bbr0\b/, 'a bridge that vmr did not make is left alone')
            assert.doesNotMatch(text, /address (add|delete|flush)/)
          }
        } catch (error) {
          assert.ok(error instanceof VmrError && error.code === 'UPLINK_BUSY', String(error))
        }
      }),
    )
  })
})
