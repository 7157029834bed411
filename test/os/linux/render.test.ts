import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { type NetworkConfig, type NetworkConfigInput, networkConfigSchema } from '../../../src/config/network-config.ts'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { type LinuxBefore, renderConfigure, renderUnconfigure } from '../../../src/os/linux/render.ts'
import { type LinuxModel, modelOf } from './linux-model.ts'

const config = (input: NetworkConfigInput): NetworkConfig => networkConfigSchema.parse(input)

const nic = { kind: undefined, up: false, mtu: 1500, master: undefined, addresses: new Set<string>(), offloads: {} }
const fresh: LinuxBefore = {
  links: new Map([
    ['eth0', nic],
    ['eth1', nic],
  ]),
  routes: new Set(),
  forwarding: { ipv4: false, ipv6: false },
}

/** What the talk measures, as the device under test is configured for it. */
const cases: Readonly<Record<string, NetworkConfigInput>> = {
  nic: { ethernets: { eth0: { addresses: ['192.168.1.1/24', '2001:db8:dead:beaf::1/64'] } } },
  bridge: {
    ethernets: { eth0: {}, eth1: {} },
    bridges: { br0: { members: ['eth0', 'eth1'], addresses: ['192.168.1.1/24', '2001:DB8:dead:beaf:0::1/64'] } },
  },
  forward: {
    ethernets: {
      eth0: { addresses: ['192.168.1.1/24', '2001:db8:dead:beaf::1/64'], offloads: { gro: true, tso: false } },
      eth1: { addresses: ['192.168.2.1/24', '2001:db8:dead:cafe::1/64'], mtu: 1480 },
    },
    forwarding: { ipv4: true, ipv6: true },
  },
  ipip6: {
    ethernets: { eth1: { addresses: ['2001:db8:dead:cafe::1/64'] } },
    tunnels: {
      tun0: {
        kind: 'ipip6',
        local: '2001:db8:dead:cafe::1',
        remote: '2001:db8:dead:cafe::2',
        addresses: ['10.0.0.1/30'],
        mtu: 1460,
        encapsulationLimit: 'none',
      },
    },
    routes: [{ to: '192.168.3.0/24', device: 'tun0' }],
  },
  'vlan-bridge': {
    ethernets: { eth0: { vlans: { 100: {} } }, eth1: { vlans: { 200: { mtu: 1496 } } } },
    bridges: { br0: { members: ['eth0.100', 'eth1.200'], addresses: ['192.168.1.1/24'] } },
  },
  pc: {
    ethernets: { eth0: { addresses: ['192.168.1.2/24', '2001:db8:dead:beaf::2/64'] } },
    routes: [
      { to: '192.168.2.0/24', via: '192.168.1.1' },
      { to: '2001:db8:dead:cafe::/64', via: '2001:db8:dead:beaf::1', device: 'eth0' },
      { to: '::/0', via: 'fe80::1', device: 'eth0' },
    ],
  },
}

describe('a network configuration as Linux commands', () => {
  for (const [name, input] of Object.entries(cases)) {
    it(`is made and taken back for the case ${name}`, async () => {
      const text = [
        '# configure',
        ...renderConfigure(config(input), fresh).map((argv) => argv.join(' ')),
        '# unconfigure',
        ...renderUnconfigure(config(input), fresh).map((argv) => argv.join(' ')),
        '',
      ].join('\n')
      const path = new URL(`golden/${name}.txt`, import.meta.url)
      if (process.env.UPDATE_GOLDEN === '1') await writeFile(path, text)
      assert.equal(text, await readFile(path, 'utf8'))
    })
  }

  it('needs no command for what is so already', () => {
    for (const input of Object.values(cases)) {
      const model = modelOf(['eth0', 'eth1'])
      model.apply(renderConfigure(config(input), model.before()))
      assert.deepEqual(renderConfigure(config(input), model.before()), [])
    }
  })

  it('leaves alone what it cannot know when another process configured it', () => {
    const commands = renderUnconfigure(config(cases.forward ?? {}), undefined).map((argv) => argv.join(' '))
    assert.ok(
      commands.every((command) => command.startsWith('ip address delete')),
      commands.join('\n'),
    )
  })

  it('does not put a link in place of one of another kind', () => {
    const before = { ...fresh, links: new Map([...fresh.links, ['br0', { ...nic, kind: 'veth' }]]) }
    assert.throws(
      () => renderConfigure(config(cases.bridge ?? {}), before),
      (error: unknown) => error instanceof VmrError && error.code === 'HOST_BUSY' && error.message.includes('br0'),
    )
  })

  it('does not rename a machine', () => {
    assert.throws(() => renderConfigure(config({ hostName: 'r1' }), fresh), /hostName r1/)
  })

  it('refuses a VLAN whose interface name the kernel would not take', () => {
    const input = config({ ethernets: { enp0s20f0u1u2: { vlans: { 4094: {} } } } })
    assert.throws(() => renderConfigure(input, fresh), /enp0s20f0u1u2\.4094 would have more than 15/)
  })

  it('is taken back exactly, whatever was there before', () => {
    fc.assert(
      fc.property(anyConfig, anyModel, (input, start) => {
        const wanted = config(input)
        const model = start()
        const untouched = model.state()
        const before = model.before()
        model.apply(renderConfigure(wanted, before))
        assertHas(model, wanted)
        model.apply(renderUnconfigure(wanted, before))
        assert.deepEqual(model.state(), untouched)
      }),
      { numRuns: 500 },
    )
  })

  it('is words of their own, whatever the configuration holds', () => {
    fc.assert(
      fc.property(anyConfig, (input) => {
        for (const argv of renderConfigure(config(input), fresh))
          for (const word of argv) assert.match(word, /^-?[A-Za-z0-9_.:/=-]+$/)
      }),
    )
  })
})

