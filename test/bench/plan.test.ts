import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { caseLinks } from '../../src/bench/cases/bench-case.ts'
import { benchCases } from '../../src/bench/cases/index.ts'
import { nicCase } from '../../src/bench/cases/nic.ts'
import { type Matrix, matrixSchema } from '../../src/bench/matrix.ts'
import { planCells, setupOf } from '../../src/bench/plan.ts'
import { loadYaml, parseYaml } from '../../src/config/load-yaml.ts'
import { networkConfigSchema } from '../../src/config/network-config.ts'
import { packageRoot } from '../../src/config/package-root.ts'
import { low24 } from '../../src/domain/mac.ts'
import { loadTestbed } from '../../src/testbed/testbed.ts'

const parse = (text: string) => parseYaml(text, matrixSchema, 'mine.yaml')

describe('the plan of a matrix', () => {
  it('of quick is the NIC in three modes, both families, one set-up after the other', async () => {
    const matrix = await loadYaml(join(packageRoot(), 'matrices', 'quick.yaml'), matrixSchema)
    assert.deepEqual(
      planCells(matrix).cells.map(({ id }) => id),
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

  it('holds what the selection names', async () => {
    const matrix = parse(`
title: mine
cells:
  - { case: nic, dut: host }
  - { case: nic, dut: vm, modes: [bridge, macvtap] }
`)
    const ids = (selection: Parameters<typeof planCells>[1]) => planCells(matrix, selection).cells.map(({ id }) => id)
    assert.deepEqual(ids({ duts: ['host'] }), ['nic/host/ipv4', 'nic/host/ipv6'])
    assert.deepEqual(ids({ modes: ['macvtap'], families: ['ipv6'] }), ['nic/macvtap/vm/ipv6'])
    assert.deepEqual(ids({ cases: ['bridge'] }), [])
  })

  it('takes longer with longer runs, and less without throughput', () => {
    const quick = (throughput: string) => planCells(parse(`title: t\ncells: [{ case: nic, dut: host }]\n${throughput}`))
    const usual = quick('').expectedSeconds
    assert.ok(quick('throughput: { seconds: 60 }').expectedSeconds > usual + 2 * 3 * 50)
    assert.ok(quick('throughput: { directions: both }').expectedSeconds > usual)
    assert.ok(quick('throughput: false').expectedSeconds < usual)
  })

  it('holds each cell once and changes set-ups as seldom as can be', () => {
    const families = fc.uniqueArray(fc.constantFrom('ipv4' as const, 'ipv6' as const), { minLength: 1 })
    const modes = fc.uniqueArray(fc.constantFrom('bridge', 'macvtap', 'macvtap-trust', 'network'), { minLength: 1 })
    const groups = fc.array(
      fc.oneof(
        fc.record({ case: fc.constant('nic'), dut: fc.constant('vm' as const), modes, families }),
        fc.record({ case: fc.constant('nic'), dut: fc.constant('host' as const), families }),
      ),
      { minLength: 1, maxLength: 6 },
    )
    fc.assert(
      fc.property(groups, (cells) => {
        const matrix: Matrix = matrixSchema.parse({ title: 't', cells })
        const planned = planCells(matrix).cells
        assert.equal(new Set(planned.map(({ id }) => id)).size, planned.length)
        const setups = planned.map(setupOf)
        const changes = setups.filter((setup, index) => setup !== setups[index - 1]).length
        assert.equal(changes, new Set(setups).size)
      }),
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
    for (const file of files) assert.ok(planCells(await loadYaml(join(folder, file), matrixSchema)).cells.length > 0)
  })
})

describe('a case', () => {
  it('puts the testbed’s addresses on the interfaces that play the roles', async () => {
    const setup = nicCase.setup(caseLinks(await loadTestbed('lab'), ['eth0', 'eth1']))
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
      setup.directions.map(({ name, to }) => [name, to.addresses.ipv6]),
      [
        ['pc1>dut', '2001:db8:dead:beaf::1'],
        ['dut>pc1', '2001:db8:dead:beaf::2'],
      ],
    )
    assert.equal(setup.path.linkBitsPerSecond, 1e9)
  })

  it('has witnesses of IPv6 towards the DUT, in solicited-node groups of their own', async () => {
    const setup = nicCase.setup(caseLinks(await loadTestbed('lab'), ['eth0', 'eth1']))
    const [towardsDut] = setup.directions
    assert.ok(towardsDut)
    const { addresses, witnesses } = towardsDut.to
    const groups = [addresses.ipv6, ...witnesses.ipv6].map(low24)
    assert.ok(groups.length >= 3)
    assert.equal(new Set(groups).size, groups.length)
  })

  it('uses the uplinks themselves where the host is the DUT', async () => {
    const setup = nicCase.setup(caseLinks(await loadTestbed('lab'), ['vmr-up1', 'vmr-up2']))
    assert.ok(setup.configs.dut?.ethernets?.['vmr-up1'])
  })

  for (const benchCase of Object.values(benchCases)) {
    it(`${benchCase.name} probes towards the DUT first, and configures what the schema takes`, async () => {
      const setup = benchCase.setup(caseLinks(await loadTestbed('lab'), ['eth0', 'eth1']))
      assert.equal(setup.directions[0]?.from.role, 'pc1')
      for (const config of Object.values(setup.configs)) networkConfigSchema.parse(config)
      assert.deepEqual(Object.keys(setup.configs).sort(), [...benchCase.roles].sort())
    })
  }
})
