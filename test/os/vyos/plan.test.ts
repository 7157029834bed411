import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type NetworkConfigInput, networkConfigSchema } from '../../../src/config/network-config.ts'
import { keyOf, renderCommand, startsWith, type VyosPath } from '../../../src/os/vyos/path.ts'
import {
  applyChanges,
  planChange,
  planRemoval,
  planUndo,
  resolveUndo,
  resolveUndoInTurn,
  type VyosChange,
} from '../../../src/os/vyos/plan.ts'
import { renderNetworkConfig } from '../../../src/os/vyos/render.ts'

const paths = (...lines: string[]): VyosPath[] => lines.map((line) => line.split(' '))
const wanted = (input: NetworkConfigInput) => renderNetworkConfig(networkConfigSchema.parse(input), '1.4')
const rendered = (changes: readonly VyosChange[]) => changes.map(renderCommand)

const singleNodes = new Set([
  'mtu',
  'host-name',
  'encapsulation',
  'source-address',
  'remote',
  'encaplimit',
  'description',
])

/** What VyOS does with commands, as far as plans depend on it: emptied nodes stay, a single value is replaced. */
function apply(running: readonly VyosPath[], changes: readonly VyosChange[], forgiving = false): VyosPath[] {
  let tree = [...running]
  for (const { kind, path } of changes) {
    // "Nothing to delete" and "already exists" are answers, not refusals.
    if (forgiving && tree.some((leaf) => startsWith(leaf, path)) === (kind === 'set')) continue
    if (kind === 'delete') {
      assert.ok(
        tree.some((leaf) => startsWith(leaf, path)),
        `nothing to delete: ${path.join(' ')}`,
      )
      const parent = path.slice(0, -1)
      tree = tree.filter((leaf) => !startsWith(leaf, path))
      if (parent.length > 0 && !tree.some((leaf) => startsWith(leaf, parent))) tree.push(parent)
    } else {
      if (singleNodes.has(path.at(-2) ?? ''))
        tree = tree.filter((leaf) => keyOf(leaf.slice(0, -1)) !== keyOf(path.slice(0, -1)))
      tree = tree.filter((leaf) => !(leaf.length < path.length && startsWith(path, leaf)))
      tree.push(path)
    }
  }
  return tree
}
const sorted = (tree: readonly VyosPath[]) => tree.map((path) => path.join(' ')).toSorted()

const factory = paths(
  'interfaces ethernet eth0 hw-id 52:54:00:00:00:01',
  'interfaces ethernet eth1 hw-id 52:54:00:00:00:02',
  'interfaces ethernet eth1 description operator',
  'interfaces loopback lo',
  'service ssh port 22',
  'system host-name vyos',
)