function assertHas(model: LinuxModel, wanted: NetworkConfig): void {
  const { links } = model.before()
  for (const [name, { members, addresses }] of Object.entries(wanted.bridges)) {
    assert.equal(links.get(name)?.kind, 'bridge')
    for (const member of members) assert.equal(links.get(member)?.master, name)
    assert.equal(links.get(name)?.up, true)
    for (const address of addresses) assert.ok(links.get(name)?.addresses.has(address))
  }
  for (const [name, { addresses, mtu }] of Object.entries(wanted.ethernets)) {
    for (const address of addresses) assert.ok(links.get(name)?.addresses.has(address))
    if (mtu !== undefined) assert.equal(links.get(name)?.mtu, mtu)
  }
}

const ipv4 = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }))
  .map(([a, b]) => `10.0.${a}.${b}/24`)
const ipv6 = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }))
  .map(([a, b]) => `2001:db8:${a}::${b}/64`)
const addresses = fc.uniqueArray(fc.oneof(ipv4, ipv6), { maxLength: 3 })
const mtu = fc.option(fc.integer({ min: 1280, max: 9000 }), { nil: undefined })
const optional = <T>(key: string, value: fc.Arbitrary<T | undefined>) =>
  value.map((inner) => (inner === undefined ? {} : { [key]: inner }))
const merged = (...parts: readonly fc.Arbitrary<object>[]) => fc.tuple(...parts).map((all) => Object.assign({}, ...all))

const anyEthernet = merged(
  fc.record({ addresses }),
  optional('mtu', mtu),
  optional('offloads', fc.option(fc.record({ gro: fc.boolean(), tso: fc.boolean() }), { nil: undefined })),
  fc
    .dictionary(fc.constantFrom('2', '100'), merged(fc.record({ addresses }), optional('mtu', mtu)))
    .map((vlans) => ({ vlans })),
)
const anyConfig: fc.Arbitrary<NetworkConfigInput> = fc.record({
  ethernets: fc.dictionary(fc.constantFrom('eth0', 'eth1'), anyEthernet, { maxKeys: 2 }),
  bridges: fc.dictionary(
    fc.constantFrom('br0'),
    merged(
      fc.record({ members: fc.uniqueArray(fc.constantFrom('eth0', 'eth1'), { minLength: 1 }), addresses }),
      optional('mtu', mtu),
    ) as fc.Arbitrary<{ members: string[]; addresses: string[] }>,
    { maxKeys: 1 },
  ),
  tunnels: fc.dictionary(
    fc.constantFrom('tun0'),
    fc.record({
      kind: fc.constant('ipip6' as const),
      local: fc.constant('2001:db8::1'),
      remote: fc.constant('2001:db8::2'),
      addresses,
      encapsulationLimit: fc.constantFrom<'none' | number>('none', 4),
    }),
    { maxKeys: 1 },
  ),
  routes: fc.uniqueArray(
    fc.record({ to: fc.constantFrom('10.9.0.0/16', '2001:db8:9::/48', '0.0.0.0/0'), device: fc.constant('eth0') }),
    { selector: ({ to }) => to, maxLength: 3 },
  ),
  forwarding: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }),
})

const anyModel = fc
  .record({
    up: fc.boolean(),
    mtu: fc.constantFrom(1500, 9000),
    addresses,
    forwarding: fc.boolean(),
    bridged: fc.boolean(),
    gro: fc.boolean(),
  })
  .map((start) => () => {
    const model = modelOf(['eth0', 'eth1'])
    if (start.bridged)
      model.apply([
        ['ip', 'link', 'add', 'name', 'br9', 'type', 'bridge'],
        ['ip', 'link', 'set', 'dev', 'eth1', 'master', 'br9'],
      ])
    if (start.up) model.apply([['ip', 'link', 'set', 'dev', 'eth0', 'up']])
    model.apply([
      ['ip', 'link', 'set', 'dev', 'eth0', 'mtu', String(start.mtu)],
      ...start.addresses.map((address) => ['ip', 'address', 'add', address, 'dev', 'eth0']),
      ['sysctl', '-q', '-w', `net/ipv4/ip_forward=${start.forwarding ? 1 : 0}`],
      ['ethtool', '-K', 'eth0', 'gro', start.gro ? 'on' : 'off'],
    ])
    return model
  })
