import assert from 'node:assert/strict'
import { readLinks } from '../../../src/os/linux/ip-json.ts'
import { localShell } from '../../../src/shell/local.ts'
import { openWorkshop, type Workshop } from './booted-definition.ts'

const name = `vmr-test-nics-${process.pid}`

describe('The options of a NIC', function () {
  this.timeout(120_000)
  let workshop: Workshop
  let inGuest: (script: string) => Promise<string>

  before(async () => {
    workshop = await openWorkshop(AbortSignal.timeout(240_000))
    const plan = await workshop.plan(
      name,
      `${workshop.labRouter}vcpus: 2
cpu: { mode: maximum }
pinning: { vcpus: { 0: "0", 1: "0" }, emulator: "0" }
watchdog: { model: i6300esb, action: none }
nics:
  - { queues: 2, rxQueueSize: 1024, txQueueSize: 256, driver: qemu, mtu: 1400, target: vmrt-opt0, mac: "52:54:00:0a:0b:0c",
      offloads: { host: { csum: false, tso4: false, gso: false }, guest: { tso6: false, ufo: false } } }
  - { model: virtio, link: down, mode: macvtap-trust }
xml: "<domain><devices><memballoon model='virtio'/></devices></domain>"
`,
    )
    inGuest = await workshop.boot(plan)
  })
  after(() => workshop?.close())

  it('are what the guest finds: queues, rings, MTU, MAC address, offloads, carrier', async () => {
    assert.match(await inGuest('ethtool -l eth0'), /Current hardware settings:[\s\S]*Combined:\s+2\n/)
    assert.match(await inGuest('ethtool -g eth0'), /Current hardware settings:\s+RX:\s+1024\n[\s\S]*TX:\s+256\n/)
    assert.equal(await inGuest('cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address'), '1400\n52:54:00:0a:0b:0c\n')
    const features = await inGuest('ethtool -k eth0')
    assert.match(features, /tx-checksumming: off/)
    assert.match(features, /tcp-segmentation-offload: off/)
    assert.equal(await inGuest('ip link set eth1 up; cat /sys/class/net/eth1/carrier'), '0\n')
  })

  it('are what the host enforces: name and MTU of the tap, the macvtap of the other NIC', async () => {
    const [tap] = await readLinks(localShell, { name: 'vmrt-opt0' })
    assert.equal(tap?.mtu, 1400)
    const { stdout } = await localShell.run(['ip', '-d', 'link', 'show', 'type', 'macvtap'])
    assert.match(stdout, /macvtap mode bridge/)
  })

  it('come with the rest of the definition: CPUs, pinning, watchdog, overlay', async () => {
    assert.equal(await inGuest('nproc'), '2\n')
    const domain = await workshop.connection.lookupDomainByName(name)
    const xml = await workshop.connection.domainXml(domain)
    assert.match(xml, /<vcpupin vcpu='1' cpuset='0'\/>/)
    assert.match(xml, /<watchdog model='i6300esb' action='none'>/)
    assert.match(xml, /<memballoon model='virtio'>/)
  })
})
