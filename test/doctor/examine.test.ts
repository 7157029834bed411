import assert from 'node:assert/strict'
import { examine } from '../../src/doctor/examine.ts'
import { type Finding, worst } from '../../src/doctor/finding.ts'
import type { HostObservation } from '../../src/doctor/observation.ts'

const uplink = {
  name: 'vmr-up1',
  bridge: 'vmr-br1',
  testbed: 'lab',
  madeOnDemand: true,
  link: {
    up: true,
    carrier: true,
    master: undefined,
    masterIsBridge: false,
    macvtaps: [],
    offloads: ['generic-receive-offload'],
    speed: 1000,
  },
}

const answering = {
  kind: 'answers',
  libvirt: '9.0.0',
  qemu: 'QEMU 7.2.22',
  virtlogd: true,
  daemons: ['libvirtd'],
  devicesInUse: ['macvtap7'],
} as const

/** A box on which everything is as it should be. */
const healthy: HostObservation = {
  uid: 0,
  kernel: '6.1.0-25-amd64',
  distribution: 'Debian GNU/Linux 12 (bookworm)',
  cpuFlags: ['fpu', 'vmx'],
  cpus: 2,
  memoryBytes: 8 * 2 ** 30,
  kvm: {
    device: { mode: 0o660, gid: 104 },
    gid: 104,
    testBoot: { works: true, reason: 'a test boot succeeded' },
  },
  libvirt: answering,
  features: {
    veth: true,
    bridge: true,
    macvtap: true,
    tun: true,
    tbf: true,
    nftables: true,
    vlan: true,
    ip6Tunnel: true,
    vhostNet: true,
  },
  tools: Object.fromEntries(
    ['ip', 'bridge', 'tc', 'ping', 'tcpdump', 'iperf3', 'iperf', 'ethtool', 'nft', 'qemu-img', 'virt-xml-validate'].map(
      (name) => [name, name === 'iperf3' ? '3.12' : '1.0'],
    ),
  ),
  network: {
    bridges: [{ name: 'vmr-br1', stp: false, snooping: false, querier: false, ports: ['vmr-up1'] }],
    bridgeNetfilter: undefined,
    forwarding: { ipv4: false, ipv6: false },
    reversePathFilter: 0,
    droppingChains: [],
    management: ['eth0'],
  },
  uplinks: [uplink],
  governors: ['performance', 'performance'],
  directories: [{ what: 'state', path: '/var/lib/vmr', writable: true, freeBytes: 5e10 }],
  leftovers: [],
}

const only = (observation: HostObservation): Finding => {
  const complaints = examine(observation).filter(({ level }) => level !== 'pass')
  const [first] = complaints
  assert.equal(complaints.length, 1, JSON.stringify(complaints))
  assert.ok(first)
  return first
}

interface Disturbance {
  readonly name: string
  readonly observation: HostObservation
  readonly level: Finding['level']
  readonly says: RegExp
  readonly hint: RegExp
}

