import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { parseInterfaceState, restoreScript } from '../../../src/os/linux/interface-state.ts'

const forever = { valid_life_time: 4294967295, preferred_life_time: 4294967295 }
const inet6 = (local: string, more: object = {}) => ({
  family: 'inet6',
  local,
  prefixlen: 64,
  scope: 'global',
  ...forever,
  ...more,
})
const nic = {
  ifindex: 4,
  ifname: 'eth1',
  flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
  mtu: 1400,
  master: 'br0',
  ifalias: "it's mine",
  address: '52:54:00:00:00:02',
  addr_info: [
    { family: 'inet', local: '192.168.2.1', prefixlen: 24, broadcast: '192.168.2.255', scope: 'global', ...forever },
    { family: 'inet', local: '10.0.0.9', prefixlen: 24, scope: 'global', dynamic: true, valid_life_time: 300 },
    inet6('2001:db8::1'),
    inet6('2001:db8::2', { tentative: true }),
    inet6('2001:db8::3', { dadfailed: true }),
  ],
}
const vlan = {
  ...{ ifindex: 5, ifname: 'eth1.10', link: 'eth1', flags: ['UP'], mtu: 1400, address: nic.address },
  linkinfo: { info_kind: 'vlan', info_data: { protocol: '802.1Q', id: 10 } },
  addr_info: [inet6('2001:db8:10::1')],
}
const loopback = { ifindex: 1, ifname: 'lo', flags: ['UP'], mtu: 65_536, address: '00:00:00:00:00:00', addr_info: [] }
const routes = [
  { dst: '192.168.2.0/24', dev: 'eth1', protocol: 'kernel', scope: 'link', prefsrc: '192.168.2.1', flags: [] },
  { dst: '10.9.0.0/16', gateway: '192.168.2.7', dev: 'eth1', protocol: 'static', metric: 20, flags: [] },
  { dst: 'default', gateway: 'fe80::7', dev: 'eth1.10', protocol: 'static', metric: 20, flags: [], pref: 'medium' },
  { dst: 'default', dev: 'eth0', protocol: 'static', flags: [] },
  {
    ...{ dst: '10.8.0.0/16', protocol: '196', table: '100', flags: [] },
    nexthops: [
      { gateway: '192.168.1.7', dev: 'eth0', weight: 1, flags: [] },
      { gateway: '192.168.2.7', dev: 'eth1', weight: 3, flags: ['onlink'] },
    ],
  },
]
const neighbours = [{ dst: '192.168.2.66', dev: 'eth1', lladdr: '02:00:00:00:00:66', state: ['PERMANENT'] }]
const offloads = `rx-checksumming: on [fixed]
tx-checksumming: on
\ttx-checksum-ipv4: off [fixed]
\ttx-checksum-ip-generic: on
scatter-gather: off
\ttx-scatter-gather: off
tcp-segmentation-offload: off
\ttx-tcp-segmentation: off [fixed]
generic-segmentation-offload: off [requested on]
generic-receive-offload: off`
const sysctls =
  'ipv4/conf/eth1/arp_filter 1\nipv6/conf/eth1.10/accept_ra 0\nipv6/conf/eth1/mtu 1400\nipv4/conf/eth0/x 1'

const answer = (links: readonly object[] = [loopback, nic, vlan], wished = '') =>
  [[links, routes, neighbours].map((rows) => JSON.stringify(rows)).join('\n'), offloads, wished, sysctls].join(
    '\n--vmr--\n',
  )
const lines = (sameLink = true) =>
  restoreScript(parseInterfaceState('eth1', answer(), 'a guest'), { sameLink, limitSeconds: 30 }).split('\n')

