import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isEmptyNetwork, networkChange } from '../../src/config/network-change.ts'
import { type NetworkConfig, networkConfigSchema } from '../../src/config/network-config.ts'

const addresses = fc.uniqueArray(fc.constantFrom('192.168.1.1/24', '2001:db8::1/64', '10.0.0.1/8'), { maxLength: 2 })
const named = <Entry>(names: readonly string[], entry: fc.Arbitrary<Entry>) =>
  fc.dictionary(fc.constantFrom(...names), entry, { maxKeys: names.length, noNullPrototype: true })
const configs: fc.Arbitrary<NetworkConfig> = fc
  .record({
    ethernets: named(['eth0', 'eth1'], fc.record({ addresses })),
    bridges: named(['br0'], fc.record({ members: fc.constantFrom(['eth0'], ['eth0', 'eth1']), addresses })),
    routes: fc.uniqueArray(
      fc.constantFrom({ to: '192.0.2.0/24', via: '192.168.1.2' }, { to: '2001:db8:1::/64', via: '2001:db8::2' }),
      { maxLength: 2, selector: ({ to }) => to },
    ),
    forwarding: fc.option(fc.record({ ipv4: fc.boolean() }), { nil: undefined }),
  })
  .map((config) => networkConfigSchema.parse(config))

const withoutRemoved = <Entry>(from: Readonly<Record<string, Entry>>, removed: Readonly<Record<string, Entry>>) =>
  Object.fromEntries(Object.entries(from).filter(([name]) => !Object.hasOwn(removed, name)))

describe('the change from one network configuration to another', () => {
  it('makes the other of the one, whatever they are', () => {
    fc.assert(
      fc.property(configs, configs, (from, to) => {
        const { removed, added } = networkChange(from, to)
        const routes = from.routes.filter((route) => !removed.routes.some(({ to: gone }) => gone === route.to))
        assert.deepEqual({ ...withoutRemoved(from.ethernets, removed.ethernets), ...added.ethernets }, to.ethernets)
        assert.deepEqual({ ...withoutRemoved(from.bridges, removed.bridges), ...added.bridges }, to.bridges)
        const sorted = (all: NetworkConfig['routes']) => all.toSorted((a, b) => a.to.localeCompare(b.to))
        assert.deepEqual(sorted([...routes, ...added.routes]), sorted(to.routes))
      }),
    )
  })

  it('is nothing between equal ones', () => {
    fc.assert(
      fc.property(configs, (config) => {
        const { removed, added } = networkChange(config, structuredClone(config))
        assert.ok(isEmptyNetwork(removed) && isEmptyNetwork(added))
      }),
    )
  })

  it('makes anew what stands on a NIC that changes, and keeps it on a NIC that stays', () => {
    const route = { to: '192.0.2.0/24', via: '192.168.1.2' }
    const on = (...own: string[]) =>
      networkConfigSchema.parse({ ethernets: { eth0: { addresses: own } }, routes: [route] })
    assert.deepEqual(networkChange(on('192.168.1.1/24'), on('192.168.1.3/24')).added.routes, [route])
    const more = networkConfigSchema.parse({
      ...on('192.168.1.1/24'),
      ethernets: { ...on('192.168.1.1/24').ethernets, eth1: {} },
    })
    assert.deepEqual(networkChange(on('192.168.1.1/24'), more).added.routes, [])
  })
})
