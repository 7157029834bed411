import assert from 'node:assert/strict'
import { mayCutWayIn, wayInTo } from '../../../src/os/vyos/way-in.ts'

const command = (line: string) => {
  const [kind, ...path] = line.split(' ')
  return { kind: kind as 'set' | 'delete', path }
}

describe('commands that could cut the SSH session that gives them', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    [
      'eth0',
      [
        'delete interfaces ethernet eth0 address 192.168.1.1/24',
        'delete interfaces ethernet eth0',
        'delete interfaces',
        'set interfaces ethernet eth0 disable',
        'set interfaces ethernet eth0 mtu 1400',
        'set interfaces ethernet eth0 vrf red',
        'set interfaces bridge br0 member interface eth0',
        'set protocols static route 192.168.1.0/24 blackhole',
        'set protocols static route 0.0.0.0/0 next-hop 10.0.0.1',
        'delete protocols static route 192.168.0.0/16',
        'delete protocols static',
        'delete service ssh port 22',
        'set service ssh listen-address 10.0.0.1',
        'set firewall global-options all-ping disable',
        'delete system login user vyos',
        'set no-such-part of the configuration',
      ],
      [
        'set interfaces ethernet eth0 address 10.0.0.1/24',
        'set interfaces ethernet eth0 description uplink',
        'set interfaces ethernet eth0 vif 100 address 10.0.0.1/24',
        'delete interfaces ethernet eth0 vif 100',
        'delete interfaces ethernet eth1 address 192.168.2.1/24',
        'set interfaces bridge br0 member interface eth1',
        'set interfaces bridge br0 member interface eth0.100',
        'set interfaces bridge br0 address 10.0.0.1/24',
        'set interfaces tunnel tun0 remote 2001:db8::2',
        'set protocols static route 10.0.0.0/8 next-hop 10.0.0.1',
        'set protocols static route6 2001:db8::/32 next-hop fe80::1',
        'set system host-name r1',
        'set system ip disable-forwarding',
      ],
    ],
    [
      'eth0.100',
      [
        'delete interfaces ethernet eth0 vif 100',
        'delete interfaces ethernet eth0 vif 100 address 192.168.1.1/24',
        'set interfaces ethernet eth0 vif 100 disable',
        'set interfaces ethernet eth0 mtu 1400',
        'set interfaces bridge br0 member interface eth0.100',
        'set interfaces bridge br0 member interface eth0',
      ],
      [
        'set interfaces ethernet eth0 vif 100 address 10.0.0.1/24',
        'delete interfaces ethernet eth0 vif 200',
        'set interfaces bridge br0 member interface eth0.200',
      ],
    ],
    // What carries a bridge or a tunnel has another name.
    ['br0', ['delete interfaces ethernet eth1', 'set interfaces ethernet eth1 mtu 1400'], ['set system host-name r1']],
  ]
  for (const [interfaceName, cutting, harmless] of cases)
    it(`are known for one through ${interfaceName}`, () => {
      const wayIn = { client: '192.168.1.2', interfaceName }
      const told = (lines: readonly string[]) => lines.filter((line) => mayCutWayIn([command(line)], wayIn))
      assert.deepEqual(told(cutting), cutting)
      assert.deepEqual(told(harmless), [])
    })

  it('are any change of an interface when none has the address any more', () => {
    const wayIn = { client: '2001:db8::2', interfaceName: undefined }
    assert.ok(mayCutWayIn([command('set interfaces ethernet eth9 address 10.0.0.1/24')], wayIn))
    assert.ok(mayCutWayIn([command('set protocols static route6 2001:db8::/32 blackhole')], wayIn))
    assert.ok(!mayCutWayIn([command('set protocols static route 0.0.0.0/0 blackhole')], wayIn))
  })
})

describe('the way in to an address of the guest', () => {
  const active = [
    'interfaces ethernet eth0 address 192.168.1.1/24',
    'interfaces ethernet eth0 vif 10 address 10.9.8.1/24',
    'interfaces bridge br0 address 2001:db8:0:0::1/64',
    'protocols static route 0.0.0.0/0 next-hop 192.168.1.2',
  ].map((line) => line.split(' '))

  it('is the interface that is configured with it, a VLAN too', () => {
    for (const [address, interfaceName] of [
      ['192.168.1.1', 'eth0'],
      ['10.9.8.1', 'eth0.10'],
      ['2001:db8::1', 'br0'],
      ['192.168.1.2', undefined],
    ] as const)
      assert.equal(wayInTo(address, active).interfaceName, interfaceName)
  })

  it('may be cut by any route, since who comes by it is not known', () => {
    const wayIn = wayInTo('192.168.1.1', active)
    assert.ok(mayCutWayIn([command('set protocols static route 10.80.0.0/16 next-hop 192.168.1.2')], wayIn))
    assert.ok(!mayCutWayIn([command('set interfaces ethernet eth1 mtu 1400')], wayIn))
  })
})