const { network } = healthy
const dropping = { family: 'ip6', table: 'filter', chain: 'FORWARD' }
const disturbances: readonly Disturbance[] = [
  {
    name: 'a /dev/kvm that libvirt’s QEMU may not open',
    observation: { ...healthy, kvm: { ...healthy.kvm, device: { mode: 0o600, gid: 0 } } },
    level: 'fail',
    says: /takes a minute/,
    hint: /chgrp kvm/,
  },
  {
    name: 'KVM that is there and boots nothing',
    observation: { ...healthy, kvm: { ...healthy.kvm, testBoot: { works: false, reason: 'it hung' } } },
    level: 'warn',
    says: /does not boot a guest: it hung/,
    hint: /nested/,
  },
  {
    name: 'libvirt that refuses',
    observation: { ...healthy, libvirt: { kind: 'refuses', message: 'libvirt’s socket is missing', hint: 'start it' } },
    level: 'fail',
    says: /socket is missing/,
    hint: /start it/,
  },
  {
    name: 'a missing virtlogd',
    observation: { ...healthy, libvirt: { ...answering, virtlogd: false } },
    level: 'fail',
    says: /does not start/,
    hint: /virtlogd/,
  },
  {
    name: 'a kernel without macvtap',
    observation: { ...healthy, features: { ...healthy.features, macvtap: false } },
    level: 'fail',
    says: /macvtap modes do not work/,
    hint: /linux-image/,
  },
  {
    name: 'a kernel without VLANs, which costs a VM and nothing else',
    observation: { ...healthy, features: { ...healthy.features, vlan: false } },
    level: 'warn',
    says: /tags VLANs is a VM/,
    hint: /linux-image/,
  },
  {
    name: 'a tool that is not installed, by its package',
    observation: { ...healthy, tools: { ...healthy.tools, ip: null } },
    level: 'fail',
    says: /no link can be made/,
    hint: /apt install iproute2/,
  },
  {
    name: 'an iperf3 whose JSON has duplicate keys',
    observation: { ...healthy, tools: { ...healthy.tools, iperf3: '3.9' } },
    level: 'warn',
    says: /both ways at once/,
    hint: /3\.11/,
  },
  {
    name: 'a bridge that snoops on multicast',
    observation: {
      ...healthy,
      network: {
        ...network,
        bridges: [{ name: 'vmr-br1', stp: false, snooping: true, querier: true, ports: [] }],
      },
    },
    level: 'warn',
    says: /membership interval/,
    hint: /mcast_snooping 0/,
  },
  {
    name: 'a bridge with spanning tree',
    observation: {
      ...healthy,
      network: { ...network, bridges: [{ name: 'br0', stp: true, snooping: false, querier: false, ports: [] }] },
    },
    level: 'warn',
    says: /silent for up to 30 s/,
    hint: /stp_state 0/,
  },
  {
    name: 'a packet filter that drops bridged IPv6, as Docker sets up',
    observation: {
      ...healthy,
      network: { ...network, bridgeNetfilter: { ipv4: false, ipv6: true }, droppingChains: [dropping] },
    },
    level: 'fail',
    says: /bridged IPv6 through ip6 filter FORWARD, which drops/,
    hint: /bridge-nf-call-ip6tables=0.*Docker/,
  },
  {
    name: 'an uplink that carries the way in to the host',
    observation: { ...healthy, network: { ...network, management: ['vmr-up1'] } },
    level: 'fail',
    says: /carries the way in/,
    hint: /another NIC/,
  },
  {
    name: 'an uplink without a cable',
    observation: { ...healthy, uplinks: [{ ...uplink, link: { ...uplink.link, carrier: false } }] },
    level: 'warn',
    says: /no carrier/,
    hint: /cable/,
  },
  {
    name: 'an uplink that does not exist',
    observation: { ...healthy, uplinks: [{ ...uplink, madeOnDemand: false, link: undefined }] },
    level: 'fail',
    says: /no such NIC/,
    hint: /testbed’s file/,
  },
  {
    name: 'an uplink in a bond',
    observation: { ...healthy, uplinks: [{ ...uplink, link: { ...uplink.link, master: 'bond0' } }] },
    level: 'fail',
    says: /belongs to bond0/,
    hint: /nomaster/,
  },
  {
    name: 'an uplink that merges packets',
    observation: {
      ...healthy,
      uplinks: [{ ...uplink, link: { ...uplink.link, offloads: ['large-receive-offload'] } }],
    },
    level: 'warn',
    says: /LRO/,
    hint: /lro off/,
  },
  {
    name: 'a clock that changes while it is measured',
    observation: { ...healthy, governors: ['powersave', 'performance'] },
    level: 'warn',
    says: /powersave/,
    hint: /cpupower/,
  },
  {
    name: 'a disk that is nearly full',
    observation: { ...healthy, directories: [{ what: 'cache', path: '/c', writable: true, freeBytes: 2e8 }] },
    level: 'warn',
    says: /0\.2 GB free/,
    hint: /1 GB/,
  },
  {
    name: 'a state directory of somebody else',
    observation: { ...healthy, directories: [{ what: 'state', path: '/s', writable: false, freeBytes: 2e12 }] },
    level: 'fail',
    says: /may not be written/,
    hint: /VMR_STATE_DIR/,
  },
  {
    name: 'what a killed run left behind',
    observation: { ...healthy, leftovers: ['vm r1'] },
    level: 'warn',
    says: /vm r1/,
    hint: /vmr cleanup/,
  },
]

