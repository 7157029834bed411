import assert from 'node:assert/strict'
import { rawFolderOf, reachabilityRecord, solicitationRecord, throughputRecord } from '../../src/bench/records.ts'
import type { Reachability } from '../../src/ipv6/reachability.ts'
import { cellResultSchema } from '../../src/results/schema.ts'
import { healthyCell } from '../results/example-run.ts'

const lost: Reachability = {
  family: 'ipv6',
  from: 'pc1',
  to: 'r1',
  reachable: false,
  sent: 6,
  received: 0,
  rttMs: undefined,
  neighbourStates: { from: 'INCOMPLETE', to: undefined },
  failure: undefined,
}
const sample = (bitsPerSecond: number, index: number) => ({
  sample: {
    tool: 'iperf3' as const,
    bitsPerSecond,
    seconds: 5,
    retransmits: undefined,
    lossShare: undefined,
    jitterMs: undefined,
    raw: '{}',
  },
  rawPath: `raw/${index}.json`,
})

describe('what is measured', () => {
  it('is recorded in a form that a run’s folder takes', () => {
    const throughput = throughputRecord({
      direction: 'dut>pc1',
      family: 'ipv6',
      samples: [900e6, 910e6, 920e6].map(sample),
      path: { linkBitsPerSecond: 1e9, mtu: 1500, vlanTags: 0 },
      tcpTimestamps: true,
      seed: 1,
    })
    const solicitation = solicitationRecord('pc1>dut', {
      protocol: 'neighbour solicitation',
      target: '2001:db8::1',
      hops: [{ hop: 'pc1 eth0', count: 0 }],
      lastSeen: undefined,
      firstMissing: 'pc1 eth0',
      line: 'not sent: not even seen at pc1 eth0',
      reachability: lost,
      captures: { 'pc1 eth0': '' },
    })
    const cell = cellResultSchema.parse({
      ...healthyCell('nic/macvtap/vm/ipv6', 'macvtap'),
      probesBefore: [reachabilityRecord('pc1>dut', lost)],
      throughput: [throughput],
      solicitations: [solicitation],
    })
    const [record] = cell.throughput
    assert.ok(record?.status === 'measured')
    assert.equal(record.summary.median, 910e6)
    assert.equal(Math.round(record.shareOfWireLimit * 1000), 980)
    assert.equal(record.samples[1]?.raw, 'raw/1.json')
  })

  it('has its raw files in a folder that stays within the run', () => {
    assert.equal(rawFolderOf('nic/macvtap/vm/ipv6'), 'nic_macvtap_vm_ipv6')
  })
})