describe('the settings of an interface that is unplugged', () => {
  it('come back with all that hangs on the device', () => {
    const script = lines()
    const has = (line: string) => assert.ok(script.includes(line), `${line}\nis not in\n${script.join('\n')}`)
    has('link set dev eth1 mtu 1400 master br0')
    has('link set dev eth1 up')
    has('address replace 192.168.2.1/24 broadcast 192.168.2.255 dev eth1 scope global')
    has('[ -e /sys/class/net/eth1.10 ] || ip link add link $n name eth1.10 type vlan id 10 || failed=1')
    has('neighbour replace 192.168.2.66 lladdr 02:00:00:00:00:66 dev eth1 nud permanent')
    has('route replace 10.9.0.0/16 proto static metric 20 via 192.168.2.7 dev eth1')
    has('route replace default proto static metric 20 via fe80::7 dev eth1.10')
    has(
      'route replace 10.8.0.0/16 table 100 proto 196 nexthop via 192.168.1.7 dev eth0 weight 1 nexthop via 192.168.2.7 dev eth1 onlink weight 3',
    )
    has('put ipv4/conf/eth1/arp_filter 1')
    has('put ipv6/conf/eth1.10/accept_ra 0')
  })

  it('leave out what the kernel or a client makes anew, and what is other interfaces’', () => {
    const text = lines().join('\n')
    assert.doesNotMatch(text, /10\.0\.0\.9/, 'a lease is the client’s to renew')
    assert.doesNotMatch(text, /route replace 192\.168\.2\.0/)
    assert.doesNotMatch(text, /route replace default .*dev eth0/)
    assert.doesNotMatch(text, /conf\/eth1\/mtu|conf\/eth0/)
  })

  it('skip duplicate address detection only for what had passed it, and only on the same link', () => {
    const nodad = (sameLink: boolean) => lines(sameLink).filter((line) => line.endsWith(' nodad'))
    assert.deepEqual(nodad(true), [
      'address replace 2001:db8::1/64 dev eth1 scope global nodad',
      'address replace 2001:db8:10::1/64 dev eth1.10 scope global nodad',
    ])
    assert.deepEqual(nodad(false), [])
  })

  it('keep what an offload shall be, also where the host side cannot take part for a while', () => {
    const read = (wished: string) => parseInterfaceState('eth1', answer(undefined, wished), 'a guest').offloads
    const changeable = [
      ['tx', true],
      ['sg', false],
    ]
    const rest = [
      ['gso', true],
      ['gro', false],
    ]
    assert.deepEqual(read(''), [...changeable, ...rest])
    assert.deepEqual(read('rx off tx off tso on'), [['rx', false], ...changeable, ['tso', true], ...rest])
  })

  it('that cannot be read are refused', () => {
    const refuses = (output: string, pattern: RegExp) =>
      assert.throws(
        () => parseInterfaceState('eth1', output, 'a guest'),
        (error: unknown) => {
          assert.ok(error instanceof VmrError && error.code === 'GUEST_NOT_READY', String(error))
          assert.match(`${error.message} ${error.hint}`, pattern)
          return true
        },
      )
    refuses('', /no interface eth1 on a guest/)
    refuses(answer([loopback]), /It has lo/)
    refuses('[{"ifindex":', /cannot be read/)
    refuses(answer([{ ...nic, addr_info: [inet6('2001:db8::1; reboot')] }]), /cannot be read/)
    refuses(answer([{ ...nic, master: '$(reboot)' }]), /cannot be read/)
  })

  it('never say anything to the guest’s shell, whatever they are', () => {
    const marker = join(tmpdir(), `vmr-injected-${process.pid}`)
    const hostile = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 40 }).filter((text) => !text.includes('\0')),
      fc.constantFrom(`'; touch ${marker}; '`, `$(touch ${marker})`, `\`touch ${marker}\``, '\n.\nreboot'),
    )
    fc.assert(
      fc.property(hostile, (ifalias) => {
        const state = parseInterfaceState('eth1', answer([{ ...nic, ifalias }]), 'a guest')
        const script = restoreScript(state, { sameLink: true, limitSeconds: 1 })
        const end = script.indexOf(' >/sys/class/net/eth1/ifalias')
        const line = script.slice(script.lastIndexOf('printf %s ', end), end)
        const printed = execFileSync('bash', ['-c', line], { encoding: 'utf8' })
        assert.equal(printed, ifalias)
        execFileSync('bash', ['-n'], { input: script })
      }),
      { numRuns: 25 },
    )
    assert.equal(existsSync(marker), false)
  })
})
