import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { caseLinks } from '../../src/bench/cases/bench-case.ts'
import { benchCases, withAddressForm } from '../../src/bench/cases/index.ts'
import { nicCase } from '../../src/bench/cases/nic.ts'
import { type CellSelection, type Matrix, matrixSchema } from '../../src/bench/matrix.ts'
import { learnedCosts, type Plan, planCells, setupOf } from '../../src/bench/plan.ts'
import { loadYaml, parseYaml } from '../../src/config/load-yaml.ts'
import { networkConfigSchema } from '../../src/config/network-config.ts'
import { packageRoot } from '../../src/config/package-root.ts'
import { low24 } from '../../src/domain/mac.ts'
import { loadTestbed } from '../../src/testbed/testbed.ts'

const parse = (text: string) => parseYaml(text, matrixSchema, 'mine.yaml')
const everything = { vlan: true, ip6Tunnel: true }
const plan = (matrix: Matrix, selection: CellSelection = {}, seed = 1) =>
  planCells({ matrix, selection, seed, capabilities: everything })
const guestNics = [
  { name: 'eth0', mac: '52:54:00:aa:bb:01' },
  { name: 'eth1', mac: '52:54:00:aa:bb:02' },
]

const modes = fc.uniqueArray(fc.constantFrom('bridge', 'macvtap', 'macvtap-trust', 'network'), { minLength: 1 })
const families = fc.uniqueArray(fc.constantFrom('ipv4' as const, 'ipv6' as const), { minLength: 1 })
const cases = fc.constantFrom(...Object.keys(benchCases))
const matrices = fc
  .record({
    cells: fc.array(
      fc.oneof(
        fc.record({ case: cases, dut: fc.constant('vm' as const), modes, families }),
        fc.record({ case: cases, dut: fc.constant('host' as const), families }),
      ),
      { minLength: 1, maxLength: 8 },
    ),
    repetitions: fc.integer({ min: 1, max: 7 }),
    interleave: fc.boolean(),
  })
  .map(({ cells, repetitions, interleave }) =>
    matrixSchema.parse({ title: 't', cells, interleave, throughput: { repetitions, ways: ['there', 'both'] } }),
  )

/** Changes of DUT or mode, and of case alone, on the way through set-ups: what switching costs. */
function changes(setups: readonly string[]): { readonly machines: number; readonly cases: number } {
  const machineOf = (setup: string) => setup.split('/').slice(1).join('/')
  const pairs = setups.slice(1).map((setup, index) => [setups[index] ?? '', setup] as const)
  return {
    machines: pairs.filter(([a, b]) => machineOf(a) !== machineOf(b)).length,
    cases: pairs.filter(([a, b]) => a !== b && machineOf(a) === machineOf(b)).length,
  }
}

const setupsOf = ({ visits }: Plan, number: 1 | 2) =>
  visits.filter((visit) => visit.number === number).map(({ cell }) => setupOf(cell))
const withoutRepeats = (items: readonly string[]) => items.filter((item, index) => item !== items[index - 1])