describe('VyOS change plans', () => {
  it('send only the difference, and leave what vmr did not set', () => {
    const running = [
      ...factory,
      ...paths('interfaces ethernet eth0 address 192.0.2.1/24', 'interfaces ethernet eth0 address 10.0.0.1/8'),
    ]
    assert.deepEqual(
      rendered(
        planChange(
          running,
          wanted({ ethernets: { eth0: { addresses: ['192.0.2.1/24', '192.0.2.2/24'], mtu: 1400 } } }),
        ),
      ),
      ["set interfaces ethernet eth0 mtu '1400'", "set interfaces ethernet eth0 address '192.0.2.2/24'"],
    )
    assert.deepEqual(planChange(factory, wanted({ hostName: 'vyos' })), [])
  })

  it('put back a value that was replaced, and take back whole what vmr made', () => {
    const changes = planChange(
      factory,
      wanted({
        hostName: 'dut',
        tunnels: { tun0: { kind: 'ipip6', local: '::1', remote: '::2' } },
        routes: [{ to: '10.0.0.0/8', via: '192.0.2.9' }],
      }),
    )
    const after = apply(factory, changes)
    assert.deepEqual(rendered(resolveUndo(after, planUndo(factory, changes))), [
      'delete protocols',
      'delete interfaces tunnel',
      'set system host-name vyos',
    ])
  })

  it('keep what somebody added beside it in the meantime', () => {
    const changes = planChange(factory, wanted({ routes: [{ to: '10.0.0.0/8', via: '192.0.2.9' }] }))
    const after = [...apply(factory, changes), ...paths('protocols static route 172.16.0.0/12 next-hop 192.0.2.7')]
    assert.deepEqual(rendered(resolveUndo(after, planUndo(factory, changes))), [
      "delete protocols static route '10.0.0.0/8'",
    ])
  })

  it('have nothing to take back where somebody already did', () => {
    const changes = planChange(factory, wanted({ ethernets: { eth0: { mtu: 1400 } } }))
    assert.deepEqual(resolveUndo(factory, planUndo(factory, changes)), [])
  })

  it('without a record take back whole objects of vmr’s, and single values of what others use too', () => {
    const config = wanted({
      ethernets: { eth1: { mtu: 1400, vlans: { '10': { addresses: ['10.1.1.1/24'] } } } },
      tunnels: { tun0: { kind: 'ipip6', local: '::1', remote: '::2' } },
    })
    const running = apply(factory, planChange(factory, config))
    assert.deepEqual(rendered(planRemoval(running, config)), [
      'delete interfaces tunnel tun0',
      "delete interfaces ethernet eth1 vif '10'",
      'delete interfaces ethernet eth1 mtu',
    ])
    const shared = [...running, ...paths('interfaces ethernet eth1 vif 10 description operator')]
    assert.deepEqual(rendered(planRemoval(shared, config)).slice(1), [
      "delete interfaces ethernet eth1 vif '10' address '10.1.1.1/24'",
      'delete interfaces ethernet eth1 mtu',
    ])
  })

  const address = fc.constantFrom('192.0.2.1/24', '192.0.2.2/24', '2001:db8::1/64')
  const someConfig: fc.Arbitrary<NetworkConfigInput> = fc.record(
    {
      hostName: fc.constantFrom('vyos', 'dut'),
      forwarding: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }, { requiredKeys: [] }),
      ethernets: fc.dictionary(
        fc.constantFrom('eth0', 'eth1', 'eth2'),
        fc.record(
          {
            mtu: fc.constantFrom(1400, 1500),
            addresses: fc.uniqueArray(address),
            offloads: fc.record({ gro: fc.boolean(), tso: fc.boolean() }, { requiredKeys: [] }),
            vlans: fc.dictionary(fc.constantFrom('10', '20'), fc.record({ addresses: fc.uniqueArray(address) })),
          },
          { requiredKeys: [] },
        ),
      ),
      bridges: fc.dictionary(
        fc.constantFrom('br0'),
        fc.record({ members: fc.uniqueArray(fc.constantFrom('eth0', 'eth1'), { minLength: 1 }) }),
      ),
      tunnels: fc.dictionary(
        fc.constantFrom('tun0'),
        fc.record({
          kind: fc.constant('ipip6' as const),
          local: fc.constant('2001:db8::1'),
          remote: fc.constantFrom('2001:db8::2', '2001:db8::3'),
        }),
      ),
      routes: fc.uniqueArray(
        fc.constantFrom({ to: '10.0.0.0/8', via: '192.0.2.9' }, { to: '2001:db8:7::/48', via: '2001:db8::9' }),
        { selector: ({ to }) => to },
      ),
    },
    { requiredKeys: [] },
  )

  it('lead there and exactly back, from any configuration', () => {
    fc.assert(
      fc.property(someConfig, someConfig, (first, second) => {
        const before = apply(factory, planChange(factory, wanted(first)))
        const config = wanted(second)
        const changes = planChange(before, config)
        const after = apply(before, changes)
        assert.deepEqual(planChange(after, config), [], 'once configured nothing is left to do')
        assert.deepEqual(sorted(apply(after, resolveUndo(after, planUndo(before, changes)))), sorted(before))
      }),
      { numRuns: 500 },
    )
  })

  it('lead back over several changes that stand on each other', () => {
    fc.assert(
      fc.property(fc.array(someConfig, { minLength: 1, maxLength: 4 }), (configs) => {
        let running: readonly VyosPath[] = factory
        const steps = configs.flatMap((input) => {
          const before = running
          const changes = planChange(before, wanted(input))
          running = apply(before, changes)
          return [planUndo(before, changes)]
        })
        const back = resolveUndoInTurn(running, steps.toReversed().flat())
        assert.deepEqual(sorted(apply(running, back)), sorted(factory))
        const setAgain = back.filter(
          ({ kind, path }) =>
            kind === 'delete' && back.some((other) => other.kind === 'set' && startsWith(other.path, path)),
        )
        assert.deepEqual(setAgain, [], 'what goes does not come again in the same commit')
      }),
      { numRuns: 500 },
    )
  })

  it('lead back from any part of it too by what takes back the whole', () => {
    fc.assert(
      fc.property(someConfig, someConfig, fc.array(fc.boolean(), { minLength: 40 }), (first, second, applied) => {
        const before = apply(factory, planChange(factory, wanted(first)))
        const changes = planChange(before, wanted(second))
        assert.deepEqual(sorted(applyChanges(before, changes)), sorted(apply(before, changes)))
        const partly = apply(
          before,
          changes.filter((_, index) => applied[index]),
        )
        const undo = resolveUndo(applyChanges(before, changes), planUndo(before, changes))
        assert.deepEqual(sorted(apply(partly, undo, true)), sorted(before))
      }),
      { numRuns: 500 },
    )
  })
})
