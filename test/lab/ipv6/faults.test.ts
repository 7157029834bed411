import assert from 'node:assert/strict'
import { diagnose } from '../../../src/ipv6/diagnosis.ts'
import { readMachineState } from '../../../src/ipv6/evidence/machine-state.ts'
import { proveByCure } from '../../../src/ipv6/prove.ts'
import { localShell } from '../../../src/shell/local.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { itNames, itNamesNothing } from './named-faults.ts'
import { observedState } from './observed-state.ts'
import { makeRouter, onBridge, unknownOnBridge } from './produced-faults.ts'

const { signal } = new AbortController()

describe('diagnosis of a VM on host bridges', function () {
  this.timeout(90_000)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('bridge', 'vmrd')
    await makeRouter(lab)
    await lab.settled()
  })
  after(() => lab?.remove())

  it('finds nothing wrong with what works, within 90 s, and leaves every machine as it was', async () => {
    const before = await observedState(lab.vm)
    const { diagnosis, evidence } = await lab.diagnose()
    assert.equal(
      diagnosis.verdict,
      'healthy',
      JSON.stringify(diagnosis.broken.map(({ path, line }) => [path.id, line])),
    )
    assert.ok(evidence.paths.some(({ routed }) => routed))
    assert.ok(evidence.seconds < 90)
    assert.deepEqual(await observedState(lab.vm), before)
  })

  it('finds nothing wrong with tunnels whose packets fit their outer path', async () => {
    const far = 'remote 2001:db8:dead:cafe::2'
    await lab.guest(
      `modprobe ip6_tunnel; ip link add tun0 type ip6tnl mode ipip6 local 2001:db8:dead:cafe::1 ${far} encaplimit 4; ip link set tun0 mtu 1452 up; ip link add tun1 type ip6tnl mode ip6ip6 local 2001:db8:dead:cafe::c3:a57e ${far} encaplimit none; ip link set tun1 mtu 1460 up`,
    )
    try {
      const { diagnosis, evidence } = await lab.diagnose({ family: 'ipv6', direction: 'r1>pc2' })
      assert.equal(diagnosis.verdict, 'healthy')
      assert.deepEqual(
        evidence.paths.flatMap(({ tunnel, large }) => (tunnel === undefined ? [] : [[tunnel.link, large?.received]])),
        [
          ['tun0', 1],
          ['tun1', 1],
        ],
      )
    } finally {
      await lab.guest('ip link del tun0; ip link del tun1')
    }
  })

  itNames(() => lab, onBridge)
  itNamesNothing(() => lab, unknownOnBridge)

  it('proves by its cure that snooping is the cause, and takes the cure back', async () => {
    const fault = onBridge.find(({ expected }) => expected === 'bridge-snooping')
    assert.ok(fault)
    await fault.make(lab)
    try {
      const proof = await lab.withEvidence(fault.selection, async (observed, journal) => {
        const [named] = diagnose(observed.evidence).named
        assert.ok(named)
        return proveByCure(named, { ...observed, journal, signal })
      })
      assert.equal(proof?.broken, true)
      assert.equal(proof?.healed, true)
      const state = await readMachineState(localShell)
      assert.ok(state.links.some(({ bridge }) => bridge?.snooping === true))
    } finally {
      await fault.undo(lab)
    }
  })
})
