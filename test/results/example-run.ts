import type { CellResult, Manifest, ReachabilityRecord, Run, ThroughputRecord } from '../../src/results/schema.ts'

/** A run of the quick matrix as the lab gives it, with rounded figures. */
export const manifest: Manifest = {
  format: 2,
  run: '20260131T101500Z-quick-1f3a',
  vmr: '0.1.0',
  startedAt: '2026-01-31T10:15:00.000Z',
  endedAt: '2026-01-31T10:17:30.000Z',
  matrix: { name: 'quick', definition: { title: 'The VM’s NIC in three interface modes' } },
  resumedAt: [],
  selection: {},
  seed: 4711,
  testbed: 'lab',
  guest: { name: 'r1', label: 'lab router (not VyOS)' },
  accelerator: 'tcg',
  host: {
    hostName: 'box',
    kernel: '6.1.0-25-amd64',
    architecture: 'x86_64',
    distribution: 'Debian GNU/Linux 12 (bookworm)',
    cpus: 2,
    memoryBytes: 8 * 2 ** 30,
    tcpTimestamps: true,
    versions: { iperf3: '3.12' },
  },
  libvirt: { version: '9.0.0', uri: 'qemu:///system' },
  qemu: '7.2.0',
  guests: {},
  capabilities: { vlan: false, ip6Tunnel: false },
  setups: {},
  costs: { boot: [], switchMode: [], configure: [], enterHost: [], cell: [] },
  planned: [
    'nic/bridge/vm/ipv4',
    'nic/bridge/vm/ipv6',
    'nic/macvtap/vm/ipv4',
    'nic/macvtap/vm/ipv6',
    'nic/macvtap-trust/vm/ipv6',
  ],
}

const family = (id: string) => (id.endsWith('ipv4') ? 'ipv4' : 'ipv6')

export function probes(id: string, towardsDut: boolean): ReachabilityRecord[] {
  const probe = (direction: string, reachable: boolean): ReachabilityRecord => ({
    family: family(id),
    direction,
    from: direction.startsWith('pc1') ? 'pc1' : 'r1',
    to: direction.startsWith('pc1') ? 'r1' : 'pc1',
    address: family(id) === 'ipv6' ? '2001:db8:dead:beaf::1' : '192.168.1.1',
    reachable,
    sent: reachable ? 1 : 6,
    received: reachable ? 1 : 0,
    ...(reachable ? { rttMs: 0.4 } : {}),
    neighbourStates: { from: reachable ? 'REACHABLE' : 'FAILED' },
  })
  return [probe('pc1>dut', towardsDut), probe('dut>pc1', true)]
}

export function measured(direction: string, rates: readonly [number, number, number], limit: number): ThroughputRecord {
  const [min, median, max] = rates.map((rate) => rate * 1e6) as [number, number, number]
  return {
    status: 'measured',
    way: direction.startsWith('pc1') ? 'there' : 'back',
    direction,
    protocol: 'tcp',
    streams: 1,
    samples: [min, median, max].map((bitsPerSecond, index) => ({
      tool: 'iperf3',
      visit: 1,
      bitsPerSecond,
      seconds: 5,
      retransmits: 0,
      raw: `raw/${index}.json`,
    })),
    summary: { count: 3, median, min, max, firstQuartile: (min + median) / 2, thirdQuartile: (median + max) / 2 },
    wireLimitBitsPerSecond: limit * 1e6,
    shareOfWireLimit: median / (limit * 1e6),
  }
}

export function healthyCell(id: string, mode: string): CellResult {
  const limit = id.endsWith('ipv4') ? 941.5 : 928.5
  return {
    id,
    case: 'nic',
    dut: 'vm',
    mode,
    family: family(id),
    form: 'static',
    startedAt: '2026-01-31T10:15:10.000Z',
    seconds: 33,
    loadSeconds: 30,
    overhead: { probing: 2, measuring: 1, evidence: 0 },
    complete: true,
    actors: { pc1: { kind: 'namespace' }, dut: { kind: 'vm' } },
    probesBefore: probes(id, true),
    throughput: [measured('pc1>dut', [905, 912, 915], limit), measured('dut>pc1', [918, 921, 921], limit)],
    probesAfter: probes(id, true),
    solicitations: [],
    verdict: { verdict: 'healthy' },
  }
}

const brokenId = 'nic/macvtap/vm/ipv6'
const brokenCell: CellResult = {
  ...healthyCell(brokenId, 'macvtap'),
  probesBefore: probes(brokenId, false),
  throughput: [
    { status: 'unreachable', way: 'there', direction: 'pc1>dut' },
    measured('dut>pc1', [915, 919, 920], 928.5),
  ],
  probesAfter: probes(brokenId, false),
  solicitations: [
    {
      direction: 'pc1>dut',
      protocol: 'neighbour solicitation',
      target: '2001:db8:dead:beaf::1',
      hops: [
        { hop: 'pc1 eth0', count: 3 },
        { hop: 'host uplink vmr-up1', count: 3 },
        { hop: 'macvtap0', count: 0 },
        { hop: 'r1 eth0', count: 0 },
      ],
      lastSeen: 'host uplink vmr-up1',
      firstMissing: 'macvtap0',
      line: 'last seen at host uplink vmr-up1, not at macvtap0',
    },
  ],
  verdict: { verdict: 'broken', family: 'ipv6', directions: ['pc1>dut'], when: 'always' },
}

const failedCell: CellResult = {
  ...healthyCell('nic/macvtap-trust/vm/ipv6', 'macvtap-trust'),
  throughput: [],
  probesAfter: [],
  verdict: {
    verdict: 'error',
    error: {
      code: 'MEASUREMENT_FAILED',
      message: 'iperf3 from pc1 to r1 (2001:db8:dead:beaf::1 port 5201): control socket has closed unexpectedly',
    },
  },
}

export const run: Run = {
  manifest,
  cells: [
    healthyCell('nic/bridge/vm/ipv4', 'bridge'),
    healthyCell('nic/bridge/vm/ipv6', 'bridge'),
    healthyCell('nic/macvtap/vm/ipv4', 'macvtap'),
    brokenCell,
    failedCell,
  ],
}
