import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { type NetworkConfigInput, networkConfigSchema } from '../../../src/config/network-config.ts'
import { renderCommand } from '../../../src/os/vyos/path.ts'
import { planChange } from '../../../src/os/vyos/plan.ts'
import { renderNetworkConfig } from '../../../src/os/vyos/render.ts'
import { wordsOf } from './bash-words.ts'

const everything: NetworkConfigInput = {
  hostName: 'dut-1',
  forwarding: { ipv4: true, ipv6: false },
  ethernets: {
    eth0: {
      addresses: ['192.0.2.1/24', '2001:db8:1::1/64'],
      mtu: 1400,
      offloads: { gro: true, gso: true, sg: true, tso: false },
    },
    eth1: { vlans: { '10': { addresses: ['10.10.10.1/24'], mtu: 1400 }, '20': {} } },
  },
  bridges: { br0: { members: ['eth1.20', 'eth2'], addresses: ['10.20.0.1/24'], mtu: 1400 } },
  tunnels: {
    tun0: {
      kind: 'ipip6',
      local: '2001:db8:1::1',
      remote: '2001:db8:1::2',
      addresses: ['10.99.0.1/30'],
      mtu: 1460,
      encapsulationLimit: 'none',
    },
  },
  routes: [
    { to: '198.51.100.0/24', via: '192.0.2.2' },
    { to: '203.0.113.0/24', device: 'tun0' },
    { to: '2001:db8:77::/48', via: '2001:db8:1::2' },
    { to: '2001:db8:78::/48', via: 'fe80::1', device: 'eth0' },
    { to: '2001:db8:79::/48', device: 'eth1.10' },
  ],
}

function commandsFor(input: NetworkConfigInput, train: '1.2' | '1.3' | '1.4' | '1.5'): string[] {
  return planChange([], renderNetworkConfig(networkConfigSchema.parse(input), train)).map(renderCommand)
}