describe('the plan of a matrix', () => {
  it('of quick is the NIC in three modes, both families', async () => {
    const matrix = await loadYaml(join(packageRoot(), 'matrices', 'quick.yaml'), matrixSchema)
    assert.deepEqual(
      plan(matrix).cells.map(({ id }) => id),
      [
        'nic/bridge/vm/ipv4',
        'nic/bridge/vm/ipv6',
        'nic/macvtap/vm/ipv4',
        'nic/macvtap/vm/ipv6',
        'nic/macvtap-trust/vm/ipv4',
        'nic/macvtap-trust/vm/ipv6',
      ],
    )
  })

  it('holds what the selection names', () => {
    const matrix = parse(`
title: mine
cells:
  - { case: nic, dut: host }
  - { case: nic, dut: vm, modes: [bridge, macvtap] }
throughput: { ways: [there, back] }
`)
    const ids = (selection: CellSelection) => plan(matrix, selection).cells.map(({ id }) => id)
    assert.deepEqual(ids({ duts: ['host'] }), ['nic/host/ipv4', 'nic/host/ipv6'])
    assert.deepEqual(ids({ modes: ['macvtap'], families: ['ipv6'] }), ['nic/macvtap/vm/ipv6'])
    assert.deepEqual(ids({ cases: ['bridge'] }), [])
    assert.deepEqual(plan(matrix, { ways: ['back'] }).cells[0]?.ways, ['back'])
    assert.deepEqual(ids({ ways: ['both'] }), [])
  })

  it('takes longer with longer runs, and less without throughput', () => {
    const quick = (throughput: string) => plan(parse(`title: t\ncells: [{ case: nic, dut: host }]\n${throughput}`))
    const usual = quick('').expectedSeconds
    assert.ok(quick('throughput: { seconds: 60 }').expectedSeconds > usual + 2 * 3 * 50)
    assert.ok(quick('throughput: { ways: [there, back] }').expectedSeconds > usual)
    assert.ok(quick('throughput: false').expectedSeconds < usual)
  })

  it('expects what earlier runs took', () => {
    const matrix = parse('title: t\ncells: [{ case: nic, dut: vm, modes: [bridge, macvtap] }]\nthroughput: false')
    const seconds = (switchMode: number) => {
      const costs = learnedCosts([
        { boot: [7], switchMode: [switchMode, switchMode], configure: [4], enterHost: [], cell: [3] },
      ])
      return planCells({ matrix, capabilities: everything, seed: 1, costs }).expectedSeconds
    }
    assert.equal(seconds(30) - seconds(1), 29)
  })

  it('measures each cell as often as asked, and no cell twice at once', () => {
    fc.assert(
      fc.property(matrices, fc.nat(), (matrix, seed) => {
        const { cells, visits } = plan(matrix, {}, seed)
        const wanted = matrix.throughput === false ? 0 : matrix.throughput.repetitions
        for (const cell of cells) {
          const own = visits.filter((visit) => visit.cell === cell)
          assert.equal(
            own.reduce((sum, { repetitions }) => sum + repetitions, 0),
            wanted,
          )
          assert.deepEqual(
            own.map(({ last }) => last),
            own.map((_, index) => index === own.length - 1),
          )
        }
        assert.equal(new Set(cells.map(({ id }) => id)).size, cells.length)
      }),
    )
  })

  it('changes machines and cases as seldom as any other order of the same set-ups', () => {
    fc.assert(
      fc.property(
        matrices,
        fc.nat(),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (matrix, seed, random) => {
          const setups = withoutRepeats(setupsOf(plan(matrix, {}, seed), 1))
          const order = setups.map((setup) => ({ setup, key: random.next().value ?? 0 })).sort((a, b) => a.key - b.key)
          const own = changes(setups)
          const other = changes(order.map(({ setup }) => setup))
          assert.equal(new Set(setups).size, setups.length)
          assert.ok(own.machines <= other.machines)
          assert.equal(own.machines, new Set(setups.map((each) => each.split('/').slice(1).join('/'))).size - 1)
        },
      ),
    )
  })

  it('visits host and VM in the order A B B A, so that a steady drift is the same for both', () => {
    fc.assert(
      fc.property(matrices, fc.nat(), (matrix, seed) => {
        const { visits } = plan(matrix, {}, seed)
        const second = visits.filter(({ number }) => number === 2).map(({ cell }) => cell)
        const first = visits.filter(({ number }) => number === 1).map(({ cell }) => cell)
        assert.deepEqual(first.filter((cell) => second.includes(cell)).reverse(), second)
        const compared = new Set(second.map(({ case: name, family }) => `${name} ${family}`))
        for (const key of compared) {
          const duts = new Set(second.filter((cell) => `${cell.case} ${cell.family}` === key).map(({ dut }) => dut))
          assert.deepEqual(duts, new Set(['host', 'vm']))
        }
      }),
    )
    const both = parse('title: t\ncells: [{ case: nic, dut: host }, { case: nic, dut: vm, modes: [bridge] }]')
    assert.equal(plan(both).visits.length, 8)
    assert.equal(plan({ ...both, interleave: false }).visits.length, 4)
  })

  it('is the same for the same seed, and another for another one', () => {
    const matrix = parse('title: t\ncells: [{ case: nic, dut: vm, modes: [bridge, macvtap, macvtap-trust, network] }]')
    const ids = (seed: number) => plan(matrix, {}, seed).visits.map(({ cell }) => cell.id)
    assert.deepEqual(ids(7), ids(7))
    assert.ok(new Set([1, 2, 3, 4, 5].map((seed) => ids(seed).join())).size > 1)
    assert.deepEqual(plan(matrix, {}, 1).cells, plan(matrix, {}, 2).cells)
  })

  it('names the cells that this host cannot run, with what its kernel lacks, and runs the VM’s', () => {
    const matrix = parse(`
title: t
cells:
  - { case: ipip6, dut: host, families: [ipv4] }
  - { case: vlan-bridge, dut: host, families: [ipv4] }
  - { case: vlan-bridge, dut: vm, modes: [bridge], families: [ipv4] }
`)
    const { impossible, visits } = planCells({ matrix, seed: 1, capabilities: { vlan: false, ip6Tunnel: false } })
    assert.deepEqual(
      impossible.map(({ cell, reason }) => [cell.id, reason]),
      [
        ['ipip6/host/ipv4', "this host's kernel has no IPv6 tunnels (ip6_tunnel)"],
        ['vlan-bridge/host/ipv4', "this host's kernel has no 802.1Q VLANs"],
      ],
    )
    assert.deepEqual(
      visits.map(({ cell }) => cell.id),
      ['vlan-bridge/bridge/vm/ipv4'],
    )
  })
})

