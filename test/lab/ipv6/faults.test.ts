import assert from 'node:assert/strict'
import { readMachineState } from '../../../src/ipv6/evidence/machine-state.ts'
import { proveByCure } from '../../../src/ipv6/prove.ts'
import { localShell } from '../../../src/shell/local.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { observedState } from './observed-state.ts'
import { makeRouter, onBridge, onMacvtap, type ProducedFault } from './produced-faults.ts'

/** Without it a lean selection runs, once each. */
const repeat = Number(process.env.VMR_TEST_REPEAT ?? 0)
const times = Math.max(1, repeat)
const chosen = (faults: readonly ProducedFault[]) => faults.filter(({ lean }) => lean || repeat > 0)
const signal = new AbortController().signal

function itNames(lab: () => DiagnosedVm, faults: readonly ProducedFault[]) {
  for (const fault of chosen(faults))
    for (let time = 1; time <= times; time++)
      it(`names it where ${fault.title}${times > 1 ? `, ${time} of ${times}` : ''}`, async () => {
        await fault.make(lab())
        try {
          const { diagnosis, evidence } = await lab().diagnose(fault.selection)
          const seen = JSON.stringify(
            diagnosis.broken.map(({ path, line, causes }) => ({ path: path.id, line, causes })),
            null,
            1,
          )
          assert.deepEqual([...new Set(diagnosis.named.map(({ fault: { id } }) => id))], [fault.expected], seen)
          assert.equal(diagnosis.verdict, 'named', seen)
          for (const { hop } of diagnosis.named) assert.match(hop, fault.at)
          assert.ok(evidence.seconds < 30, `took ${evidence.seconds} s`)
        } finally {
          await fault.undo(lab())
        }
      })
}

describe('diagnosis of a VM on host bridges', function () {
  this.timeout(90_000)
  // A machine that is busy with other things too loses frames of its own: such a run says "unknown", and counts for nothing.
  this.retries(repeat > 0 ? 0 : 2)
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

  itNames(() => lab, onBridge)

  it('proves by its cure that snooping is the cause, and takes the cure back', async () => {
    const fault = onBridge.find(({ expected }) => expected === 'bridge-snooping')
    assert.ok(fault)
    await fault.make(lab)
    try {
      const proof = await lab.withEvidence(fault.selection, async (observed, journal) => {
        const { diagnose } = await import('../../../src/ipv6/diagnosis.ts')
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

describe('diagnosis of a VM on untrusted macvtaps', function () {
  this.timeout(90_000)
  // A machine that is busy with other things too loses frames of its own: such a run says "unknown", and counts for nothing.
  this.retries(repeat > 0 ? 0 : 2)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('macvtap', 'vmrd')
  })
  after(() => lab?.remove())

  itNames(() => lab, onMacvtap)

  it('proves the filter by opening it: broken, healed, broken again', async () => {
    const proof = await lab.withEvidence({ family: 'ipv6', direction: 'pc2>r1' }, async (observed, journal) => {
      const { diagnose } = await import('../../../src/ipv6/diagnosis.ts')
      const named = diagnose(observed.evidence).named.find(({ fault }) => fault.id === 'macvtap-multicast-filter')
      assert.ok(named)
      return proveByCure(named, { ...observed, journal, signal })
    })
    assert.deepEqual([proof?.broken, proof?.healed, proof?.brokenAgain], [true, true, true])
    assert.ok((proof?.seconds ?? 99) < 15)
  })
})