describe('VyOS commands for a network config', () => {
  for (const train of ['1.2', '1.3', '1.4', '1.5'] as const) {
    it(`are those of VyOS ${train}`, () => {
      const golden = new URL(`golden/everything-${train}.set`, import.meta.url)
      assert.deepEqual(commandsFor(everything, train), readFileSync(golden, 'utf8').trimEnd().split('\n'))
    })
  }

  it('turn an offload off by leaving it out, since VyOS 1.3 and later switch off what is not named', () => {
    const running = [['interfaces', 'ethernet', 'eth0', 'offload', 'tso']]
    const wanted = renderNetworkConfig(
      networkConfigSchema.parse({ ethernets: { eth0: { offloads: { tso: false } } } }),
      '1.4',
    )
    assert.deepEqual(planChange(running, wanted).map(renderCommand), [`delete interfaces ethernet eth0 offload tso`])
    assert.deepEqual(commandsFor({ ethernets: { eth0: { offloads: { tso: false } } } }, '1.2'), [
      'set interfaces ethernet eth0 offload-options tcp-segmentation off',
    ])
  })

  it('refuse a route of one family through the other, and what 1.2 has no words for', () => {
    assert.throws(() => commandsFor({ routes: [{ to: '10.0.0.0/8', via: '2001:db8::1' }] }, '1.4'), {
      code: 'CONFIG_INVALID',
    })
    assert.throws(() => commandsFor({ routes: [{ to: '10.0.0.0/8', via: '10.1.1.1', device: 'eth0' }] }, '1.2'), {
      code: 'CONFIG_INVALID',
    })
  })

  it('need only the devices that the config does not make itself', () => {
    assert.deepEqual(renderNetworkConfig(networkConfigSchema.parse(everything), '1.4').devices, [
      'eth0',
      'eth1',
      'eth2',
    ])
  })

  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,14}$/)
  const v4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([address, length]) => `${address}/${length}`)
  const v6 = fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([address, length]) => `${address}/${length}`)
  const addresses = fc.array(fc.oneof(v4, v6), { maxLength: 3 })
  const mtu = fc.integer({ min: 1280, max: 65535 })
  const config: fc.Arbitrary<NetworkConfigInput> = fc.record(
    {
      hostName: fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?$/),
      forwarding: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }, { requiredKeys: [] }),
      ethernets: fc.dictionary(
        name,
        fc.record(
          {
            addresses,
            mtu,
            vlans: fc.dictionary(
              fc.integer({ min: 1, max: 4094 }).map(String),
              fc.record({ addresses, mtu }, { requiredKeys: [] }),
              { maxKeys: 3 },
            ),
          },
          { requiredKeys: [] },
        ),
        { maxKeys: 3 },
      ),
      bridges: fc.dictionary(name, fc.record({ members: fc.array(name, { minLength: 1, maxLength: 3 }), addresses }), {
        maxKeys: 2,
      }),
      tunnels: fc.dictionary(
        name,
        fc.record({ kind: fc.constant('ipip6' as const), local: fc.ipV6(), remote: fc.ipV6(), addresses }),
        { maxKeys: 2 },
      ),
      routes: fc.array(fc.record({ to: v6, via: fc.ipV6() }), { maxLength: 3 }),
    },
    { requiredKeys: [] },
  )

  it('hold for every config that the schema lets through, each one word list of its own', async () => {
    const lines: string[] = []
    const paths: string[][] = []
    fc.assert(
      fc.property(
        config,
        fc.constantFrom('1.2' as const, '1.3' as const, '1.4' as const, '1.5' as const),
        (input, train) => {
          const parsed = networkConfigSchema.safeParse(input)
          if (!parsed.success) return
          for (const change of planChange([], renderNetworkConfig(parsed.data, train))) {
            lines.push(renderCommand(change))
            paths.push([change.kind, ...change.path])
          }
        },
      ),
      { numRuns: 300 },
    )
    assert.ok(lines.length > 300)
    assert.deepEqual(await wordsOf(lines), paths)
  })

  it('survive every string that the schema lets through, in every field', async () => {
    const awkward = fc.constantFrom(
      ...' \t\n\r\0\'"`$();|&#?!~*\\%{}/:.-_=aé1',
      '::',
      'eth0',
      '192.0.2.1',
      '/24',
      '2001:db8::1',
    )
    const any = fc.oneof(
      fc.array(awkward, { maxLength: 6 }).map((parts) => parts.join('')),
      fc.constantFrom('192.0.2.1/24', '2001:db8::1/64', '2001:db8::1', 'fe80::1', 'eth0', 'eth0.10', '10'),
      fc
        .tuple(fc.constantFrom('192.0.2.1', '2001:db8::1', 'eth0', '10'), awkward, awkward)
        .map((parts) => parts.join('')),
    )
    const list = fc.array(any, { minLength: 1, maxLength: 1 })
    const single = fc.oneof<fc.Arbitrary<NetworkConfigInput>[]>(
      fc.record({ hostName: any }),
      fc.record({ ethernets: fc.dictionary(any, fc.record({ addresses: list }), { minKeys: 1, maxKeys: 1 }) }),
      fc.record({
        ethernets: fc.record({
          eth0: fc.record({ vlans: fc.dictionary(any, fc.record({ addresses: list }), { minKeys: 1, maxKeys: 1 }) }),
        }),
      }),
      fc.record({ bridges: fc.dictionary(any, fc.record({ members: list }), { minKeys: 1, maxKeys: 1 }) }),
      fc.record({
        tunnels: fc.record({ tun0: fc.record({ kind: fc.constant('ipip6' as const), local: any, remote: any }) }),
      }),
      fc.record({ routes: fc.tuple(fc.record({ to: any, via: any })) }),
      fc.record({ routes: fc.tuple(fc.record({ to: any, device: any })) }),
    )
    const lines: string[] = []
    const paths: string[][] = []
    const fields = new Set<string>()
    for (const input of fc.sample(single, 20_000)) {
      const parsed = networkConfigSchema.safeParse(input)
      if (!parsed.success) continue
      const route = parsed.data.routes[0]
      // What the schema lets through and VyOS has no words for is told as such.
      if (route?.via !== undefined && route.to.includes(':') !== route.via.includes(':')) continue
      fields.add(Object.keys(input).join())
      for (const change of planChange([], renderNetworkConfig(parsed.data, '1.4'))) {
        lines.push(renderCommand(change))
        paths.push([change.kind, ...change.path])
      }
    }
    assert.deepEqual([...fields].toSorted(), ['bridges', 'ethernets', 'hostName', 'routes', 'tunnels'])
    assert.deepEqual(await wordsOf(lines), paths)
  })

  it('never let a value become a second command', async () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom(
          "'",
          '"',
          '`',
          '$',
          '(',
          ')',
          ';',
          '\n',
          '\\',
          ' ',
          '|',
          '&',
          '#',
          '?',
          '!',
          '~',
          '*',
          'a',
        ),
      }),
    )
    const lines: string[] = []
    const paths: string[][] = []
    for (const word of fc.sample(hostile, 3000)) {
      const path = ['interfaces', 'ethernet', 'eth0', 'description', word]
      try {
        lines.push(renderCommand({ kind: 'set', path }))
        paths.push(['set', ...path])
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'CONFIG_INVALID')
      }
    }
    assert.ok(lines.length > 50)
    assert.deepEqual(await wordsOf(lines), paths)
  })
})