describe('a matrix', () => {
  const refused: readonly [string, string, RegExp][] = [
    [
      'a case that is not there',
      'title: t\ncells: [{ case: nik, dut: host }]',
      /mine.yaml:2:.*cells\[0\].case: must be one of nic/,
    ],
    ['modes for the host', 'title: t\ncells: [{ case: nic, dut: host, modes: [bridge] }]', /cells\[0\].modes/],
    ['a VM without modes', 'title: t\ncells: [{ case: nic, dut: vm, modes: [] }]', /cells\[0\].modes/],
    [
      'a mode that could leave the folder',
      'title: t\ncells: [{ case: nic, dut: vm, modes: ["../x"] }]',
      /lower-case letters/,
    ],
    ['a family twice', 'title: t\ncells: [{ case: nic, dut: host, families: [ipv4, ipv4] }]', /names a family twice/],
    ['a way twice', 'title: t\ncells: [{ case: nic, dut: host, ways: [there, there] }]', /names a way twice/],
    [
      'fewer repetitions at most than at least',
      'title: t\ncells: [{ case: nic, dut: host }]\nthroughput: { repetitions: 5, maxRepetitions: 3 }',
      /maxRepetitions.*must not be below/,
    ],
    [
      'half a second',
      'title: t\ncells: [{ case: nic, dut: host }]\nthroughput: { seconds: 2.5 }',
      /throughput.seconds/,
    ],
  ]
  for (const [what, text, message] of refused) {
    it(`with ${what} is refused by line and field`, () => {
      assert.throws(() => parse(text), { code: 'CONFIG_INVALID', message })
    })
  }

  it('that vmr ships fits the schema', async () => {
    const folder = join(packageRoot(), 'matrices')
    const files = await readdir(folder)
    assert.ok(files.includes('quick.yaml'))
    for (const file of files) assert.ok(plan(await loadYaml(join(folder, file), matrixSchema)).cells.length > 0)
  })
})

describe('a case', () => {
  it('puts the testbed’s addresses on the interfaces that play the roles', async () => {
    const setup = nicCase.setup(caseLinks(await loadTestbed('lab'), guestNics))
    assert.deepEqual(setup.configs.dut, {
      ethernets: {
        eth0: {
          addresses: [
            '192.168.1.1/24',
            '2001:db8:dead:beaf::1/64',
            '2001:db8:dead:beaf::5a:3c91/64',
            '2001:db8:dead:beaf::c3:a57e/64',
          ],
        },
      },
    })
    assert.deepEqual(
      setup.directions.ipv6.map(({ name, to }) => [name, to.addresses.ipv6]),
      [
        ['pc1>dut', '2001:db8:dead:beaf::1'],
        ['dut>pc1', '2001:db8:dead:beaf::2'],
      ],
    )
    assert.equal(setup.path.linkBitsPerSecond, 1e9)
  })

  it('has witnesses of IPv6 towards the DUT, in solicited-node groups of their own', async () => {
    const setup = nicCase.setup(caseLinks(await loadTestbed('lab'), guestNics))
    const [towardsDut] = setup.directions.ipv6
    assert.ok(towardsDut)
    const { addresses, witnesses } = towardsDut.to
    const groups = [addresses.ipv6, ...witnesses.ipv6].map(low24)
    assert.ok(groups.length >= 3)
    assert.equal(new Set(groups).size, groups.length)
  })

  it('uses the uplinks themselves where the host is the DUT', async () => {
    const setup = nicCase.setup(caseLinks(await loadTestbed('lab'), [{ name: 'vmr-up1', mac: '02:00:00:00:00:01' }]))
    assert.ok(setup.configs.dut?.ethernets?.['vmr-up1'])
  })

  it('gives the DUT an address made of its MAC, or its addresses later, as the form says', async () => {
    const testbed = await loadTestbed('lab')
    const { directions } = nicCase.setup(caseLinks(testbed, guestNics, 'eui64'))
    assert.equal(directions.ipv6[0]?.to.addresses.ipv6, '2001:db8:dead:beaf:5054:ff:feaa:bb01')
    assert.deepEqual(directions.ipv6[0]?.to.witnesses.ipv6, [])
    const { configs, later } = withAddressForm(nicCase.setup(caseLinks(testbed, guestNics)), 'added-later')
    assert.deepEqual(configs.dut?.ethernets?.eth0?.addresses, ['192.168.1.1/24'])
    assert.ok(later?.dut?.ethernets?.eth0?.addresses?.includes('2001:db8:dead:beaf::1/64'))
  })

  for (const benchCase of Object.values(benchCases)) {
    it(`${benchCase.name} has addresses of its own for everybody, and configures what the schema takes`, async () => {
      const setup = benchCase.setup(caseLinks(await loadTestbed('lab'), guestNics))
      for (const config of Object.values(setup.configs)) networkConfigSchema.parse(config)
      assert.deepEqual(Object.keys(setup.configs).sort(), [...benchCase.roles].sort())
      for (const family of ['ipv4', 'ipv6'] as const) {
        const [first] = setup.directions[family]
        if (family === 'ipv6') assert.equal(first?.to.role, 'dut')
        const owners = setup.directions[family].flatMap(({ from, to }) =>
          [from, to].map((end) => `${end.addresses[family]} ${end.role}`),
        )
        const addresses = new Set(owners).size
        assert.equal(new Set(owners.map((owner) => owner.split(' ')[0])).size, addresses)
      }
    })
  }
})
