import assert from 'node:assert/strict'
import type { Bench, DirectionProbe } from '../../src/bench/bench.ts'
import { direction, endOn } from '../../src/bench/cases/bench-case.ts'
import type { PlannedCell } from '../../src/bench/plan.ts'
import { confirmByEvidence } from '../../src/bench/probe-cell.ts'
import type { Evidence, PathEvidence } from '../../src/ipv6/evidence/schema.ts'
import { linuxOs } from '../../src/os/linux/linux-os.ts'
import { vyosOs } from '../../src/os/vyos/vyos-os.ts'
import { localShell } from '../../src/shell/local.ts'

const cell: PlannedCell = {
  ...{ id: 'nic/macvtap/vm/ipv6', case: 'nic', dut: 'vm', mode: 'macvtap', family: 'ipv6', form: 'static', ways: [] },
}
const witness = '2001:db8::5a:3c91'
const pc1 = endOn('pc1', {
  interfaceName: 'eth0',
  addresses: { ipv4: '192.0.2.2/24', ipv6: '2001:db8::2/64' },
  witnesses: { ipv4: [], ipv6: [] },
})
const dut = endOn('dut', {
  interfaceName: 'eth0',
  addresses: { ipv4: '192.0.2.1/24', ipv6: '2001:db8::1/64' },
  witnesses: { ipv4: [], ipv6: [`${witness}/64`] },
})
const toDut = direction(pc1, dut)

const host = { name: 'host', shell: { ...localShell }, os: linuxOs }
const machines = {
  pc1: { name: 'pc1', shell: { ...localShell }, os: linuxOs },
  dut: { name: 'dut', shell: { ...localShell }, os: vyosOs },
}
/** What is asked of a bench where the evidence has everything: nothing is probed. */
const bench = {
  machines,
  hops: () => [
    { name: 'pc1 eth0', machine: machines.pc1, interfaceName: 'eth0' },
    { name: 'host uplink vmr-up1', machine: host, interfaceName: 'vmr-up1' },
    { name: 'macvtap0', machine: host, interfaceName: 'macvtap0' },
    { name: 'guest eth0', machine: machines.dut, interfaceName: 'eth0' },
  ],
} as unknown as Bench

const probe = (address: string, reachable = false): DirectionProbe => ({
  direction: toDut,
  record: {
    ...{ direction: toDut.name, from: 'pc1', to: 'dut', family: 'ipv6', address, reachable, neighbourStates: {} },
    ...(reachable ? { sent: 1, received: 1, rttMs: 1 } : { sent: 6, received: 0 }),
  },
})

const hops: PathEvidence['hops'] = [
  { machine: 'pc:pc1', link: 'eth0', name: 'pc1 eth0', segment: 0 },
  { machine: 'host', link: 'vmr-up1', name: 'host vmr-up1', segment: 0 },
  { machine: 'host', link: 'macvtap0', name: 'host macvtap0', segment: 0 },
  { machine: 'guest', link: 'eth0', name: 'vmr-bench eth0', segment: 0 },
]
const sighting = (hop: string) => ({
  ...{ hop, segment: 0, kind: 'request' as const, count: 3 },
  ...{ sourceMacs: [], destinationMacs: [], vlans: [], says: [] },
})

/** A path that was lost, then probed again with every hop watched. */
function followed(address: string, received: number): PathEvidence {
  return {
    ...{ id: `pc1>vmr-bench ipv6 ${address}`, family: 'ipv6', direction: 'pc1>vmr-bench', form: 'static' },
    from: { machine: 'pc:pc1', link: 'eth0', address: '2001:db8::2' },
    to: { machine: 'guest', link: 'eth0', address },
    ...{ routed: false, resolved: [{ from: '2001:db8::2', to: address }], hops },
    probe: { sent: 6, received: 0 },
    trace: {
      probe: { sent: received > 0 ? 1 : 6, received, ...(received > 0 ? { rttMs: 2 } : {}) },
      sightings: ['pc1 eth0', 'host vmr-up1'].map(sighting),
      unwatched: [],
    },
  }
}

const confirm = (probes: readonly DirectionProbe[], paths: readonly PathEvidence[]) =>
  confirmByEvidence(cell, bench, { probes, doubtful: [toDut.name] }, { paths } as Evidence)

describe('a loss that the evidence has a second proof of', () => {
  it('is one, with the hop where its solicitation was last seen, and ends its direction', async () => {
    const { records, solicitations } = await confirm(
      [probe('2001:db8::1'), probe(witness)],
      [followed('2001:db8:0::1', 0), followed(witness, 0)],
    )
    assert.deepEqual(
      records.map(({ address, reachable }) => [address, reachable]),
      [['2001:db8::1', false]],
    )
    assert.deepEqual(solicitations, [
      {
        direction: 'pc1>dut',
        protocol: 'neighbour solicitation',
        target: '2001:db8::1',
        hops: [
          { hop: 'pc1 eth0', count: 3 },
          { hop: 'host uplink vmr-up1', count: 3 },
          { hop: 'macvtap0', count: 0 },
          { hop: 'guest eth0', count: 0 },
        ],
        lastSeen: 'host uplink vmr-up1',
        firstMissing: 'macvtap0',
        line: 'last seen at host uplink vmr-up1, not at macvtap0',
      },
    ])
  })

  it('is none where the second probe was answered: the next address decides', async () => {
    const { records, solicitations } = await confirm(
      [probe('2001:db8::1'), probe(witness)],
      [followed('2001:db8::1', 1), followed(witness, 0)],
    )
    assert.deepEqual(
      records.map(({ address, reachable, sent, received, rttMs }) => [address, reachable, sent, received, rttMs]),
      [
        ['2001:db8::1', true, 1, 1, 2],
        [witness, false, 6, 0, undefined],
      ],
    )
    assert.deepEqual(
      solicitations.map(({ target }) => target),
      [witness],
    )
  })

  it('leaves what answered at once as it is', async () => {
    const { records } = await confirm([probe('2001:db8::1', true), probe(witness)], [followed(witness, 0)])
    assert.deepEqual(
      records.map(({ address, reachable }) => [address, reachable]),
      [
        ['2001:db8::1', true],
        [witness, false],
      ],
    )
  })
})