describe('the doctor', () => {
  it('has nothing to say against a box on which everything is well', () => {
    assert.equal(worst(examine(healthy)), 'pass')
  })

  for (const { name, observation, level, says, hint } of disturbances)
    it(`names ${name}, and what to do`, () => {
      const finding = only(observation)
      assert.equal(finding.level, level)
      assert.match(finding.message, says)
      assert.match(finding.hint ?? '', hint)
    })

  it('holds nothing against br_netfilter alone, nor against a dropping chain that bridged frames never meet', () => {
    const alone = { ...network, bridgeNetfilter: { ipv4: true, ipv6: true } }
    assert.equal(worst(examine({ ...healthy, network: alone })), 'pass')
    assert.equal(worst(examine({ ...healthy, network: { ...network, droppingChains: [dropping] } })), 'pass')
  })

  it('mends the testbed’s own bridges only', () => {
    const fixes = (name: string) =>
      examine({
        ...healthy,
        network: { ...network, bridges: [{ name, stp: true, snooping: true, querier: false, ports: [] }] },
      }).flatMap(({ fix }) => (fix === undefined ? [] : fix.commands))
    assert.deepEqual(fixes('br0'), [])
    assert.deepEqual(fixes('vmrack0'), [])
    assert.deepEqual(fixes('vmr-br1'), [
      ['ip', 'link', 'set', 'dev', 'vmr-br1', 'type', 'bridge', 'mcast_snooping', '0'],
      ['ip', 'link', 'set', 'dev', 'vmr-br1', 'type', 'bridge', 'stp_state', '0'],
    ])
  })

  it('says of an ordinary user’s report what it could not look at', () => {
    const findings = examine({
      ...healthy,
      uid: 1000,
      features: undefined,
      network: { ...network, bridgeNetfilter: { ipv4: true, ipv6: true }, droppingChains: undefined },
    })
    assert.equal(worst(findings), 'warn')
    assert.ok(findings.some(({ level, subject }) => level === 'skip' && subject === 'macvtap'))
    assert.ok(findings.some(({ level, subject }) => level === 'skip' && subject === 'packet filter on bridges'))
  })

  it('warns of a macvtap that no running VM has, and of two daemons that each know half of the VMs', () => {
    const under = (macvtaps: readonly string[]) => ({ uplinks: [{ ...uplink, link: { ...uplink.link, macvtaps } }] })
    const levels = (change: Partial<HostObservation>, subject: string) =>
      examine({ ...healthy, ...change }).flatMap((each) =>
        each.subject === subject ? [[each.level, each.message]] : [],
      )
    assert.deepEqual(
      levels(under(['macvtap7']), 'vmr-up1').map(([level]) => level),
      ['pass'],
    )
    assert.match(
      String(levels(under(['macvtap7', 'macvtap8']), 'vmr-up1')),
      /^warn,macvtap8 is on it, and no running VM has it/,
    )
    const unknown = { ...under(['macvtap8']), libvirt: { kind: 'refuses', message: 'no', hint: undefined } } as const
    assert.deepEqual(
      levels(unknown, 'vmr-up1').map(([level]) => level),
      ['pass'],
    )
    const both = { libvirt: { ...answering, daemons: ['libvirtd', 'virtqemud'] } } as const
    assert.match(String(levels(both, 'daemons')), /^warn,libvirtd and virtqemud both listen/)
  })
})
